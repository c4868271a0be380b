"""Cases: what is known comes before what is predicted, but for rows between others."""

import numpy as np
from grouped_tables import timed_rows

from skmeta.grouped.longitudinal._rows import (
    CUT,
    N_KNOWN,
    first_rows,
    later_rows,
    rows_before,
    rows_between,
)


def make_rows(sizes=(12, 7, 3, 1)):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    n = len(codes)
    order = rng.permutation(n)
    times = np.concatenate([np.sort(rng.normal(size=size)) for size in sizes])
    return timed_rows(times, np.arange(n) * 1.0, codes, rng.normal(size=(n, 2))).take(order)


def ends(rows, code):
    times = rows.times[rows.group == code]
    return times.min(initial=np.inf), times.max(initial=-np.inf)


def test_first_rows_come_before_the_others():
    rows = make_rows()
    cases = first_rows(rows, 10_000)
    assert set(cases.n_known) == {k for k in N_KNOWN if k < 12}
    for code in np.unique(cases.query.group):
        of_case = cases.query.group == code
        assert (cases.known.group == code).sum() == cases.n_known[of_case][0]
        assert ends(cases.known, code)[1] < ends(cases.query, code)[0]
        assert len(set(cases.group[of_case])) == 1
    few = first_rows(rows, 9)
    assert len(few.group) == 9
    assert set(few.known.group) <= set(few.query.group)


def test_later_rows_follow_a_cut_of_each_group():
    rows = make_rows()
    cases = later_rows(rows)
    assert len(cases.known.y) + len(cases.group) == len(rows.y)
    assert (cases.known.group == 0).sum() == np.ceil(CUT * 12)
    for group in np.unique(cases.group):
        assert ends(cases.known, group)[1] < ends(cases.query, group)[0]
    assert later_rows(make_rows((1, 1))) is None


def test_rows_between_have_later_ones():
    cases = rows_between(make_rows())
    for code in np.unique(cases.query.group):
        first, last = ends(cases.query, code)
        assert ends(cases.known, code)[0] < first
        assert last < ends(cases.known, code)[1]
    assert rows_between(make_rows((2, 1))) is None


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
