"""The model of a family beside the transformer of InContextLearner."""

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway, norm
from sklearn.preprocessing import StandardScaler

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor, MetaPrior
from skmeta.backend import Rows, TaskTensors
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import (
    ExecutionOptions,
    HierarchicalLinear,
    InContextLearner,
    TaskSampling,
)
from skmeta.learners._core import read_prior
from skmeta.learners.in_context._binned import bin_edges
from skmeta.learners.in_context._mixture import (
    TEMPERATURES,
    estimate_weight,
    temper_bins,
    temper_classes,
)
from skmeta.learners.in_context._pooled_model import (
    fit_mixed_model,
    predict_pooled,
    shrunken_location_and_scale,
    variance_components,
)

SMALL = {"width": 16, "n_layers": 2, "n_heads": 2, "cell_width": 4}
FIT = {
    "sampling": TaskSampling("class"),
    "n_shot": 5,
    "n_query": 20,
    "n_iterations": 2,
    "validation": 0,
}


def family(n_tasks=40, n_rows=30, seed=0, spread=6.0):
    """Tasks with a common slope and intercepts of their own; y = 50 + 4 x_0 + u + noise."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal([3.0, -1.0, 0.0], [10.0, 1.0, 0.1], size=(len(groups), 3))
    u = rng.normal(scale=spread, size=n_tasks)
    y = 50 + 0.4 * (X[:, 0] - 3) + u[groups] + rng.normal(scale=3.0, size=len(groups))
    return X, y, groups


@pytest.fixture(scope="module")
def prior():
    return InContextLearner(prior="tabular", **FIT, random_state=0).fit(*family()).prior_


def test_variance_components_of_equal_groups_are_those_of_the_f_test():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 7)
    values = rng.normal(size=12)[groups] + rng.normal(size=84)
    between, within = variance_components(values, groups)
    parts = [values[groups == g] for g in range(12)]
    assert within == pytest.approx(np.mean([p.var(ddof=1) for p in parts]))
    assert 7 * between / within + 1 == pytest.approx(f_oneway(*parts).statistic)


def test_variance_components_of_unequal_groups_have_no_bias():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), rng.integers(1, 12, 30))
    found = [
        variance_components(
            2 * rng.normal(size=30)[groups] + 3 * rng.normal(size=len(groups)), groups
        )
        for _ in range(400)
    ]
    np.testing.assert_allclose(np.mean(found, axis=0), [4, 9], rtol=0.06)


def test_without_groups_of_two_rows_all_variance_is_within():
    values = np.array([1.0, 3.0, 5.0])
    assert variance_components(values, np.arange(3)) == (0.0, values.var())
    assert variance_components(values, np.zeros(3)) == (0.0, values.var())


def without_mixed_model(prior):
    """Tensors of a prior without the model of the family."""
    return {n: v for n, v in prior.tensors.items() if not n.startswith("mixed.")}


def estimate_of(X, y, groups):
    found = fit_mixed_model(StandardScaler().fit_transform(X), (y - y.mean()) / y.std(), groups)
    return {n: v.numpy().astype(np.float32) for n, v in found.items()}


def test_few_rows_of_a_known_family_are_enough(prior):
    X, y, groups = family(60, 40, seed=1)
    errors = {"family": [], "alone": [], "best": []}
    inside = []
    for g in np.unique(groups):
        X_g, y_g = X[groups == g], y[groups == g]
        for name, given in (("family", prior), ("alone", None)):
            reg = MetaFewShotRegressor(given).fit(X_g[:5], y_g[:5])
            errors[name].append(np.mean((reg.predict(X_g[5:]) - y_g[5:]) ** 2))
            if name == "family":
                low, high = reg.predict_quantiles(X_g[5:], [0.05, 0.95]).T
                inside.append(np.mean((low <= y_g[5:]) & (y_g[5:] <= high)))
        residual = y_g - 50 - 0.4 * (X_g[:, 0] - 3)
        best = residual[:5].mean() * 5 * 36 / (5 * 36 + 9)
        errors["best"].append(np.mean((residual[5:] - best) ** 2))
    mean = {name: np.mean(e) for name, e in errors.items()}
    assert mean["family"] < 1.06 * mean["best"] < 0.7 * mean["alone"]
    assert 0.85 < np.mean(inside) < 0.95


def test_a_family_is_known_after_a_file(prior, tmp_path):
    X, y, _ = family(1, 20, seed=2)
    prior.save(tmp_path / "family.skmeta")
    again = MetaPrior.load(tmp_path / "family.skmeta")
    found, expected = (
        MetaFewShotRegressor(p).fit(X[:5], y[:5]).predict(X[5:], return_std=True)
        for p in (again, prior)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_missing_values_are_allowed():
    X, y, groups = family(10, 12)
    X[::5, 1] = np.nan
    X[:, 2] = np.nan
    learner = InContextLearner(**SMALL, **FIT, random_state=0).fit(X, y, groups)
    assert all(np.isfinite(v).all() for v in learner.prior_.tensors.values())
    reg = MetaFewShotRegressor(learner.prior_).fit(X[:6], y[:6])
    assert np.isfinite(reg.predict(X[:12])).all()


def test_images_and_tasks_over_new_classes_have_no_family():
    X, y, groups = family(10, 12)
    learner = InContextLearner(**SMALL, **FIT, random_state=0)
    images = np.repeat(X[:, :, None, None], 4, axis=3)
    tensors = learner.fit(images, y, groups).prior_.tensors
    assert not any(name.startswith(("family.", "mixed.")) for name in tensors)
    prior = learner.set_params(n_way=3, n_query=3).fit(X, groups).prior_
    assert not any(name.startswith(("family.", "mixed.")) for name in prior.tensors)
    assert prior.classes is None


def class_family(n_tasks=40, n_rows=30, seed=0):
    """Tasks with one rule for three labels in common, nearly."""
    X, y, groups = family(n_tasks, n_rows, seed, spread=1.5)
    labels = np.array(["low", "middle", "high"])
    return X, labels[np.digitize(y, [48, 52])], groups


@pytest.fixture(scope="module")
def class_prior():
    X, y, groups = class_family()
    learner = InContextLearner(prior="tabular", **(FIT | {"n_shot": 2}), random_state=0)
    return learner.fit(X, y, groups).prior_


@pytest.mark.slow
def test_few_rows_of_a_known_family_of_classes_are_enough(class_prior):
    X, y, groups = class_family(60, 40, seed=1)
    assert class_prior.classes.tolist() == ["high", "low", "middle"]
    risk = {"family": [], "alone": []}
    for g in np.unique(groups):
        X_g, y_g = X[groups == g], y[groups == g]
        if len(set(y_g[:6])) < 2:
            continue
        for name, given in (("family", class_prior), ("alone", None)):
            clf = MetaFewShotClassifier(given).fit(X_g[:6], y_g[:6])
            known = np.isin(y_g, clf.classes_)
            known[:6] = False
            p = clf.predict_proba(X_g[known])
            at = np.searchsorted(clf.classes_, y_g[known])
            risk[name].append(-np.log(p[np.arange(len(at)), at]).mean())
    mean = {name: np.mean(r) for name, r in risk.items()}
    assert mean["family"] < 0.9 * mean["alone"]


def test_labels_that_the_family_does_not_know_are_learned_from_their_rows(class_prior):
    X, y, _ = class_family(2, 30, seed=3)
    few, rest = slice(None, None, 3), slice(1, None, 3)
    without = without_mixed_model(class_prior)
    alone = MetaFewShotClassifier(class_prior.replace(tensors=without, classes=None))
    names = {"high": "a", "low": "b", "middle": "c"}
    other = np.array([names[label] for label in y])
    found = MetaFewShotClassifier(class_prior).fit(X[few], other[few]).predict_proba(X[rest])
    expected = alone.fit(X[few], other[few]).predict_proba(X[rest])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    known = MetaFewShotClassifier(class_prior).fit(X[few], y[few]).predict_proba(X[rest])
    assert np.abs(known - found).max() > 0.05


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_the_model_alone_is_hierarchical_linear(prior, class_prior, kind):
    """With all weight on the model, predictions are those of the other learner."""
    X, y, groups = family() if kind == "regression" else class_family()
    of_kind = prior if kind == "regression" else class_prior
    estimator = MetaFewShotRegressor if kind == "regression" else MetaFewShotClassifier
    tensors = dict(of_kind.tensors) | {"mixed.share": np.float32(3.0)}
    other = HierarchicalLinear(task_type=kind).fit(X, y, groups=groups).prior_
    found = estimator(of_kind.replace(tensors=tensors)).fit(X[:6], y[:6])
    expected = estimator(other).fit(X[:6], y[:6])
    if kind == "classification":
        np.testing.assert_array_equal(found.classes_, expected.classes_)
        p = expected.predict_proba(X[6:40])
        np.testing.assert_allclose(found.predict_proba(X[6:40]), p, atol=1e-4)
        return
    np.testing.assert_allclose(found.predict(X[6:40]), expected.predict(X[6:40]), rtol=1e-4)
    # Its distribution is that of the bins.
    levels = [0.05, 0.5, 0.95]
    np.testing.assert_allclose(
        found.predict_quantiles(X[6:40], levels),
        expected.predict_quantiles(X[6:40], levels),
        atol=1,
    )
    stds = (reg.predict(X[6:40], return_std=True)[1] for reg in (found, expected))
    np.testing.assert_allclose(*stds, rtol=0.03)


def test_more_rows_count_for_the_transformer(class_prior):
    X, y, _ = class_family(1, 60, seed=4)
    shares = {"mixture": None, "model": 3.0, "transformer": -3.0}
    c = 6.0
    for n in (6, 30):
        p = {}
        for name, share in shares.items():
            share = np.log(c) / 20 if share is None else share
            tensors = dict(class_prior.tensors) | {"mixed.share": np.float32(share)}
            clf = MetaFewShotClassifier(class_prior.replace(tensors=tensors)).fit(X[:n], y[:n])
            p[name] = clf.predict_proba(X[30:])
        expected = (c * p["model"] + n * p["transformer"]) / (c + n)
        np.testing.assert_allclose(p["mixture"], expected, atol=1e-5)


def test_a_class_without_rows_has_a_probability(class_prior):
    X, y, _ = class_family(1, 60, seed=4)
    rows = np.flatnonzero(y == "high")[:3]
    clf = MetaFewShotClassifier(class_prior).fit(X[rows], y[rows])
    assert clf.classes_.tolist() == ["high", "low", "middle"]
    p = clf.predict_proba(X)
    assert (p > 1e-6).all()
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    # One row at a time, or all at once.
    np.testing.assert_allclose(clf.predict_proba(X[3:4])[0], p[3], atol=1e-9)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_gradients_of_the_family_are_right(kind):
    """Against finite differences, in float64."""
    X, y, groups = family(6, 12)
    n_outputs = 1
    if kind == "classification":
        y, n_outputs = np.arange(len(y)) % 3, 3
    learner = InContextLearner(
        **SMALL, **FIT, execution=ExecutionOptions(precision="float64"), random_state=0
    )
    state = {
        n: torch.tensor(v, dtype=torch.float64)
        for n, v in learner.fit(X, y, groups).prior_.tensors.items()
        if not n.startswith("scaler.")
    }
    targets = y if kind == "classification" else (y - y.mean()) / y.std()
    rows = torch.tensor((X - X.mean(0)) / X.std(0)), torch.tensor(targets)
    sets = [Rows(rows[0][s], rows[1][s], torch.ones(6).double()) for s in (slice(6), slice(6, 12))]
    session, _ = read_prior(
        learner.prior_,
        InContextLearner,
        classes=range(n_outputs),
        device="cpu",
        precision="float64",
        learner_precision="float64",
    )

    def loss(at):
        return learner.meta_loss(session.context, at, TaskTensors(*sets))[0]

    gradient = torch.func.grad(loss)(state)
    names = [n for n in state if n.startswith(("family.", "mixed."))]
    assert "mixed.share" in names
    assert len(names) >= 4
    for name in names:
        if name.startswith("mixed.") and name not in ("mixed.share", "mixed.temperature"):
            # Meta-training leaves the model as it was estimated.
            assert not gradient[name].any()
            continue
        direction = torch.linspace(1, 2, state[name].numel(), dtype=torch.float64)
        direction = direction.reshape(state[name].shape)
        h = 1e-5
        slopes = [loss(state | {name: state[name] + s * h * direction}) for s in (1, -1)]
        slope = float((slopes[0] - slopes[1]) / (2 * h))
        found = float((gradient[name] * direction).sum())
        assert found == pytest.approx(slope, rel=1e-5, abs=1e-8), name
        assert slope != 0, name


def test_the_weight_of_the_model_is_the_likeliest():
    rng = np.random.default_rng(0)
    own, w = rng.normal(0.0, 2.0, (200, len(TEMPERATURES))), rng.integers(0, 3, 200).astype(float)
    of_model, rows = rng.normal(0.3, 2.0, 200), rng.integers(1, 20, 200)
    own[:, 3] += 0.4
    c, temperature = estimate_weight(own, of_model, np.log(rows), w)
    grid = np.exp(np.linspace(-3, 6, 2001))
    share = grid[:, None] / (grid[:, None] + rows)
    risks = [
        -(w * np.log(share * np.exp(of_model) + (1 - share) * np.exp(at))).sum(1) for at in own.T
    ]
    best = np.argmin([risk.min() for risk in risks])
    assert temperature == TEMPERATURES[best]
    assert c == pytest.approx(grid[risks[best].argmin()], rel=0.01)


def test_a_temperature_is_a_power_of_the_density():
    p = torch.tensor([[0.6, 0.3, 0.1]], dtype=torch.float64)
    expected = p.sqrt() / p.sqrt().sum()
    np.testing.assert_allclose(temper_classes(p.log(), 2.0).exp(), expected)
    edges = bin_edges().numpy()
    bins = np.diff(np.r_[0, norm.cdf(edges), 1])
    found = temper_bins(torch.tensor(bins).clamp_min(1e-300).log()[None], 4.0).exp()[0].numpy()
    # A normal density to the power 1/4 is one of twice the standard deviation.
    wide = np.diff(np.r_[0, norm(scale=2).cdf(edges), 1])
    np.testing.assert_allclose(found[1:-1], wide[1:-1], atol=0.003)
    np.testing.assert_allclose(found.sum(), 1)


def test_a_family_without_a_line_is_learned_like_any_table():
    """Sinusoids of any phase have no line in common: their family gets little weight."""
    X, y, groups = make_sinusoid_tasks(40, 30, random_state=0)
    prior = InContextLearner(prior="tabular", **(FIT | {"n_shot": 10}), random_state=0)
    prior = prior.fit(X[groups < 20], y[groups < 20], groups[groups < 20]).prior_
    errors = {"family": [], "alone": []}
    for g in range(20, 40):
        X_g, y_g = X[groups == g], y[groups == g]
        for name, given in (("family", prior), ("alone", None)):
            reg = MetaFewShotRegressor(given).fit(X_g[:10], y_g[:10])
            errors[name].append(np.mean((reg.predict(X_g[10:]) - y_g[10:]) ** 2))
    # The weight of the model at 10 rows.
    assert torch.sigmoid(20 * torch.tensor(prior.tensors["mixed.share"]) - np.log(10)) < 0.2
    assert np.mean(errors["family"]) < 1.1 * np.mean(errors["alone"])


def test_the_centre_lies_between_the_family_and_the_rows():
    X, y, groups = family()
    state = {n: torch.tensor(v) for n, v in estimate_of(X, y, groups).items()}
    x = torch.zeros(4, 3)
    assert float(predict_pooled(state, x)[0]) == pytest.approx(float(state["family.bias"]))
    residuals = torch.full((4,), 2.0)
    centres = [
        float(shrunken_location_and_scale(state, residuals, torch.full((4,), w))[0])
        for w in (0.01, 1.0, 100.0)
    ]
    assert 0 < centres[0] < centres[1] < centres[2] < 2
