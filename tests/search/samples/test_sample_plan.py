"""How many rows the sample has, and how many candidates are tried on it."""

import pytest

from skmeta.search.samples import SamplePlan


def plan(n_rows=100_000, samples="auto", time_budget=None):
    return SamplePlan.of(samples, n_rows, time_budget)


@pytest.mark.parametrize(("samples", "n_rows"), [("auto", 14_000), (False, 100_000), (10, 14_000)])
def test_small_tables_have_no_samples(samples, n_rows):
    assert plan(n_rows, samples=samples).sizes == {}


def test_a_sample_is_a_tenth_of_the_rows():
    assert plan().sizes == {3333: 1, 10_000: 10}  # the first one tells seconds only
    assert plan(samples=8).sizes == {10_000: 8}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([1.0, 3.0], 10),  # 30 s on all rows
        ([1.0, 1.25], 5),  # 4.6 s
        ([1.0, 1.02], 1),  # a fit on the sample takes nearly as long as on all rows
        ([0.02, 0.06], 1),  # 0.6 s on all rows
        ([1.2, 1.0], 1),  # noise
    ],
)
def test_seconds_of_the_first_candidate_decide(seconds, expected):
    fits = plan()
    assert fits.n_candidates([]) == fits.n_candidates(seconds[:1]) == 1
    assert fits.n_candidates(seconds) == expected


def test_samples_take_the_seconds_of_one_or_two_candidates():
    for slope in (1e-5, 1e-4, 1e-3):
        for intercept in (0.0, 0.3, 3.0):
            fits = plan(20_000)
            seconds = [intercept + slope * n for n in (*fits.sizes, 20_000)]
            n = fits.n_candidates(seconds[:2])
            assert n == 1 or n * seconds[1] <= 1.5 * seconds[2]


def test_a_given_number_is_kept_to():
    assert plan(samples=8).n_candidates([]) == 8
    assert plan(samples=2).n_candidates([9.0]) == 2


def test_a_time_budget_is_for_the_whole_table_first():
    assert plan().seconds is None
    assert plan(time_budget=8.0).seconds == 2.0
