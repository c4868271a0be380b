"""Forms of the covariance, and their weights."""

import numpy as np
import pytest

from skmeta.mixed._covariance import CovarianceShape
from skmeta.mixed._episodes import draw_episodes
from skmeta.mixed._forms import Fit, Prior, blend, candidate_shapes, fit_forms
from skmeta.mixed._model import content_order


class Made:
    """A family whose fits are given: form k has the mean 10 + k, and k on some of the tasks."""

    def __init__(self, score, tasks=None):
        self.score, self.tasks, self.held_out = score, tasks, []

    def fit(self, shape, start, coarse):
        value = float(shape.rank + shape.varies.sum() - 1)
        value = {0.0: 0.0, 2.0: 1.0, 4.0: 2.0}[value]
        return Fit(Prior(np.array(value + 10 * (self.tasks is None)), np.zeros(1), np.zeros(1)), 0)

    def take(self, tasks):
        self.held_out.append(tasks)
        return Made(self.score, tasks)

    def log_densities(self, prior, episodes):
        tasks = np.unique(episodes.query_y[episodes.query_w > 0])
        assert not np.isin(tasks, self.held_out[-1]).any()
        return np.full(episodes.query_y.shape, self.score(float(prior.mean)))


def fit_made(score, n_tasks=10):
    """Weights of the forms; the target of a row is its task."""
    codes = np.repeat(np.arange(n_tasks), 5)
    family = Made(score)
    z = np.ones((len(codes), 3))
    prior, forms = fit_forms(family, candidate_shapes(shape(), "auto"), z, codes, codes)
    return family, prior, forms.weights


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
    family, prior, _ = fit_made(lambda value: -100 * abs(value - best))
    # Shares of the first and the third form may be the second one.
    np.testing.assert_allclose(prior.mean, 10 + best, rtol=1e-6)
    np.testing.assert_array_equal(np.sort(np.concatenate(family.held_out)), np.arange(10))


def test_forms_that_predict_as_well_share_the_weight():
    _, _, weights = fit_made(lambda value: 0.0)
    assert min(weights) > 0.1
    np.testing.assert_allclose(sum(weights), 1.0)


def test_few_tasks_give_equal_weights():
    family, prior, weights = fit_made(lambda value: -value, n_tasks=4)
    np.testing.assert_allclose(weights, 1 / 3)
    np.testing.assert_allclose(prior.mean, 11)
    assert not family.held_out
    half = blend([Prior(np.ones(1), 0, 0, 1.0), Prior(np.zeros(1), 0, 0, 3.0)], [0.25, 0.75])
    assert half.log_noise == 2.5
    assert half.log_spread is None


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
