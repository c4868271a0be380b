"""Posteriors of one task against those of groups, statsmodels, scikit-learn and differences."""

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from mixed_tables import draw_tasks, load_sleepstudy
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from skmeta import MetaFewShotRegressor
from skmeta._mixed import Classes, ConditionedGroups, Normal
from skmeta.learners import HierarchicalLinear
from skmeta.learners.hierarchical import condition_mixed_model, predict_classes, target_moments
from skmeta.learners.hierarchical._task_posterior import ClassRows, find_mode


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(6, generator=generator, dtype=torch.float64)
    head = torch.randn(1, 3, generator=generator, dtype=torch.float64)
    factor = torch.randn(1, 3, 3, generator=generator, dtype=torch.float64).tril()
    model = {"weight": head[:, 1:], "bias": head[:, 0], "factor": factor}
    model["log_noise"] = torch.tensor(0.4).double().log()
    at = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    return model, head[0], z, y, at


def test_derivatives_equal_finite_differences(problem):
    model, _, z, y, at = problem

    def values(bias, factor, log_noise, z):
        changed = model | {"bias": bias, "factor": factor, "log_noise": log_noise}
        return target_moments(condition_mixed_model(changed, z, y, torch.ones(6), None), at)

    leaves = [model["bias"], model["factor"], model["log_noise"], z]
    assert torch.autograd.gradcheck(values, [leaf.clone().requires_grad_() for leaf in leaves])


def test_intervals_hold_the_share_they_promise():
    X, y, groups = draw_tasks(3, n_tasks=120)
    prior = HierarchicalLinear().fit(X[groups < 60], y[groups < 60], groups[groups < 60]).prior_
    inside = []
    for task in range(60, 120):
        rows = np.flatnonzero(groups == task)
        reg = MetaFewShotRegressor(prior).fit(X[rows[:5]], y[rows[:5]])
        low, high = reg.predict_quantiles(X[rows[5:]], (0.05, 0.95)).T
        inside.append((low <= y[rows[5:]]) & (y[rows[5:]] <= high))
    assert 0.85 < np.mean(inside) < 0.95


def test_predictions_are_blups_of_statsmodels():
    X, y, subjects = load_sleepstudy()
    known = subjects != 372
    design = sm.add_constant(X)
    with warnings.catch_warnings(action="ignore"):
        fitted = sm.MixedLM(y[known], design[known], subjects[known], exog_re=design[known]).fit()
    learner = HierarchicalLinear(effects="correlated", shrinkage=0.0, rank=1)
    prior = learner.fit(X[known], y[known], groups=subjects[known]).prior_
    few = np.flatnonzero(subjects == 372)[:4]
    found = MetaFewShotRegressor(prior).fit(X[few], y[few]).predict(X[few])
    # By hand from the estimates of statsmodels; ours also knows how uncertain the mean is.
    cov = np.asarray(fitted.cov_re) + np.asarray(fitted.cov_params())[:2, :2]
    z = design[few]
    gain = cov @ z.T @ np.linalg.inv(z @ cov @ z.T + fitted.scale * np.eye(4))
    beta = np.asarray(fitted.fe_params) + gain @ (y[few] - z @ np.asarray(fitted.fe_params))
    np.testing.assert_allclose(found, z @ beta, rtol=1e-3)


def drawn_model(n_outputs, q=3):
    """A model of so many classes, or of a regression if there is one output."""
    generator = torch.Generator().manual_seed(0)
    j = 1 if n_outputs == 2 else n_outputs
    head = torch.randn(n_outputs, q, generator=generator, dtype=torch.float64)
    factor = torch.randn(j, q, q, generator=generator, dtype=torch.float64).tril()
    model = {"weight": head[:, 1:], "bias": head[:, 0], "factor": factor}
    return model | (
        {"log_noise": torch.tensor(-0.9, dtype=torch.float64)} if n_outputs == 1 else {}
    )


