"""Held-out tasks, the losses on them, the rule of one standard error, and what is said of it."""

import numpy as np
import pytest
from builders import make_intercepts
from scipy.stats import sem
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import MetaFewShotRegressor
from skmeta.learners import HierarchicalLinear
from skmeta.learners.auto._candidates import (
    OWN,
    POOLED,
    TREES,
    Entry,
    make_candidates,
    measure_learner,
    plain_entries,
)
from skmeta.learners.auto._learner import choose, summarise
from skmeta.learners.auto._tasks import design_classes, design_groups


def small_design(kind="regression", n_groups=9, n_shot=(3, 5)):
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(n_groups), 10)
    X = rng.normal(size=(10 * n_groups, 3))
    y = X[:, 0] + rng.normal(size=n_groups)[groups]
    y = y if kind == "regression" else (y > 0).astype(int)
    return design_groups(kind, X, y, groups, n_shot, 15, rng)


def test_pooled_rows_are_a_ridge_regression():
    design = small_design()
    losses = {entry.name: entry.loss for entry in plain_entries(design)}
    assert set(losses) == {POOLED, OWN, TREES}
    held_out = [(train, draws) for train, tasks in design.folds for draws in tasks]
    for (train, draws), loss in zip(held_out, losses[POOLED], strict=True):
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
        model.fit(design.X[train], design.y[train])
        queries = [task.take(design.X)[2:] for task in draws]
        errors = [np.mean((model.predict(x) - y) ** 2) for x, y in queries]
        assert loss == pytest.approx(np.mean(errors) / design.y.var())


def test_the_loss_of_a_prior_is_that_of_its_estimator():
    design = small_design()
    (entry,) = make_candidates([HierarchicalLinear()], design, "cpu")
    measure_learner(entry, design, 0, "cpu")
    losses = iter(entry.loss)
    for rows, tasks in design.folds:
        fitted = clone(entry.learner).fit(design.X[rows], design.y[rows], design.groups[rows])
        reg = MetaFewShotRegressor(fitted.prior_)
        for draws in tasks:
            parts = [task.take(design.X) for task in draws]
            errors = [np.mean((reg.fit(x, y).predict(q) - true) ** 2) for x, y, q, true in parts]
            assert next(losses) == pytest.approx(np.mean(errors) / design.y.var())


def compared(name, loss, error=""):
    learner = None if name.endswith("(plain)") else HierarchicalLinear()
    return Entry(name, learner, error=error, loss=np.asarray(loss, dtype=float))


NOISE = np.random.default_rng(0).normal(size=40)


@pytest.mark.parametrize(
    ("advantage", "noise", "first"), [(0.1, 3.0, "simple"), (0.1, 0.1, "complex")]
)
def test_the_simplest_learner_within_one_standard_error_is_chosen(advantage, noise, first):
    # Tasks differ much more than learners: only the comparison by pairs can tell.
    level = np.linspace(1, 9, 40)
    results = [
        compared("simple", level),
        compared("bad", level + 5),
        compared("complex", level - advantage + noise * NOISE - noise * NOISE.mean()),
        compared("failed", np.zeros(40), "it diverged"),
    ]
    assert choose(results, np.ones(40)).name == first


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (1.0, "Meta-learning pays here"),
        (0.3, "Meta-learning may pay here"),
        (0.1, "Whether meta-learning pays here cannot be told from 40 tasks"),
        (-0.2, "Meta-learning does not pay here"),
        (-1.0, "Meta-learning does not pay here"),
    ],
)
def test_the_summary_says_whether_meta_learning_pays(gain, verdict):
    noise = (NOISE - NOISE.mean()) / sem(NOISE) * 0.2  # The standard error is 0.2.
    plain = compared("pooled rows (plain)", np.full(40, 5.0))
    own = compared("HierarchicalLinear", 5.0 - gain + noise)
    text, is_beaten = summarise(small_design(n_groups=40, n_shot=4), [plain, own], own)
    assert text.startswith(f"{verdict}: on 40 held-out tasks HierarchicalLinear has a squared")
    assert f"pooled rows, has 5 (difference {gain:.2g} ± 0.4)" in text
    assert ("The plain model (pooled rows) does as well" in text) == (gain == -0.2)
    assert ("The plain model (pooled rows) is better" in text) == (gain == -1.0) == is_beaten
    assert ("mixed-effects model" in text) == (gain > 0.2)


@pytest.mark.parametrize(
    ("n_groups", "n_folds", "n_tasks"), [(10, 3, 10), (59, 3, 59), (60, 1, 20), (400, 1, 60)]
)
def test_few_groups_are_cross_fitted_and_many_are_not(n_groups, n_folds, n_tasks):
    X, y, groups = make_intercepts(n_groups=n_groups)
    rng = np.random.default_rng(0)
    design = design_groups("regression", X, y, groups, (2, 6), 15, rng)
    held_out = [(rows, draws) for rows, tasks in design.folds for draws in tasks]
    assert len(design.folds) == n_folds
    assert len(held_out) == len(design.weights) == n_tasks
    for rows, draws in held_out:
        used = np.concatenate([part for task in draws for part in (task.support, task.query)])
        assert len(set(groups[used])) == 1
        assert not set(groups[used]) & set(groups[rows])
        assert all(2 <= task.w_support.sum() <= 6 for task in draws)


@pytest.mark.parametrize(("n_way", "n_folds"), [(5, 2), (3, 1)])
def test_held_out_classes_are_not_learned_from(n_way, n_folds):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 8)
    design = design_classes(rng.normal(size=(96, 3)), y, (3,), n_way, (1, 4), 15, rng)
    assert len(design.folds) == n_folds
    assert design.task_size["n_query"] == 4
    assert len(design.weights) == 40
    for rows, tasks in design.folds:
        for (task,) in tasks:
            assert task.n_classes == n_way
            assert not set(task.classes) & set(y[rows])
