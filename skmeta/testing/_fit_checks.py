"""Checks of what a learner does as an estimator."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import get_tags

from skmeta.learners import ExecutionOptions, MetaLearner, TaskSampling
from skmeta.priors import MetaPrior
from skmeta.testing._bench import (
    N_FEATURES,
    has_outer_loop,
    make_grouped_table,
    make_table,
    predict_with_prior,
    raised_by,
    small_clone,
)


def fit_is_reproducible(learner: MetaLearner, kind: str) -> None:
    """The same random_state gives the same prior, bit by bit, for one thread and two."""
    table = make_table(learner, kind)
    threads = [ExecutionOptions("threads", precision="float64", n_jobs=n) for n in (1, 2)]
    runs = [{}, {}, *({"execution": execution} for execution in threads)]
    fits = [small_clone(learner, **changes).fit(*table) for changes in runs]
    _assert_same_prior(fits[1].prior_, fits[0].prior_, "a second fit")
    _assert_same_prior(fits[3].prior_, fits[2].prior_, "a fit with n_jobs=2 instead of 1")
    if has_outer_loop(learner):
        other = small_clone(learner, random_state=1).fit(*table)
        assert _learned_differs(other, fits[0]), "random_state has no effect"


def global_random_numbers_are_left_alone(learner: MetaLearner, kind: str) -> None:
    """Neither NumPy's nor torch's global generator is used."""
    small, table = small_clone(learner), make_table(learner, kind)
    unseen = make_table(learner, kind, seed=1)
    calls: dict[str, Callable[[], Any]] = {
        "fit": lambda: small.fit(*table),
        "score": lambda: small.score(*unseen),
        "score_tasks": lambda: small.score_tasks(*unseen, n_tasks=2),
        "adapt": lambda: predict_with_prior(learner, small.prior_, unseen),
    }
    for name, call in calls.items():
        numpy_before, torch_before = _numpy_global_state(), torch.random.get_rng_state()
        call()
        numpy_after, torch_after = _numpy_global_state(), torch.random.get_rng_state()
        assert numpy_before == numpy_after, f"{name} draws from NumPy's global generator"
        assert torch.equal(torch_before, torch_after), f"{name} draws from torch's global generator"


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


def _numpy_global_state() -> str:
    return repr(np.random.get_state(legacy=False))  # noqa: NPY002 (the global generator is meant)


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


def _learned_differs(found: MetaLearner, expected: MetaLearner) -> bool:
    a, b = (fitted.prior_.tensors for fitted in (found, expected))
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


def _assert_same_prior(found: MetaPrior, expected: MetaPrior, what: str) -> None:
    assert list(found.tensors) == list(expected.tensors), f"{what} gives other tensors"
    for name, value in expected.tensors.items():
        assert np.array_equal(found.tensors[name], value), f"{what} gives another {name}"


def prior_survives_a_file(learner: MetaLearner, kind: str) -> None:
    """Saved and loaded, or pickled, a prior is equal and predicts the same."""
    fitted = small_clone(learner).fit(*make_table(learner, kind))
    unseen = make_table(learner, kind, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prior.skmeta"
        fitted.prior_.save(path)
        loaded = MetaPrior.load(path)
    expected = predict_with_prior(learner, fitted.prior_, unseen)
    assert np.isfinite(expected).all(), "predictions of a fitted learner are not finite"
    for prior in (loaded, pickle.loads(pickle.dumps(fitted.prior_))):
        assert prior == fitted.prior_, "a prior changes when saved and loaded"
        found = predict_with_prior(learner, prior, unseen)
        assert np.array_equal(found, expected), "a loaded prior predicts something else"


def parameters_follow_scikit_learn(learner: MetaLearner, kind: str) -> None:
    """A learner can be cloned, printed and pickled, and its parameters can be read and set."""
    small = small_clone(learner)
    params = small.get_params()
    copy: MetaLearner = clone(small)
    assert type(copy) is type(small)
    assert copy.get_params() == params, "clone changes a parameter"
    assert copy.set_params(n_query=7) is copy, "set_params does not return self"
    assert copy.n_query == 7
    assert small.n_query != 7, "a clone shares its parameters with the original"
    assert isinstance(raised_by(lambda: copy.set_params(no_such_parameter=1)), ValueError), (
        "set_params accepts a parameter that does not exist"
    )
    assert set(vars(small)) == set(small.get_params(deep=False)), (
        "the constructor stores more, or less, than its inputs"
    )
    assert type(small).__name__ in repr(small), "repr does not name the class"
    assert pickle.loads(pickle.dumps(small)).get_params() == params, "pickling loses a parameter"


def fitted_learner_can_be_pickled(learner: MetaLearner, kind: str) -> None:
    """A pickle of a fitted learner scores the same; a clone of it is not fitted."""
    fitted = small_clone(learner).fit(*make_table(learner, kind))
    unseen = make_table(learner, kind, seed=1)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert loaded.prior_ == fitted.prior_, "pickling changes the prior"
    assert loaded.score(*unseen) == fitted.score(*unseen), "pickling changes the score"
    assert not hasattr(clone(fitted), "prior_"), "a clone of a fitted learner is fitted"


def bad_input_is_refused(learner: MetaLearner, kind: str) -> None:
    """Bad input raises a ValueError before any work is done."""
    X, y, groups = make_table(learner, kind)
    with_nan, with_inf = X.copy(), X.copy()
    with_nan[1, 2], with_inf[3, 0] = np.nan, np.inf
    calls = {
        "an infinity in X": lambda: small_clone(learner).fit(with_inf, y, groups),
        "y that is too short": lambda: small_clone(learner).fit(X, y[:-1], groups),
        "an X without rows": lambda: small_clone(learner).fit(X[:0], y[:0], groups),
    }
    for name in {"head_init", "task_type", "meta_optimizer"} & set(learner.get_params(deep=False)):
        unknown = small_clone(learner, **{name: "?"})
        calls[f"an unknown {name}"] = partial(unknown.fit, X, y, groups)
    if not get_tags(learner).input_tags.allow_nan:
        calls["NaN in X"] = lambda: small_clone(learner).fit(with_nan, y, groups)
    if groups is not None:
        calls["groups that are too short"] = lambda: small_clone(learner).fit(X, y, groups[:-1])
    for what, call in calls.items():
        error = raised_by(call)
        assert isinstance(error, ValueError), f"{what} gives {error!r} instead of a ValueError"
        assert str(error), f"{what} gives an error without a message"
    fitted = small_clone(learner).fit(X, y, groups)
    error = raised_by(lambda: fitted.score(X[:, 1:], y, groups))
    assert isinstance(error, ValueError), "score accepts another number of features than fit had"
