import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from skmeta.search.prior import UNKNOWN_DISTANCE, _resemblance, resemblance

RNG = np.random.default_rng(0)
X = RNG.random((12, 2))
K = 2.0 * np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(2) / 0.3) + np.diag(RNG.random(12) + 0.2)
F = RNG.standard_normal((12, 40))


def tasks(n=30, n_configurations=50, seed=0):
    """Tasks whose surfaces follow the first of two features."""
    rng = np.random.default_rng(seed)
    features = rng.random((n, 2))
    grid = np.linspace(0, 1, n_configurations)
    surfaces = np.exp(-((grid - features[:, :1]) ** 2) / 0.02)
    return surfaces, [{"a": a, "b": b} for a, b in features]


def test_leave_one_out_errors_are_those_of_predictions_from_the_others():
    kriging = _resemblance._Kriging.of(K)
    errors = kriging.leave_one_out_errors(F)
    for t in range(12):
        others = np.delete(np.arange(12), t)
        w = _resemblance._Kriging.of(K[np.ix_(others, others)]).weights(K[others, t])
        np.testing.assert_allclose(w.sum(), 1)
        np.testing.assert_allclose(errors[t], F[t] - w @ F[others], rtol=1e-8)


def test_weights_are_those_of_a_process_with_an_unknown_mean():
    """A very large variance of the mean is an unknown mean."""
    k = np.exp(-0.5 * ((X - 0.4) ** 2).sum(1) / 0.3)
    found = _resemblance._Kriging.of(K).weights(2.0 * k) @ F
    noise = np.diag(K) - 2.0
    kernel = 2.0 * RBF(np.sqrt(0.3), "fixed") + 1e7
    process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(X, F)
    np.testing.assert_allclose(found, process.predict([[0.4, 0.4]])[0], atol=1e-5)


def test_features_that_tell_set_the_mean():
    surfaces, features = tasks()
    [new], [present] = tasks(1, seed=3)
    weights, _ = resemblance(surfaces, np.full(30, 0.01), features, present)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(), 1)
    error, error_without = (
        abs((w @ surfaces) - new).mean() for w in (weights, np.full(30, 1 / 30))
    )
    assert error < 0.5 * error_without


def test_features_that_do_not_tell_leave_all_weights_equal():
    surfaces, features = tasks()
    surfaces = surfaces[np.random.default_rng(1).permutation(30)]
    weights, distance = resemblance(surfaces, np.full(30, 0.01), features, {"a": 0.5, "b": 0.5})
    np.testing.assert_allclose(weights, 1 / 30)
    assert 1.0 < distance < UNKNOWN_DISTANCE  # in the middle of them


def test_a_data_set_far_from_all_has_a_large_distance():
    surfaces, features = tasks()
    _, near = resemblance(surfaces, np.full(30, 0.01), features, {"a": 0.5, "b": 0.5})
    _, far = resemblance(surfaces, np.full(30, 0.01), features, {"a": 2.0, "b": 2.0})
    assert far > 3 * near


def test_rows_and_skills_count_more_than_other_features():
    names = ["log_rows", "skill_tree", *(f"other {k}" for k in range(10))]
    rng = np.random.default_rng(0)
    features = [dict(zip(names, row, strict=True)) for row in rng.random((30, 12))]
    surfaces, zero = rng.random((30, 50)), dict.fromkeys(names, 0.5)
    distances = [
        resemblance(surfaces, np.full(30, 0.01), features, zero | {name: 1.5}).distance
        for name in ("skill_tree", "other 3")
    ]
    assert distances[0] > 2 * distances[1]


def test_tasks_without_features_have_the_mean_weight():
    surfaces, features = tasks()
    features[::3] = [{} for _ in features[::3]]
    weights, _ = resemblance(surfaces, np.full(30, 0.01), features, {"a": 0.5, "b": 0.5})
    np.testing.assert_allclose(weights[::3], 1 / 30)
    np.testing.assert_allclose(weights.sum(), 1)
    assert np.ptp(weights) > 0.05


def test_too_few_tasks():
    surfaces, features = tasks(4)
    weights, distance = resemblance(surfaces, np.full(4, 0.01), features, features[0])
    np.testing.assert_array_equal(weights, 0.25)
    assert distance == UNKNOWN_DISTANCE
