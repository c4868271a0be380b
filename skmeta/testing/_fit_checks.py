"""Checks of what a learner does as an estimator."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from skmeta.learners import ExecutionOptions, MetaLearner, TaskSampling
from skmeta.priors import MetaPrior
from skmeta.testing._bench import (
    N_FEATURES,
    has_outer_loop,
    make_grouped_table,
    make_table,
    predict_with_prior,
    small_clone,
)


def fit_is_reproducible(learner: MetaLearner, kind: str) -> None:
    """The same random_state gives the same prior, bit by bit, whatever the global generators."""
    table, before = make_table(learner, kind), _global_states()
    threads = [ExecutionOptions("threads", precision="float64", n_jobs=n) for n in (1, 2)]
    runs = [{}, {}, *({"execution": execution} for execution in threads)]
    fits = [small_clone(learner, **changes).fit(*table) for changes in runs]
    _assert_same_prior(fits[1].prior_, fits[0].prior_, "a second fit")
    _assert_same_prior(fits[3].prior_, fits[2].prior_, "a fit with n_jobs=2 instead of 1")
    unseen = make_table(learner, kind, seed=1)
    fits[0].score_tasks(*unseen, n_tasks=2)
    predict_with_prior(learner, fits[0].prior_, unseen)
    assert _global_states() == before, "a global generator of NumPy or torch is used"
    if has_outer_loop(learner):
        other = small_clone(learner, random_state=1).fit(*table)
        assert _learned_differs(other, fits[0]), "random_state has no effect"


def _global_states() -> tuple[str, list[int]]:
    numpy = repr(np.random.get_state(legacy=False))  # noqa: NPY002 (the global generator is meant)
    return numpy, torch.random.get_rng_state().tolist()


def groups_are_learned(learner: MetaLearner, kind: str) -> None:
    """Tasks may be groups. Some groups, and a new task, may lack a class."""
    needs_all = learner.needs_every_class(learner.resolve_head(kind, "groups"))
    shots_per = "class" if needs_all or kind == "regression" else "task"
    fitted = small_clone(learner, sampling=TaskSampling(shots_per)).fit(*make_grouped_table(kind))
    unseen = make_grouped_table(kind, seed=1)
    losses = fitted.history_.get("train_loss", [])
    assert np.isfinite(losses).all(), "the loss over groups is not finite"
    assert np.isfinite(fitted.score(*unseen)), "the score over groups is not finite"
    tasks: tuple[tuple[int, ...], ...] = ((0, 1, 2), (0, 2), (2, 1))
    for classes in tasks if kind == "classification" else ((0,),):
        outputs = predict_with_prior(learner, fitted.prior_, unseen, classes)
        assert outputs.shape == (len(unseen.y), len(classes))
        assert np.isfinite(outputs).all(), f"outputs for the classes {classes} are not finite"


def fit_changes_the_state_and_keeps_the_parameters(learner: MetaLearner, kind: str) -> None:
    """Meta-training learns something, and writes to fitted attributes only."""
    small, table = small_clone(learner), make_table(learner, kind)
    params = dict(small.get_params())
    assert small.fit(*table) is small, "fit does not return self"
    assert small.get_params() == params, "fit changed a constructor parameter"
    assert small.n_features_in_ == N_FEATURES
    assert small.prior_.kind == kind
    if not has_outer_loop(learner):
        return
    assert small.history_["iteration"] == [2, 4, 6], "history_ needs one entry per evaluation"
    assert np.isfinite(small.history_["validation_score"]).all()
    # Without validation the last state is kept, so each iteration shows.
    short, longer = (small_clone(learner, n_iterations=n, validation=0).fit(*table) for n in (1, 3))
    assert _learned_differs(longer, short), "the number of iterations has no effect"


def _learned_differs(actual: MetaLearner, expected: MetaLearner) -> bool:
    a, b = (fitted.prior_.tensors for fitted in (actual, expected))
    return any(not np.array_equal(a[n], b[n]) for n in b if not n.startswith("scaler."))


def score_is_a_finite_number(learner: MetaLearner, kind: str) -> None:
    """Tasks not seen in meta-training get the same finite score each time."""
    fitted = small_clone(learner).fit(*make_table(learner, kind))
    unseen = make_table(learner, kind, seed=1)
    scores = [fitted.score(*unseen) for _ in range(2)]
    assert isinstance(scores[0], float), f"score returns a {type(scores[0]).__name__}"
    assert np.isfinite(scores[0]), f"score is {scores[0]}"
    assert scores[0] == scores[1], "score gives another value when called again"
    each = fitted.score_tasks(*unseen, n_tasks=3)
    assert each.shape == (3,), f"score_tasks returns the shape {each.shape} for 3 tasks"


def interrupted_fit_resumes_exactly(learner: MetaLearner, kind: str) -> None:
    """A fit that is interrupted and started again gives the result of an uninterrupted one."""
    if not has_outer_loop(learner):
        return
    table = make_table(learner, kind)
    expected = small_clone(learner).fit(*table)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        stopped = small_clone(learner, checkpoint=path)
        _interrupt_after(stopped, n_calls=3)
        try:
            stopped.fit(*table)
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("fit swallows a KeyboardInterrupt, or calls no mean_gradient")
        assert path.exists(), "an interrupted fit leaves no checkpoint"
        resumed = small_clone(learner, checkpoint=path).fit(*table)
    _assert_same_prior(resumed.prior_, expected.prior_, "a resumed fit")
    for name in set(expected.history_) - {"seconds"}:
        assert resumed.history_[name] == expected.history_[name], (
            f"history_[{name!r}] of a resumed fit differs"
        )


def _interrupt_after(learner: MetaLearner, n_calls: int) -> None:
    mean_gradient, calls = learner.mean_gradient, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > n_calls:
            raise KeyboardInterrupt
        return mean_gradient(*arguments)

    # On the instance: a subclass would have another name, and so be another run.
    learner.__dict__["mean_gradient"] = interrupted


def _assert_same_prior(actual: MetaPrior, expected: MetaPrior, what: str) -> None:
    assert list(actual.tensors) == list(expected.tensors), f"{what} gives other tensors"
    for name, value in expected.tensors.items():
        assert np.array_equal(actual.tensors[name], value), f"{what} gives another {name}"


def prior_survives_a_file(learner: MetaLearner, kind: str) -> None:
    """Saved and loaded, or pickled, a prior is equal and predicts the same; a clone has none."""
    fitted = small_clone(learner).fit(*make_table(learner, kind))
    unseen = make_table(learner, kind, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prior.skmeta"
        fitted.prior_.save(path)
        loaded = MetaPrior.load(path)
    expected = predict_with_prior(learner, fitted.prior_, unseen)
    assert np.isfinite(expected).all(), "predictions of a fitted learner are not finite"
    assert not hasattr(clone(fitted), "prior_"), "a clone of a fitted learner is fitted"
    for prior in (loaded, pickle.loads(pickle.dumps(fitted.prior_))):
        assert prior == fitted.prior_, "a prior changes when saved and loaded"
        actual = predict_with_prior(learner, prior, unseen)
        assert np.array_equal(actual, expected), "a loaded prior predicts something else"
