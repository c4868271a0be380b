"""Forms of the covariance, and their weights."""

from typing import NamedTuple

import numpy as np
import pytest

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._episodes import draw_episodes
from skmeta.mixed._structure import (
    average_over_structures,
    blend,
    candidate_shapes,
    content_order,
)


class Prior(NamedTuple):
    value: float


def priors(*values):
    return [Prior(value) for value in values]


def shape(varies=(True, True, True), rank=2):
    return CovarianceShape(np.array(varies), 1, rank, 1.0)


def test_candidates_have_more_and_more_parameters():
    found = candidate_shapes(shape(), "auto")
    assert [(int(s.varies.sum()), s.rank) for s in found] == [(1, 0), (3, 0), (3, 2)]
    assert [s.rank for s in candidate_shapes(shape(rank=0), "auto")] == [0, 0]
    assert len(candidate_shapes(shape((True, False, False)), "auto")) == 1
    (single,) = candidate_shapes(shape(), "slopes")
    assert (int(single.varies.sum()), single.rank) == (3, 0)


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_form_that_predicts_held_out_tasks_has_the_weight(best):
    codes = np.repeat(np.arange(10), 3)
    seen = []

    def estimate(tasks):
        seen.append(tasks)
        return priors(0.0, 1.0, 2.0)

    def score(tried, tasks, rng):
        assert not np.isin(tasks, seen[-1]).any()
        return -100 * np.abs(np.array([prior.value for prior in tried]) - best)[:, None]

    # Shares of the first and the third form may be the second one.
    found = average_over_structures(priors(10.0, 20.0, 30.0), codes, estimate, score)
    np.testing.assert_allclose(found @ [10.0, 20.0, 30.0], 10.0 * (best + 1), rtol=1e-6)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(10))


def test_forms_that_predict_as_well_share_the_weight():
    codes = np.repeat(np.arange(10), 3)

    def score(tried, tasks, rng):
        return np.zeros((len(tried), 5))

    found = average_over_structures(
        priors(1.0, 2.0, 3.0),
        codes,
        lambda tasks: priors(0.0, 0.0, 0.0),
        score,
    )
    assert min(found) > 0.1
    np.testing.assert_allclose(sum(found), 1.0)


def test_few_tasks_give_equal_weights():
    def fail(*arguments):
        raise AssertionError("Nothing is held out.")

    codes = np.repeat(np.arange(4), 3)
    found = average_over_structures(priors(1.0, 2.0, 6.0), codes, fail, fail)
    np.testing.assert_allclose(found, 1 / 3)
    assert blend(priors(1.0, 3.0), [0.25, 0.75]) == Prior(2.5)


def test_episodes_are_disjoint_rows_of_one_task():
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [3, 12, 50])
    z = np.column_stack([np.ones(65), np.arange(65.0)])
    found = draw_episodes(z, np.arange(65.0), codes, np.arange(3), rng)
    # Of 12 rows there are supports of 4 and 6, of 50 rows of 4, 8 and 16; 3 rows are too few.
    np.testing.assert_array_equal(found.w.sum(1), [4, 6, 4, 8, 16])
    np.testing.assert_array_equal(found.query_w.sum(1), [8, 6, 20, 20, 20])
    for k in range(5):
        support, query = found.y[k][found.w[k] > 0], found.query_y[k][found.query_w[k] > 0]
        both = np.concatenate([support, query])
        assert len(np.unique(both)) == len(both)
        assert set(codes[both.astype(int)]) == {1 if k < 2 else 2}
    assert draw_episodes(z, np.arange(65.0), codes, np.array([0]), rng) is None


def test_rows_and_tasks_are_sorted_by_content():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(60, 3)), rng.integers(2, size=60)
    codes = rng.permutation(np.repeat(np.arange(10), 6))
    order = content_order(z, y, codes)
    assert (np.diff(codes[order]) != 0).sum() == 9
    moved, names = rng.permutation(60), rng.permutation(10)
    again = content_order(2 * z[moved] + 1, y[moved], names[codes[moved]])
    np.testing.assert_array_equal(moved[again], order)
    # One other value changes the order.
    y[1] = 1 - y[1]
    assert (content_order(z, y, codes) != order).any()
