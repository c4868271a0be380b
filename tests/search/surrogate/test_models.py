import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from skmeta.search.surrogate._gp import KernelPrior
from skmeta.search.surrogate._models import LearnedModel, PlainModel, _Kriging

X = np.random.default_rng(0).random((30, 2))
K = Matern(0.5, nu=2.5)(X)
ROWS = np.array([3, 11, 20, 5])
Y = np.array([0.3, -1.1, 1.2, -0.4])
NOISY = K[np.ix_(ROWS, ROWS)] + 0.03 * np.eye(4)


def log_density(y, K, mean):
    """Log density of y, its offset of flat prior and its scale log-normal, by quadrature."""
    offsets, log_scales = np.linspace(-25, 25, 2001)[:, None], np.linspace(-3, 3, 241)
    densities = []
    for log_c in log_scales:
        # c (y - offset) is a draw of the Gaussian, and c^n its Jacobian.
        c = np.exp(log_c)
        joint = multivariate_normal(mean, K).pdf(c * (y - offsets / c)) * c ** len(y)
        densities.append(trapezoid(joint, offsets[:, 0] / c) * np.exp(-0.5 * log_c**2))
    return np.log(trapezoid(densities, log_scales) / 6)


@pytest.mark.parametrize("mean", [np.zeros(4), np.array([1.0, -2.0, 0.5, 0.0])])
def test_evidence_is_the_integral_over_offset_and_scale(mean):
    found = _Kriging(NOISY, Y, mean[None], np.ones(1)).evidence
    np.testing.assert_allclose(found, log_density(Y, NOISY, mean), atol=0.03)


def test_prior_means_are_weighed_by_bayes():
    C = np.array([np.zeros(4), 2 * Y, -Y])
    p = np.array([0.5, 0.2, 0.3])
    kriging = _Kriging(NOISY, Y, C, p)
    alone = np.array([_Kriging(NOISY, Y, c[None], np.ones(1)).evidence for c in C])
    np.testing.assert_allclose(kriging.evidence, logsumexp(np.log(p) + alone))
    np.testing.assert_allclose(kriging.shares, np.exp(np.log(p) + alone - kriging.evidence))
    assert kriging.shares[1] > 0.5 > kriging.shares[2]


def test_a_prior_mean_of_probability_0_has_no_share():
    shares = _Kriging(NOISY, Y, np.array([np.zeros(4), Y]), np.array([1.0, 0.0])).shares
    np.testing.assert_array_equal(shares, [1, 0])


def test_prediction_is_scikit_learns_with_an_unknown_mean():
    kriging = _Kriging(NOISY, Y, np.zeros((1, 4)), np.ones(1))
    mean, variance = kriging.predict(K[ROWS], np.ones(30), np.zeros((1, 30)))
    kernel = ConstantKernel(1e6, "fixed") + Matern(0.5, "fixed", nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=0.03, optimizer=None)
    c = kriging.c[0]
    expected, deviation = process.fit(X[ROWS], c * Y).predict(X, return_std=True)
    np.testing.assert_allclose(mean, expected / c, atol=1e-4)
    np.testing.assert_allclose(np.sqrt(variance), deviation / c, atol=1e-4)


def test_prediction_mixes_prior_means_by_total_variance():
    C = np.array([np.sin(5 * X[:, 0]), np.cos(5 * X[:, 1])])
    together = _Kriging(NOISY, Y, C[:, ROWS], np.array([0.5, 0.5]))
    assert together.shares.min() > 0.05, "both matter, or nothing is mixed"
    mean, variance = together.predict(K[ROWS], np.ones(30), C)
    parts = [
        _Kriging(NOISY, Y, C[i : i + 1, ROWS], np.ones(1)).predict(K[ROWS], np.ones(30), C[[i]])
        for i in (0, 1)
    ]
    means, variances = map(np.array, zip(*parts, strict=True))
    expected = together.shares @ means
    np.testing.assert_allclose(mean, expected)
    spread = together.shares @ (variances + (means - expected) ** 2)
    np.testing.assert_allclose(variance, spread, rtol=1e-10)


def test_scale_and_offset_of_scores_are_learned():
    surface = np.sin(5 * X[:, 0]) + X[:, 1]
    rows = np.arange(12)
    y = 4 + 0.2 * surface[rows]
    kriging = _Kriging(0.01 * K[:12, :12] + 1e-4 * np.eye(12), y, surface[None, :12], np.ones(1))
    mean, _ = kriging.predict(0.01 * K[:12], np.full(30, 0.01), surface[None])
    np.testing.assert_allclose(mean, 4 + 0.2 * surface, atol=0.01)
    np.testing.assert_allclose(kriging.c[0], 5, rtol=0.1)


# -- the model without history -------------------------------------------------------------------


