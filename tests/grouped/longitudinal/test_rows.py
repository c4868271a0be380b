"""What is known comes before what is predicted, but for rows between others."""

import numpy as np
import pytest
from grouped_tables import timed_rows

from skmeta._tabular._cases import BETWEEN, LATER, NEW, make_divisions, regime_in_time
from skmeta.grouped.longitudinal._rows import N_KNOWN, first_rows, rows_before


def make_rows(sizes=(12, 7, 3, 1)):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    n = len(codes)
    order = rng.permutation(n)
    times = np.concatenate([np.sort(rng.normal(size=size)) for size in sizes])
    rows = timed_rows(times, np.arange(n) * 1.0, codes, rng.normal(size=(n, 2)))
    return rows._replace(fold=codes % 2, place=np.arange(n)).take(order)


def ends(rows, code):
    times = rows.times[rows.group == code]
    return times.min(initial=np.inf), times.max(initial=-np.inf)


def test_first_rows_come_before_the_others():
    rows = make_rows()
    known, query = first_rows(rows, 10_000)
    n_groups = 4
    assert set(query.group // n_groups) == {k for k, n in enumerate(N_KNOWN) if n < 12}
    for code in np.unique(query.group):
        assert (known.group == code).sum() == N_KNOWN[code // n_groups]
        assert ends(known, code)[1] < ends(query, code)[0]
    known, query = first_rows(rows, 10_000, 2)
    assert np.bincount(query.group).max() == 2
    known, query = first_rows(rows, 9)
    assert len(query.group) == 9
    assert set(known.group) <= set(query.group)


def with_folds(divisions):
    """Return divisions and their folds, each with the kept rows of the whole."""
    return [(each, one.kept) for one in divisions for each in (one, *one.folds)]


@pytest.mark.parametrize("ahead", [None, 2])
def test_divisions_in_time_ask_for_rows_of_new_groups_for_later_ones_and_for_those_between(ahead):
    rows, found = make_rows(), set()
    for division, whole in with_folds(make_divisions(rows, True, ahead)):
        kept = division.kept
        for step in division.steps:
            found |= {(step.regime, part.level) for part in step.parts}
            assert sum(part.n_rows for part in step.parts) == len(step.query.y)
            counts = np.concatenate([part.counts for part in step.parts])
            np.testing.assert_array_equal(
                counts, np.bincount(step.known.group, minlength=len(counts))
            )
            for code in range(len(counts)):
                known, query = (
                    t.take(np.flatnonzero(t.group == code)) for t in (step.known, step.query)
                )
                assert not set(known.place) & set(query.place)
                first, last = known.times.min(initial=np.inf), known.times.max(initial=-np.inf)
                if step.regime == BETWEEN:
                    assert kept is None
                    assert first < query.times.min()
                    assert query.times.max() < last
                    continue
                assert last < query.times.min()
                assert not set(kept.place) & set(query.place)
                group = rows.group[rows.place == query.place[0]][0]
                assert division.is_fold == (group not in kept.group)
                if step.regime == LATER:
                    assert last == whole.times[whole.group == group].max()
                if ahead and step.regime == LATER:
                    assert len(query.y) <= ahead
    assert found > {(NEW, 0), (NEW, 1), (NEW, 5), (NEW, np.inf), (LATER, np.inf)}
    assert (BETWEEN, np.inf) in found
    # With a season, groups of which few rows are known are not among the kept ones.
    assert ((LATER, 1) in found) == bool(ahead)


def test_without_later_rows_there_is_nothing_to_predict():
    assert not any(
        part.n_rows
        for d in make_divisions(make_rows((1, 1)), True)
        for s in d.steps
        for part in s.parts
    )


def test_regimes_in_time():
    known = timed_rows([0, 1, 2, 0, 5], np.zeros(5), [0, 0, 0, 1, 1])
    at = timed_rows([1.5, 6, 3, 3, 9], np.zeros(5), [0, 0, 0, 1, -1])
    regime, n_known = regime_in_time(known, at, 4.0)
    np.testing.assert_array_equal(regime, [BETWEEN, LATER, NEW, BETWEEN, NEW])
    np.testing.assert_array_equal(n_known, [3, 3, 3, 2, 0])


def test_rows_before_are_those_of_the_group():
    known = make_rows()
    rng = np.random.default_rng(1)
    codes = rng.integers(-1, 6, 50)
    at = timed_rows(rng.normal(size=50), np.zeros(50), codes)
    before = rows_before(known, at)
    for k in range(50):
        expected = np.flatnonzero((known.group == codes[k]) & (known.times <= at.times[k]))
        expected = expected[np.argsort(known.times[expected])]
        found = before.order[before.first[k] : before.first[k] + before.n[k]]
        np.testing.assert_array_equal(found, expected)
        assert before.last[k] == (expected[-1] if len(expected) else -1)
