"""How many rows samples have, and how many candidates are tried on them."""

import numpy as np
import pytest

from skmeta.search.samples import SamplePlan


def plan(n_rows=100_000, n_iter=10, samples="auto", time_budget=None):
    return SamplePlan.of(samples, n_rows, n_iter, time_budget)


@pytest.mark.parametrize(("samples", "n_rows"), [("auto", 4000), (False, 100_000), (10, 4000)])
def test_small_tables_have_no_samples(samples, n_rows):
    assert plan(n_rows, samples=samples).sizes == []


def test_samples_grow_by_about_four():
    sizes = plan().sizes
    assert sizes[:2] == [500, 1500]  # the first one tells seconds only
    growth = np.array([*sizes[2:], 100_000]) / sizes[1:]
    assert ((growth > 3) & (growth < 5)).all()
    assert plan(samples=10).sizes == sizes[1:]
    assert plan(4500).sizes == [500, 1500]


def test_cheap_samples_have_many_candidates():
    fits = plan()
    assert fits.n_candidates(0, []) == 1
    assert fits.n_candidates(1, [0.5]) == 1
    assert fits.n_candidates(1, [0.5, 1.5]) == 20
    assert fits.n_candidates(2, [0.5, 1.5]) == 6
    assert [fits.most(k) for k in range(4)] == [1, 20, 6, 6]


def test_samples_that_save_nothing_have_none():
    fits = plan(5000)
    assert fits.n_candidates(1, [1.0, 1.02]) == 1
    assert plan(30_000).n_candidates(2, [1.0, 1.02]) == 0
    # A proposal takes longer than such fits.
    assert plan(5000).n_candidates(1, [0.0005, 0.0015]) == 1


def test_samples_take_a_share_of_the_seconds():
    for n_iter in (3, 10, 30):
        for slope in (1e-4, 1e-3):
            for intercept in (0.0, 0.3, 3.0):
                fits = plan(20_000, n_iter)
                seconds = [intercept + slope * n for n in (*fits.sizes, 20_000)]
                spent = sum(
                    fits.n_candidates(k, seconds[:2]) * seconds[k] for k in range(len(fits.sizes))
                )
                first = seconds[0] + seconds[1]  # they are needed to tell
                assert spent <= first + min(0.45 * n_iter, 3) * (seconds[-1] + 0.1)


def test_a_given_number_is_kept_to():
    fits = plan(samples=8)
    assert [fits.n_candidates(k, [9.0, 9.0]) for k in range(3)] == [8, 6, 6]
    assert [fits.most(k) for k in range(3)] == [8, 6, 6]
    assert plan(samples=2).n_candidates(1, []) == 2


def test_a_time_budget_is_for_the_whole_table_first():
    assert plan().seconds is None
    assert plan(time_budget=8.0).seconds == 2.0