def test_plain_model_is_scikit_learns_at_its_own_hyperparameters():
    model = PlainModel(X, np.array([0, 1]))
    model.fit(ROWS, Y)
    scales, (amplitude, noise) = np.exp(model._theta[:2]), np.exp(model._theta[2:])
    kernel = ConstantKernel(amplitude, "fixed") * Matern(scales, "fixed", nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=noise + 1e-6, optimizer=None)
    mean, std = process.fit(X[ROWS], Y).predict(X, return_std=True)
    found = model.predict(ROWS, Y)
    np.testing.assert_allclose(found.mean, mean, atol=1e-7)
    np.testing.assert_allclose(found.std, std, atol=1e-6)


def test_fitting_does_not_change_the_evidence():
    model = PlainModel(X, np.array([0, 1]))
    before = model.predict(ROWS, Y)
    model.fit(ROWS, Y)
    after = model.predict(ROWS, Y)
    assert before.evidence == after.evidence
    assert np.abs(before.mean - after.mean).max() > 1e-3


def test_plain_evidence_is_that_of_the_prior_kernel():
    prior = KernelPrior()
    scale, noise = np.exp(prior.length_scale[0]), np.exp(prior.noise[0])
    model = PlainModel(X, np.array([0, 1]), prior)
    covariance = Matern(scale, nu=2.5)(X[ROWS]) + (noise + 1e-6) * np.eye(4)
    expected = log_density(Y, covariance, np.zeros(4))
    np.testing.assert_allclose(model.predict(ROWS, Y).evidence, expected, atol=0.03)


def test_candidates_without_parameters():
    model = PlainModel(np.empty((3, 0)), np.empty(0, dtype=np.intp))
    model.fit(np.array([0, 1]), np.array([1.0, -1.0]))
    assert np.isfinite(model.predict(np.array([0, 1]), np.array([1.0, -1.0])).mean).all()


# -- the models that learned ---------------------------------------------------------------------


def surfaces(n_tasks=8):
    """Past tasks with one peak each, at different places."""
    angles = np.linspace(0, 2 * np.pi, n_tasks, endpoint=False)
    peaks = 0.5 + 0.4 * np.column_stack([np.cos(angles), np.sin(angles)])
    squared = ((X[None] - peaks[:, None]) ** 2).sum(2)
    return np.exp(-4 * squared) * 3 - 1


def make_model(F=None, remainders=(0.1, 1.0), weights=None, n=30):
    F = surfaces() if F is None else F
    weights = np.full(len(F), 1 / len(F)) if weights is None else weights
    return LearnedModel(F[:, :n], X[:n] / 0.5, weights, remainders, 0.03)


def best_of(predictions):
    """The prediction that the observations speak for."""
    return max(predictions, key=lambda p: p.evidence)


def test_a_new_task_like_a_past_one_is_recognised():
    F = surfaces()
    model = make_model(F)
    rows = np.arange(12)
    for t in range(8):
        # Floored, as a strategy clips what is very bad.
        y = 2 * np.maximum(F[t, rows], 0) - 1
        assert model.agreement(rows, y).argmax() == t
        predicted = best_of(model.predict(rows, y)).mean
        good = F[t] > 0.5
        assert np.corrcoef(predicted[good], F[t, good])[0, 1] > 0.8


def test_agreement_is_a_distribution():
    shares = make_model().agreement(ROWS, Y)
    assert shares.shape == (8,)
    np.testing.assert_allclose(shares.sum(), 1)


def test_a_past_turned_upside_down_is_taken_back():
    past = np.tile(np.sin(4 * X[:, 0]), (6, 1)) + 0.2 * surfaces(6)
    rows = np.arange(10)
    y = past.mean(0)[rows]
    y = (y - y.mean()) / y.std()
    model = make_model(past)
    alike, opposed = model.predict(rows, y), model.predict(rows, -y)
    assert best_of(alike[:2]).evidence > best_of(opposed[:2]).evidence + 3
    assert best_of(opposed[2:]).evidence > best_of(opposed[:2]).evidence + 3
    # Where only co-variation is kept, the one is as likely as the other.
    np.testing.assert_allclose(best_of(opposed[2:]).evidence, best_of(alike[2:]).evidence)
    np.testing.assert_allclose(best_of(opposed[2:]).mean, -best_of(alike[2:]).mean, atol=1e-9)


def test_neither_order_nor_copies_of_tasks_matter():
    F = surfaces()
    expected = make_model(F).predict(ROWS, Y)
    for found in (
        make_model(F[::-1]).predict(ROWS, Y),
        make_model(F, weights=np.array([0.125] * 8)).predict(ROWS, Y),
    ):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.mean, b.mean, atol=1e-10)
            np.testing.assert_allclose(a.std, b.std, atol=1e-10)
            np.testing.assert_allclose(a.evidence, b.evidence)


