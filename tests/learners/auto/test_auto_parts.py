"""Plain models, the rule of one standard error, and what is said of the result."""

import numpy as np
import pytest
from scipy.stats import sem
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

from skmeta import MetaFewShotRegressor
from skmeta.learners import HierarchicalLinear
from skmeta.learners.auto._choice import leaderboard_rows, rank, summarise
from skmeta.learners.auto._losses import losses_of_prior, mean_and_error
from skmeta.learners.auto._plain import (
    BOTH,
    OWN,
    POOLED,
    TREES,
    _change,
    _pulled_line,
    plain_losses,
)
from skmeta.learners.auto._race import Result
from skmeta.learners.auto._tasks import Design, design_groups

RNG = np.random.default_rng(0)


def test_pooled_rows_are_a_ridge_regression():
    X = RNG.normal(size=(90, 3))
    groups, y = np.repeat(np.arange(9), 10), X[:, 0] + RNG.normal(size=90)
    design = design_groups("regression", X, y, groups, 4, 15, np.random.default_rng(0))
    losses = plain_losses(design)
    assert set(losses) == {POOLED, OWN, BOTH, TREES}
    for k, task in enumerate(design.tasks):
        train = design.folds[task.fold]
        centre, scale = X[train].mean(0), X[train].std(0)
        model = RidgeCV(np.logspace(-2, 4, 13)).fit((X[train] - centre) / scale, y[train])
        error = model.predict((X[task.query] - centre) / scale) - y[task.query]
        assert losses[POOLED][0][k] == pytest.approx(np.mean(error**2) / y.var(), rel=1e-6)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_trees_are_a_plain_model_that_summary_points_at(kind):
    rng = np.random.default_rng(0)
    X, groups = rng.uniform(-2, 2, (600, 2)), np.repeat(np.arange(60), 10)
    y = (X[:, 0] * X[:, 1] > 0).astype(float)
    design = design_groups(kind, X, y, groups, 4, 15, np.random.default_rng(0))
    losses = {name: loss for name, (loss, _) in plain_losses(design).items()}
    assert losses[TREES].mean() < 0.5 * min(losses[POOLED].mean(), losses[BOTH].mean())
    plain = [compared(name, loss, "plain") for name, loss in losses.items()]
    own = compared("HierarchicalLinear", losses[POOLED])
    text, is_beaten = summarise(design, [*plain, own], own)
    assert "The plain model (boosted trees on pooled rows) is better." in text
    assert is_beaten
    assert text.endswith("learns trees and groups together.")
    assert ("GroupedClassifier" in text) == (kind == "classification")


def test_a_pulled_line_is_a_ridge_regression_of_the_residuals():
    x, query = RNG.normal(size=(8, 3)), RNG.normal(size=(5, 3))
    y, pooled = RNG.normal(size=8), RNG.normal(size=(4, 1))
    ridge = Ridge(alpha=10.0, fit_intercept=False)
    z, z_query = (np.c_[np.ones(len(rows)), rows] for rows in (x, query))
    ridge.fit(z, y / 2 - z @ pooled[:, 0])
    expected = 2 * (z_query @ pooled[:, 0] + ridge.predict(z_query))
    found = _pulled_line(pooled, 10.0, 2.0)(x, y, query)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_change_of_logits_is_a_penalised_logistic_regression():
    x, y = RNG.normal(size=(30, 2)), RNG.integers(3, size=30)
    model = LogisticRegression(C=0.1, fit_intercept=False, tol=1e-10, max_iter=1000)
    model.fit(np.c_[np.ones(30), x], y)
    found = _change(x, np.eye(3)[y], np.zeros((3, 3)), 10.0)
    np.testing.assert_allclose(found, model.coef_.T, atol=1e-3)


def test_classes_that_no_row_has_are_no_certain_error():
    X = RNG.normal(size=(90, 2))
    groups, y = np.repeat(np.arange(9), 10), np.r_[np.full(30, 2), np.arange(60) % 2]
    design = design_groups("classification", X, y, groups, 4, 15, np.random.default_rng(0))
    for loss, seconds in plain_losses(design).values():
        assert np.isfinite(loss).all()
        assert (loss <= -np.log(1e-3 / 1.002) + 1e-9).all()
        assert seconds > 0


def test_the_loss_of_a_prior_is_that_of_its_estimator():
    X, groups = RNG.normal(size=(80, 2)), np.repeat(np.arange(8), 10)
    y = X[:, 0] + RNG.normal(size=8)[groups]
    design = design_groups("regression", X, y, groups, (3, 5), 15, np.random.default_rng(0))
    prior = HierarchicalLinear().fit(X, y, groups).prior_
    found = losses_of_prior(prior, design, design.tasks, "cpu")
    reg = MetaFewShotRegressor(prior)
    for task, loss in zip(design.tasks, found, strict=True):
        errors = [
            np.mean((reg.fit(X[s], y[s]).predict(X[task.query]) - y[task.query]) ** 2)
            for s in task.supports
        ]
        assert loss == pytest.approx(np.mean(errors) / y.var())


