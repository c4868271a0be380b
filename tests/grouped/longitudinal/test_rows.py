"""Cases: what is known comes before what is predicted, but for rows between others."""

import numpy as np

from skmeta.grouped.longitudinal._rows import (
    CUTS,
    N_KNOWN,
    TimedRows,
    first_rows,
    gaps,
    later_rows,
    rows_before,
    rows_between,
)
from skmeta.grouped.longitudinal._steps import step_columns


def make_rows(sizes=(12, 7, 3, 1)):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    n = len(codes)
    order = rng.permutation(n)
    times = np.concatenate([np.sort(rng.normal(size=size)) for size in sizes])
    return timed(rng.normal(size=(n, 2)), times, np.arange(n) * 1.0, codes).take(order)


def timed(X, times, y, codes):
    n = len(y)
    return TimedRows(X, times, y, codes, np.ones(n), np.column_stack([X, times]), np.zeros(n, int))


def ends(rows, code):
    times = rows.times[rows.codes == code]
    return times.min(initial=np.inf), times.max(initial=-np.inf)


def test_first_rows_come_before_the_others():
    rows = make_rows()
    cases = first_rows(rows, 10_000)
    assert set(cases.n_known) == {k for k in N_KNOWN if k < 12}
    for code in np.unique(cases.query.codes):
        of_case = cases.query.codes == code
        assert (cases.known.codes == code).sum() == cases.n_known[of_case][0]
        assert ends(cases.known, code)[1] < ends(cases.query, code)[0]
        assert len(set(cases.group[of_case])) == 1
    few = first_rows(rows, 9)
    assert len(few.group) == 9
    assert set(few.known.codes) <= set(few.query.codes)


def test_later_rows_follow_a_cut_of_each_group():
    rows = make_rows()
    for step, share in enumerate(CUTS):
        before, cases = later_rows(rows, step)
        assert len(before.y) + len(cases.group) == len(rows.y)
        assert (before.codes == 0).sum() == np.ceil(share * 12)
        for group in np.unique(cases.group):
            assert ends(before, group)[1] < cases.query.times[cases.group == group].min()
    assert later_rows(make_rows((1, 1)), 0) is None


def test_rows_between_have_later_ones():
    cases = rows_between(make_rows())
    for code in np.unique(cases.query.codes):
        first, last = ends(cases.query, code)
        assert ends(cases.known, code)[0] < first
        assert last < ends(cases.known, code)[1]
    assert rows_between(make_rows((2, 1))) is None


def test_rows_before_are_those_of_the_group():
    known = make_rows()
    rng = np.random.default_rng(1)
    codes = rng.integers(-1, 6, 50)
    at = timed(rng.normal(size=(50, 2)), rng.normal(size=50), np.zeros(50), codes)
    before, since = rows_before(known, at), gaps(known, at)
    for k in range(50):
        expected = np.flatnonzero((known.codes == codes[k]) & (known.times <= at.times[k]))
        expected = expected[np.argsort(known.times[expected])]
        found = before.order[before.first[k] : before.first[k] + before.n[k]]
        np.testing.assert_array_equal(found, expected)
        assert before.last[k] == (expected[-1] if len(expected) else -1)
        gap = at.times[k] - known.times[expected[-1]] if len(expected) else 0.0
        assert since[k] == gap


def test_columns_of_steps_describe_the_rows_before():
    codes, times = np.array([0, 0, 0, 2]), np.array([1.0, 2.0, 4.0, 3.0])
    y = np.array([1.0, 3.0, 4.0, 9.0])
    known = timed(np.array([[0.0], [1.0], [5.0], [0.0]]), times, y, codes)
    t = np.array([5.0, 3.5, 5.0])
    columns = step_columns(known, timed(np.full((3, 1), 7.0), t, np.zeros(3), np.array([0, 0, 1])))
    nan = np.nan
    expected = [
        [4, 1, 8 / 3, 1, 1, 3, 5, 7, 2],
        [3, 2, 2, 2, 1.5, 2, 3.5, 7, 6],
        [nan, nan, nan, nan, nan, 0, 5, 7, nan],
    ]
    np.testing.assert_allclose(columns, expected)


def test_a_sample_holds_whole_groups():
    rows = make_rows((4,) * 30)
    sample = rows.some_groups(40)
    assert len(sample.y) == 40
    assert (np.bincount(sample.codes)[np.unique(sample.codes)] == 4).all()
    assert rows.some_groups(200) is rows