def test_a_task_without_weight_might_as_well_not_be_there():
    F = surfaces()
    weights = np.array([0.2] * 5 + [0.0] * 3)
    for a, b in zip(
        make_model(F, weights=weights).predict(ROWS, Y),
        make_model(F[:5]).predict(ROWS, Y),
        strict=True,
    ):
        np.testing.assert_allclose(a.mean, b.mean, atol=1e-10)
        np.testing.assert_allclose(a.evidence, b.evidence)


def test_offset_of_scores_moves_the_mean_only():
    model = make_model()
    for a, b in zip(model.predict(ROWS, Y), model.predict(ROWS, Y + 2), strict=True):
        np.testing.assert_allclose(a.mean + 2, b.mean)
        np.testing.assert_allclose(a.std, b.std)
        np.testing.assert_allclose(a.evidence, b.evidence)


def test_mixture_has_mean_and_covariance_of_the_past():
    F = surfaces()
    model = make_model(F, remainders=(0.0,))
    # From the parts that predict uses: prior means C, shared covariance of the deviations.
    warped = model.F
    mean = warped.mean(0)
    np.testing.assert_allclose(model._w @ model._C, mean, atol=1e-12)
    biased = (warped - mean).T @ (warped - mean) / 8
    between = (model._C - mean).T @ (model._C - mean) / 8
    np.testing.assert_allclose(between + 0.3 * biased, biased, atol=1e-12)
    np.testing.assert_allclose(model._U.T @ model._U, np.cov(warped.T), atol=1e-12)


def test_how_bad_a_bad_configuration_was_does_not_matter():
    F = surfaces()
    worse = make_model(np.where(F < 0, 10 * F, F)).predict(ROWS, Y)
    expected = make_model(F).predict(ROWS, Y)
    for i in (0, 1):  # the models that take the past at its word
        np.testing.assert_allclose(worse[i].mean, expected[i].mean, atol=1e-12)


def test_without_mean_good_and_bad_can_be_exchanged():
    F = surfaces()
    inverted, expected = make_model(-F).predict(ROWS, Y), make_model(F).predict(ROWS, Y)
    for i in (2, 3):
        np.testing.assert_allclose(inverted[i].mean, expected[i].mean)
        np.testing.assert_allclose(inverted[i].std, expected[i].std)
        np.testing.assert_allclose(inverted[i].evidence, expected[i].evidence)
    assert np.abs(inverted[0].mean - expected[0].mean).max() > 0.1


def test_mean_task_correlation_is_the_mean_correlation():
    F = surfaces()
    correlations = np.corrcoef(np.maximum(F, 0))
    expected = correlations[~np.eye(8, dtype=bool)].mean()
    np.testing.assert_allclose(make_model(F).mean_task_correlation, expected)
    assert make_model(F[:1]).mean_task_correlation == 1


def test_mean_task_correlation_of_noise_is_about_0():
    F = np.random.default_rng(0).standard_normal((60, 30))
    assert abs(make_model(F).mean_task_correlation) < 0.02


def test_what_is_appended_changes_nothing_for_the_others():
    F = surfaces()
    short = make_model(F, n=24)
    before = short.predict(ROWS, Y)
    short.extend(F[:, 24:], X[24:] / 0.5)
    after = short.predict(ROWS, Y)
    for a, b in zip(before, after, strict=True):
        assert len(b.mean) == 30
        np.testing.assert_allclose(a.mean, b.mean[:24], atol=1e-10)
        np.testing.assert_allclose(a.std, b.std[:24], atol=1e-10)


def test_one_past_task_and_a_constant_one():
    for F in (surfaces()[:1], np.zeros((1, 30)), np.array([np.zeros(30), surfaces()[0]])):
        for p in make_model(F).predict(ROWS, Y):
            assert np.isfinite(p.mean).all()
            assert (p.std > 0).all()
            assert np.isfinite(p.evidence)


def test_deviations_are_honest():
    """Tasks drawn from the model: about as many scores within a deviation as a normal has."""
    rng = np.random.default_rng(1)
    past = rng.multivariate_normal(np.sin(4 * X[:, 0]), 0.5 * K, size=60)
    model = make_model(past, remainders=(0.1,))
    inside = []
    for truth in rng.multivariate_normal(np.sin(4 * X[:, 0]), 0.5 * K, size=40):
        # The model's tasks are floored and standardised as past ones are.
        truth = np.maximum(truth, 0)
        truth = (truth - truth.mean()) / truth.std()
        p = model.predict(np.arange(6), truth[:6])[0]
        inside.append(np.abs(truth[6:] - p.mean[6:]) < p.std[6:])
    assert abs(np.mean(inside) - (norm.cdf(1) - norm.cdf(-1))) < 0.15
