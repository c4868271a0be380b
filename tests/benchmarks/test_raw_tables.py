"""The tables of R packages: which half each is in, and how rows are drawn."""

import numpy as np
import pandas as pd
from sklearn.base import clone

from benchmarks.measure import raw_tables


def test_a_family_of_packages_is_in_one_half_and_a_table_is_there_once():
    tables = list(raw_tables.lines().values())
    halves = {}
    for table in tables:
        halves.setdefault(table.family, set()).add(table.half)
    assert all(len(half) == 1 for half in halves.values())
    for kind in raw_tables.SIZES:
        development, report = (
            set(raw_tables.sets(kind, half)) for half in ("development", "report")
        )
        assert len(development) > 50
        assert len(report) > 50
        assert not development & report


def test_draws_have_rows_of_each_class_and_repeat(monkeypatch):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=300), "b": rng.choice(["u", "v"], 300)})
    y = np.repeat([0, 1, 2], [200, 90, 10])
    monkeypatch.setattr(raw_tables, "load", lambda kind, name: (X, y))
    known, labels, others, their = raw_tables.draw("classification", "t", "5", 0)
    assert np.bincount(labels).tolist() == [5, 5, 5]
    assert set(known.index).isdisjoint(others.index)
    assert np.bincount(their).min() > 0
    _, labels, _, _ = raw_tables.draw("classification", "t", "100r", 0)
    assert len(labels) == 100
    assert len(np.unique(labels)) == 3
    again = raw_tables.draw("classification", "t", "5", 0)[0]
    assert known.equals(again)
    assert raw_tables.draw("classification", "t", "400r", 0) is None


def test_peers_take_words_gaps_and_new_levels():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(["u", "v", None], 60)})
    X.loc[3, "a"] = np.nan
    y = 1.0 * (X["b"] == "u").to_numpy() + 0.1 * rng.normal(size=60)
    query = X.assign(b=X["b"].replace("v", "new"))
    process = clone(raw_tables.PEERS["regression"]["process"])
    scores = raw_tables.evaluate("regression", process, (X, y, query, y), "60")
    assert scores["error"] < 0.5
    assert 0 < scores["coverage"] <= 1