def test_a_prior_is_measured_on_fewer_tasks_if_time_is_short():
    X, groups = RNG.normal(size=(130, 2)), np.repeat(np.arange(13), 10)
    y = X[:, 0] + RNG.normal(size=13)[groups]
    design = design_groups("regression", X, y, groups, (3, 5), 15, np.random.default_rng(0))
    prior = HierarchicalLinear().fit(X, y, groups).prior_
    every = losses_of_prior(prior, design, design.tasks, "cpu")
    few = losses_of_prior(prior, design, design.tasks, "cpu", limit=0.0)
    assert np.isnan(few).tolist() == [False] * 10 + [True] * 3
    np.testing.assert_array_equal(few[:10], every[:10])


def test_the_standard_error_of_equal_weights_is_that_of_scipy():
    values = RNG.normal(size=12)
    mean, error = mean_and_error(values, np.full(12, 3.0))
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(sem(values))
    assert mean_and_error(values[:1], np.ones(1)) == (values[0], np.inf)


def compared(name, loss, status="compared"):
    return Result(name, np.asarray(loss, dtype=float), status)


NOISE = RNG.normal(size=40)


@pytest.mark.parametrize(
    ("advantage", "noise", "first"), [(0.1, 3.0, "simple"), (0.1, 0.1, "complex")]
)
def test_the_simplest_learner_within_one_standard_error_is_chosen(advantage, noise, first):
    # Tasks differ much more than learners: only the comparison by pairs can tell.
    of_task = np.linspace(1, 9, 40)
    results = [
        compared("simple", of_task),
        compared("bad", of_task + 5),
        compared("complex", of_task - advantage + noise * NOISE - noise * NOISE.mean()),
        compared("early", np.r_[np.zeros(10), np.full(30, np.nan)], "stopped"),
    ]
    order = [result.name for result in rank(results, np.ones(40))]
    assert order[0] == first
    assert order[-1] == "bad"
    assert "early" not in order


@pytest.mark.parametrize(("gain", "first"), [(0.0005, "simple"), (0.002, "complex")])
def test_a_certain_gain_of_almost_nothing_is_none(gain, first):
    of_task = np.linspace(1, 9, 40)  # the gain has no standard error
    results = [compared("simple", of_task), compared("complex", of_task - gain * of_task.mean())]
    assert rank(results, np.ones(40))[0].name == first


def test_learners_are_compared_on_tasks_that_all_of_them_had():
    half = np.r_[np.full(20, 1.0), np.full(20, np.nan)]
    whole = np.r_[np.full(20, 2.0), np.full(20, 0.0)]
    order = rank([compared("half", half), compared("whole", whole)], np.ones(40))
    assert [result.name for result in order] == ["half", "whole"]


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (1.0, "Meta-learning pays here"),
        (0.3, "Meta-learning may pay here"),
        (0.1, "Meta-learning does not pay here"),
        (-1.0, "Meta-learning does not pay here"),
    ],
)
def test_the_summary_says_whether_meta_learning_pays(gain, verdict):
    noise = (NOISE - NOISE.mean()) / sem(NOISE) * 0.2  # The standard error is 0.2.
    plain = compared("pooled rows (plain)", np.full(40, 5.0), "plain")
    own = compared("HierarchicalLinear", 5.0 - gain + noise)
    tasks = [None] * 40
    design = _design_of(tasks)
    text, is_beaten = summarise(design, [plain, own], own)
    assert text.startswith(f"{verdict}: on 40 held-out tasks HierarchicalLinear has a squared")
    assert f"pooled rows, has 5 (difference {gain:.2g} ± 0.39)" in text
    assert ("The plain model (pooled rows) does as well" in text) == (gain == 0.1)
    assert ("The plain model (pooled rows) is better" in text) == (gain == -1.0) == is_beaten
    assert ("mixed-effects model" in text) == (gain > 0.2)


class _Task:
    weight = 1.0


def _design_of(tasks):
    empty = np.zeros((0, 1))
    return Design(
        "regression", empty, empty[:, 0], None, (1,), (1, 1), 1, 0, [], [_Task() for _ in tasks]
    )


def test_the_leaderboard_puts_what_was_stopped_last():
    results = [
        compared("plain", np.full(4, 2.0), "plain"),
        compared("good", [1.0, 1.5, 0.5, 1.0]),
        compared("early", [0.1, np.nan, np.nan, np.nan], "stopped"),
    ]
    rows = leaderboard_rows(results, "good", np.ones(4))
    assert [row["learner"] for row in rows] == ["good", "plain", "early"]
    assert [row["chosen"] for row in rows] == [True, False, False]
    assert [row["n_tasks"] for row in rows] == [4, 4, 1]
