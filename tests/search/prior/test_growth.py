"""How surfaces move with the rows of a data set."""

import pickle

import numpy as np
import pytest

from skmeta.search import PastSearch, SearchPrior
from skmeta.search.prior._growth import learn_growth
from skmeta.search.record import name_at_rows

POOL = [{"SVC.C": float(c)} for c in np.geomspace(1e-3, 1e3, 31)]
X = np.log10([c["SVC.C"] for c in POOL])


def past(table, n_rows, at):
    features = {"log_rows": float(np.log(n_rows)), "log_columns": 2.0}
    return PastSearch(
        dataset=name_at_rows(table, n_rows),
        configurations=tuple(POOL),
        scores=-((X - at) ** 2),
        dataset_features=features,
    )


def learned(n_tables=6, move=0.5, sizes=(100, 1000)):
    """Optima at `move` times the power of ten of the rows."""
    rng = np.random.default_rng(0)
    shifts = rng.normal(scale=0.3, size=n_tables)
    return SearchPrior.from_searches(
        [
            past(f"t{k}", n, move * np.log10(n / 1000) + s)
            for k, s in enumerate(shifts)
            for n in sizes
        ]
    )


def best(prior, n_rows):
    features = {"log_rows": float(np.log(n_rows)), "log_columns": 2.0}
    prior = prior.conditioned_on(features)
    return X[int((prior.task_weights @ prior.surfaces(POOL)).argmax())]


def test_optima_move_beyond_the_largest_table():
    prior = learned()
    for n_rows, at in ((100, -0.5), (1000, 0.0), (10_000, 0.5)):
        assert best(prior, n_rows) == pytest.approx(at, abs=0.25)


def test_optima_that_do_not_move_stay():
    for n_rows in (100, 10_000):
        assert best(learned(move=0.0), n_rows) == pytest.approx(0.0, abs=0.25)


def test_tables_of_one_size_say_nothing():
    prior = learned(sizes=(1000,))
    found = prior.conditioned_on({"log_rows": 12.0, "log_columns": 2.0})
    np.testing.assert_array_equal(found.surfaces(POOL), prior.surfaces(POOL))
    assert (
        learned(n_tables=4).conditioned_on({"log_rows": 12.0, "log_columns": 2.0})._growth is None
    )
    assert learned().conditioned_on({})._growth is None


def test_a_prior_is_conditioned_anew():
    prior = learned()
    features = [{"log_rows": float(np.log(n)), "log_columns": 2.0} for n in (100, 10_000)]
    once, twice = prior.conditioned_on(features[1]), prior.conditioned_on(features[0])
    twice = twice.conditioned_on(features[1])
    np.testing.assert_array_equal(once.surfaces(POOL), twice.surfaces(POOL))
    np.testing.assert_array_equal(once.task_weights, twice.task_weights)
    again = pickle.loads(pickle.dumps(once))
    np.testing.assert_array_equal(once.surfaces(POOL), again.surfaces(POOL))


def test_the_slope_is_that_of_a_regression_with_a_level_for_each_table():
    rng = np.random.default_rng(0)
    sizes, slope = (100, 300, 3000), rng.normal(size=9)
    z = np.log(np.tile(sizes, 6))
    table = np.repeat(np.arange(6), 3)
    F = rng.normal(size=(6, 9))[table] + z[:, None] * slope + 0.1 * rng.normal(size=(18, 9))
    names = [name_at_rows(f"t{k}", n) for k in range(6) for n in sizes]
    features = [{"log_rows": value} for value in z]
    growth = learn_growth(F, names, features, {"log_rows": float(np.log(30_000))})
    design = np.column_stack([z, table[:, None] == np.arange(6)])
    expected = np.linalg.lstsq(design, F, rcond=None)[0][0]
    np.testing.assert_allclose(growth.slope @ F, expected, atol=1e-10)
    share = growth.steps[0] / np.log(100)  # no surface is moved farther
    assert 0.95 < share <= 1
    np.testing.assert_allclose(growth.steps[2], share * np.log(10))
    np.testing.assert_allclose(growth.move(F), F + growth.steps[:, None] * expected)


def test_noise_moves_little():
    rng = np.random.default_rng(1)
    names = [name_at_rows(f"t{k}", n) for k in range(8) for n in (100, 1000)]
    features = [{"log_rows": float(np.log(n))} for _ in range(8) for n in (100, 1000)]
    growth = learn_growth(rng.normal(size=(16, 40)), names, features, {"log_rows": 9.0})
    most = 9.0 - np.log(100)
    assert growth is None or np.abs(growth.steps).max() < 0.4 * most
