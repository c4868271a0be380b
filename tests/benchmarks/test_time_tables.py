"""Divisions in time of the benchmark of grouped tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def tables(monkeypatch):
    """The module, as the benchmark imports it."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import time_tables

    return time_tables


def test_what_is_predicted_follows_what_is_known(tables):
    sizes = [12, 8, 5, 1, 12, 9]
    groups = np.repeat(np.arange(6), sizes)
    times = np.random.default_rng(0).permutation(len(groups)) * 1.0
    X = pd.DataFrame({"day": times})
    table = tables.Table("some", "regression", X, times, groups)
    given = tables.TimeTable(table, "day", times)
    later = tables.divide(given, "later", 0)
    assert len(later.train) + len(later.test) == len(groups)
    assert list(np.bincount(groups[later.test])) == [4, 3, 2, 0, 4, 3]
    new = tables.divide(given, "new", 0)
    held_out = np.unique(groups[new.test])
    assert len(held_out) == 2
    assert not np.isin(groups[new.train], held_out).any()
    for known, division in ((later.train, later), (new.few, new)):
        for group in np.unique(groups[division.test]):
            last = times[known][groups[known] == group].max()
            assert last < times[division.test][groups[division.test] == group].min()


def test_halves_are_frozen_and_keep_origins_together(tables):
    halves = {name: tables.half_of(name) for name in tables.SOURCES}
    assert halves["sitka"] == halves["spruces"] == halves["chicks"] == "development"
    assert (
        sum(half == "report" for name, half in halves.items() if name in tables.REGRESSIONS) == 20
    )
