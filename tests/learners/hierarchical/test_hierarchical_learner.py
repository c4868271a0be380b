"""HierarchicalLinear and ALPaCA as learners, and which coefficients differ between tasks."""

import numpy as np
import pytest
import torch
from mixed_tables import load_sleepstudy

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.exceptions import EpisodeError
from skmeta.learners import ALPaCA, ExecutionOptions, HierarchicalLinear
from skmeta.learners._core import read_prior

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")


def made_classes(n_classes, seed=0, n_tasks=40, n_rows=20):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(groups), 2))
    eta = X @ rng.normal(size=(2, n_classes)) + rng.normal(size=(n_tasks, n_classes))[groups]
    return X, (eta + rng.gumbel(size=eta.shape)).argmax(1), groups


def proba(prior, X, y, at, n_classes):
    """Probabilities of all classes of a prior after rows of any of them."""
    session, state = read_prior(
        prior, HierarchicalLinear, classes=range(n_classes), device="cpu", precision="float64"
    )
    adapter = session.adapter
    rows = adapter.rows(adapter.upload(X), np.asarray(y), np.ones(len(y)))
    adapted = session.algorithm.adapt(session.context, state, rows)
    outputs = session.algorithm.forward(
        session.context, adapted, adapter.inputs(adapter.upload(at))
    )
    return torch.softmax(outputs, 1).detach().numpy()


def test_groups_are_needed():
    X, y, _ = made_classes(2)
    for learner in (HierarchicalLinear(), ALPaCA()):
        with pytest.raises(EpisodeError, match="groups is None"):
            learner.fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_support_sets_may_lack_classes(n_classes):
    X, y, groups = made_classes(n_classes)
    prior = HierarchicalLinear().fit(X, y, groups=groups).prior_
    before = proba(prior, X[:1], [0], X[:50], n_classes)
    after = proba(prior, X[:6], [0] * 6, X[:50], n_classes)
    np.testing.assert_allclose(after.sum(1), 1.0)
    assert (after > 0).all()
    assert (after[:, 0] > before[:, 0]).mean() > 0.9


@pytest.mark.slow
def test_alpaca_on_the_rows_themselves_is_the_hierarchical_model():
    X, y, subjects = load_sleepstudy()
    linear = HierarchicalLinear().fit(X, y, groups=subjects).prior_
    settings = {"backbone": "identity", "random_state": 0}
    settings |= {"execution": ExecutionOptions(precision="float64")}
    same = ALPaCA(n_iterations=0, validation=0, **settings)
    same.fit(X, y, groups=subjects)
    for name, value in linear.tensors.items():
        np.testing.assert_array_equal(same.prior_.tensors[name], value)
    # The closed form is close to what meta-training by gradient steps finds from there.
    learner = ALPaCA(n_iterations=150, n_shot=4, n_query=6, validation=0, **settings)
    trained = learner.fit(X, y, groups=subjects).prior_
    for few in (slice(0, 4), slice(10, 14)):
        found, expected = (
            MetaFewShotRegressor(prior).fit(X[few], y[few]).predict(X[:10])
            for prior in (trained, linear)
        )
        np.testing.assert_allclose(found, expected, rtol=0.06)


def test_groups_of_few_rows_are_used():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 3)
    X, effect = rng.normal(size=(300, 1)), rng.normal(size=100)
    y = X[:, 0] + effect[groups] + 0.1 * rng.normal(size=300)
    prior = HierarchicalLinear(effects="intercept").fit(X, y, groups=groups).prior_
    assert len(prior.trained_on) == 100
    assert MetaFewShotRegressor(prior).fit([[0.0]], [3.0]).predict([[1.0]]) == pytest.approx(4, 0.1)
    scores = (
        HierarchicalLinear()
        .fit(X, y, groups=groups)
        .score_tasks(X + 0.5, y, groups + 100, n_tasks=7, n_shot=(1, 2), n_query=1, random_state=3)
    )
    assert scores.shape == (7,)
    # An outer loop and a validation draw tasks of n_shot rows.
    for needs in ({"validation": 0.1}, {"n_iterations": 1}):
        with pytest.raises(EpisodeError, match="None of the 100 groups can be a task"):
            ALPaCA(**{"n_iterations": 0, "validation": 0} | needs).fit(X, y, groups=groups)


def tasks_with(deviations, kind, seed=0, n_tasks=60, n_rows=20):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(groups), len(deviations) - 1))
    effects = rng.normal(size=(n_tasks, len(deviations))) * deviations
    y = (np.column_stack([np.ones(len(X)), X]) * (1.0 + effects[groups])).sum(1)
    if kind == "classification":
        return X, (y + rng.logistic(size=len(y)) > 1).astype(int), groups
    return X, y + rng.normal(size=len(y)), groups


def slope_deviations(learner, X, y, groups):
    tensors = learner.fit(X, y, groups=groups).prior_.tensors
    factor = tensors["head.factor"][0]
    return np.sqrt(np.diag(factor @ factor.T))


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_intercepts_alone_differ_if_told(kind):
    X, y, groups = tasks_with(np.array([1.0, 0.8, 0.8]), kind)
    found = slope_deviations(HierarchicalLinear(effects="intercept"), X, y, groups)
    # What is left is the uncertainty of the mean, which is the same in all tasks.
    assert found[0] > 0.3
    assert (found[1:] < 0.15).all()
    auto = slope_deviations(HierarchicalLinear(), X, y, groups)
    assert (auto[1:] > 2 * found[1:]).all()


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_order_of_rows_names_of_groups_and_units_have_no_effect(kind):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), rng.integers(3, 12, 40))
    n = len(groups)
    X = np.column_stack([rng.normal(size=n), rng.integers(3, size=n), rng.normal(size=n)])
    eta = X[:, 0] * (1 + 0.7 * rng.normal(size=40))[groups] + rng.normal(size=40)[groups]
    y = eta + rng.normal(size=n)
    if kind == "classification":
        y = (y > 0).astype(int)

    def predict(X, y, groups, X_new, y_new, at):
        prior = HierarchicalLinear(target_type=kind).fit(X, y, groups=groups).prior_
        if kind == "classification":
            return MetaFewShotClassifier(prior).fit(X_new, y_new).predict_proba(at)[:, 1]
        return np.ravel(MetaFewShotRegressor(prior).fit(X_new, y_new).predict(at, return_std=True))

    rows, at = np.flatnonzero(groups == 7), rng.normal(size=(20, 3))
    expected = predict(X, y, groups, X[rows], y[rows], at)
    order, names = rng.permutation(n), rng.permutation(1000)[:40]
    moved = predict(X[order], y[order], names[groups][order], X[rows][::-1], y[rows][::-1], at)
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-8 * expected.std())
    factor, shift = np.array([1.8, 1000.0, 0.01]), np.array([32.0, 5.0, -100.0])
    scale, centre = (2.54, 100.0) if kind == "regression" else (1, 0)
    found = predict(
        *(X * factor + shift, y * scale + centre, groups),
        *(X[rows] * factor + shift, y[rows] * scale + centre, at * factor + shift),
    )
    if kind == "regression":
        found[:20] -= centre
        found /= scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * expected.std())
