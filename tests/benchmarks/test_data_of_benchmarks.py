"""Halves of the tables of benchmarks, and their divisions in time."""

import numpy as np
import pandas as pd

from benchmarks.lib import time_tables as time_tables
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


def test_what_is_predicted_follows_what_is_known():
    sizes = [12, 8, 5, 1, 12, 9]
    groups = np.repeat(np.arange(6), sizes)
    times = np.random.default_rng(0).permutation(len(groups)) * 1.0
    X = pd.DataFrame({"day": times})
    table = time_tables.Table("some", "regression", X, times, groups)
    given = time_tables.TimeTable(table, "day", times)
    later = time_tables.divide(given, "later", 0)
    assert len(later.train) + len(later.test) == len(groups)
    assert list(np.bincount(groups[later.test])) == [4, 3, 2, 0, 4, 3]
    new = time_tables.divide(given, "new", 0)
    held_out = np.unique(groups[new.test])
    assert len(held_out) == 2
    assert not np.isin(groups[new.train], held_out).any()
    for known, division in ((later.train, later), (new.few, new)):
        for group in np.unique(groups[division.test]):
            last = times[known][groups[known] == group].max()
            assert last < times[division.test][groups[division.test] == group].min()


def test_parts_are_frozen_and_keep_origins_together():
    parts = pd.Series({name: time_tables.half_of(name) for name in time_tables.SOURCES})
    assert set(parts[list(time_tables.FIRST)]) == {"development"}
    assert dict(parts[list(time_tables.FRESH)].value_counts()) == {"report": 32, "reserve": 18}
    origins = pd.Series({n: s.origin or s.item for n, s in time_tables.SOURCES.items()})
    assert parts.groupby(origins).nunique().eq(1).all()
    items = pd.Series({n: s.item for n, s in time_tables.SOURCES.items()})
    assert not set(items[list(time_tables.FRESH)]) & set(items[list(time_tables.FIRST)])