def drawn_rows(n_classes, seed=0, n=12, q=3):
    rng = np.random.default_rng(seed)
    z = np.column_stack([np.ones(n), rng.normal(size=(n, q - 1))])
    return z, rng.integers(n_classes, size=n), rng.choice([0.0, 1.0, 2.0], n)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_task_is_predicted_as_one_of_many_groups(n_classes):
    model, (z, y, w) = drawn_model(n_classes), drawn_rows(n_classes)
    at, classes = z[::-1] + 0.3, torch.arange(n_classes)
    given = condition_mixed_model(model, *map(torch.from_numpy, (z, y, w)), classes)
    found = predict_classes(given, torch.from_numpy(at), classes).exp()
    head = torch.cat([model["bias"][:, None], model["weight"]], 1).numpy()
    mean = head if n_classes > 2 else head[1:] - head[:1]
    factor = model["factor"].numpy()
    prior = Classes(n_classes), mean, factor @ factor.swapaxes(1, 2)
    groups = ConditionedGroups(*prior, z, y, w, np.zeros(12, int))
    expected = groups.predict(at, np.zeros(12, int)).mean
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_regression_is_predicted_as_one_of_many_groups():
    model, (z, _, w) = drawn_model(1), drawn_rows(2)
    at, y = z[::-1] + 0.3, z[:, 1] - z[:, 2] ** 2
    given = condition_mixed_model(model, *map(torch.from_numpy, (z, y, w)), None)
    mean, variance = target_moments(given, torch.from_numpy(at))
    head, factor = torch.cat([model["bias"], model["weight"][0]]), model["factor"].numpy()
    prior = Normal(np.exp(-0.9)), head.numpy()[None], factor @ factor.swapaxes(1, 2)
    groups = ConditionedGroups(*prior, z, y, w, np.zeros(12, int))
    expected = groups.predict(at, np.zeros(12, int))
    np.testing.assert_allclose(mean, expected.mean, rtol=1e-9)
    np.testing.assert_allclose(variance.sqrt(), expected.std, rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_mode_is_a_ridge_penalised_logistic_regression(n_classes):
    z, y, _ = drawn_rows(n_classes, n=30)
    j, scale = 1 if n_classes == 2 else n_classes, 0.8
    size = 3 * j
    rows = ClassRows(torch.from_numpy(z), torch.eye(n_classes).double()[y], torch.ones(30).double())
    nothing = torch.zeros(size).double()
    mode = scale * find_mode(rows, nothing, scale * torch.eye(size).double(), nothing)
    model = LogisticRegression(C=scale**2, fit_intercept=False, tol=1e-10, max_iter=10_000)
    np.testing.assert_allclose(mode.reshape(j, -1), model.fit(z, y).coef_, atol=1e-5)


@pytest.mark.parametrize(("mean", "scale"), [(-9.7, 20.0), (-9.7, 5.0), (3.0, 1.0), (-30.0, 30.0)])
@pytest.mark.parametrize("labels", [[0], [1], [1, 1, 0], [1, 1, 1, 0, 0, 1, 0, 1]])
def test_a_mode_is_found_from_a_prior_that_is_far_off(mean, scale, labels):
    # Where the prior has its mean, the likelihood is almost flat.
    y, at = np.array(labels), np.linspace(-12, 12, 100_001)
    ones = torch.ones(len(y)).double()
    rows = ClassRows(ones[:, None], torch.eye(2).double()[y], ones)
    factor = torch.tensor([[scale]]).double()
    found = find_mode(rows, torch.tensor([mean]).double(), factor, torch.zeros(1).double())
    log_p = norm.logpdf(at) - np.logaddexp(0, -(mean + scale * at)[:, None] * (2 * y - 1)).sum(1)
    np.testing.assert_allclose(found, at[log_p.argmax()], atol=1e-3)


@pytest.mark.parametrize(("n_classes", "classes"), [(2, [1, 0]), (4, [3, 1])])
def test_a_task_may_have_its_classes_in_another_order_and_lack_some(n_classes, classes):
    model, (z, y, w) = drawn_model(n_classes), drawn_rows(2)
    arrays = [torch.from_numpy(part) for part in (z, y, w)]
    given = condition_mixed_model(model, *arrays, torch.tensor(classes))
    found = predict_classes(given, arrays[0], torch.tensor(classes)).exp()
    torch.testing.assert_close(found.sum(1), torch.ones(12).double())
    # The same, with the classes in the order of the model.
    arrays[1] = 1 - arrays[1]
    turned = torch.tensor(classes[::-1])
    given = condition_mixed_model(model, *arrays, turned)
    expected = predict_classes(given, arrays[0], turned).exp().flip(1)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_derivatives_of_probabilities_equal_finite_differences(n_classes):
    model, (z, y, w) = drawn_model(n_classes), drawn_rows(n_classes)
    classes = torch.arange(n_classes)

    def value(bias, factor, z):
        changed = model | {"bias": bias, "factor": 0.5 * factor}
        given = condition_mixed_model(changed, z, torch.from_numpy(y), torch.from_numpy(w), classes)
        return predict_classes(given, z.flip(0), classes)[:, 0].sum()

    leaves = [model["bias"], model["factor"], torch.from_numpy(z)]
    inputs = [leaf.clone().requires_grad_() for leaf in leaves]
    assert torch.autograd.gradcheck(value, inputs, eps=1e-5, atol=1e-5, fast_mode=True)
    each = torch.func.vmap(value, (None, None, 0))(*leaves[:2], leaves[2].expand(3, 12, 3))
    torch.testing.assert_close(each, value(*leaves).expand(3))
