"""The published conformance suite: checks of a learner's methods, and of it as an estimator."""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from skmeta._backend import Rows, State, TaskTensors, tree_map
from skmeta._warnings import warn_caller
from skmeta.exceptions import PriorWarning
from skmeta.learners import Algorithm, ExecutionOptions, MetaLearner
from skmeta.learners._core import read_settings
from skmeta.priors import MetaPrior, is_of_rows
from skmeta.testing._bench import (
    N_FEATURES,
    N_TASKS,
    N_WAY,
    Bench,
    assert_close,
    make_benches,
    make_table,
    predict_with_prior,
    small_clone,
)
from skmeta.testing._worth import compare_with_plain

_STEP = 1e-6
_TOLERANCE = 1e-5


def zero_inner_steps_give_the_initial_state(learner: MetaLearner, kind: str) -> None:
    """Without an inner step, adaptation returns the state that it was given."""
    if not hasattr(learner, "n_inner_steps"):
        return
    for bench in make_benches(learner, kind, n_inner_steps=0):
        adapted = bench.adapt()
        shared = [name for name in bench.state if name in adapted]
        assert any(name.startswith("body.") for name in shared), "adapt returns no body.* weights"
        for name in shared:
            # A head's row that all classes share is repeated for each.
            expected = bench.state[name].expand_as(adapted[name])
            assert torch.equal(adapted[name], expected), f"{name} changed without an inner step"


def meta_gradient_is_right(learner: MetaLearner, kind: str) -> None:
    """The meta-gradient equals finite differences of the meta-loss.

    A first-order gradient, or one that a learner defines itself, differs from them on purpose. It
    must be finite and not zero, and have the names and shapes of the state.
    """
    own = learner.algorithm.meta_gradient is not Algorithm.meta_gradient
    is_exact = not own and not getattr(learner, "first_order", False)
    for bench in make_benches(learner, kind):
        slopes = _slopes(bench) if is_exact else []
        for mode in ("loop", "threads", "vmap"):
            gradient, metrics = bench.gradient(mode)
            _assert_like_state(gradient, bench.state)
            for name in ("loss", "score"):
                value = metrics.get(name, torch.tensor(torch.nan))
                assert value.shape == (), f"the metric {name!r} is not a single number"
                assert torch.isfinite(value), f"meta_gradient returns no finite metric {name!r}"
            for direction, expected in slopes:
                slope = sum(float((gradient[n] * d).sum()) for n, d in direction.items())
                # The norm is the typical slope along a normal direction; a single slope may be
                # close to zero by chance.
                error = abs(slope - expected) / max(abs(expected), _norm(gradient))
                assert error < _TOLERANCE, (
                    f"along a random direction ({mode}) the meta-gradient is {slope:.8g}, finite "
                    f"differences give {expected:.8g}: relative error {error:.1e}"
                )


def _assert_like_state(gradient: State, state: State) -> None:
    shapes = {name: tuple(value.shape) for name, value in gradient.items()}
    expected = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes == expected, f"the gradient has the shapes {shapes}, the state {expected}"
    for name, value in gradient.items():
        assert torch.isfinite(value).all(), f"the gradient of {name} is not finite"
    assert _norm(gradient) > 0, "the gradient is zero"


def _norm(gradient: State) -> float:
    return float(torch.cat([value.flatten() for value in gradient.values()]).norm())


def _slopes(bench: Bench) -> list[tuple[State, float]]:
    """Random directions, and the slope of the meta-loss along each by central differences."""
    generator = torch.Generator().manual_seed(2)
    slopes = []
    for _ in range(3):
        direction = {
            n: torch.randn(v.shape, generator=generator, dtype=v.dtype)
            for n, v in bench.state.items()
        }
        up, down = (
            bench.mean_loss({n: v + step * direction[n] for n, v in bench.state.items()})
            for step in (_STEP, -_STEP)
        )
        slopes.append((direction, (up - down) / (2 * _STEP)))
    return slopes


def ways_of_execution_agree(learner: MetaLearner, kind: str) -> None:
    """Loop, threads, vmap whole and in chunks give the mean of each task's own gradient."""
    for bench in make_benches(learner, kind):
        expected = bench.gradient("loop")
        for mode, chunk_size in (("threads", None), ("vmap", None), ("vmap", 2)):
            actual = bench.gradient(mode, chunk_size)
            assert_close(actual, expected, f"{mode} (chunk_size={chunk_size}) differs from a loop")
        gradients = [bench.task_gradient(bench.task(i)) for i in range(N_TASKS)]
        mean = tree_map(lambda *values: torch.stack(values).mean(0), *gradients)
        assert_close(mean, expected, "mean_gradient differs from the mean of meta_gradient")


def rows_count_alike(learner: MetaLearner, kind: str) -> None:
    """Predictions depend on no order of rows, no other query row, and no row of weight 0."""
    for bench in make_benches(learner, kind):
        task, expected = bench.task(), bench.predict()
        turned = bench.predict(Rows(*(part.flip(0) for part in task.support)))
        assert_close(turned, expected, "support rows in another order give other predictions")
        alone = torch.cat([bench.predict(x=row[None]) for row in task.query.x])
        assert_close(alone, expected, "a row alone has another prediction than among others")
    bench = next(make_benches(learner, kind))
    task, expected = bench.task(), bench.predict()
    padded = TaskTensors(_pad(task.support), _pad(task.query))
    assert_close(bench.predict(padded.support), expected, "rows of weight 0 change predictions")
    gradient, with_padding = bench.task_gradient(task), bench.task_gradient(padded)
    assert_close(with_padding, gradient, "rows of weight 0 change the meta-gradient")


def _pad(rows: Rows) -> Rows:
    return Rows(
        torch.cat([rows.x, rows.x[:2] + 3.0]),
        torch.cat([rows.y, rows.y[1:3]]),
        torch.cat([rows.w, torch.zeros(2, dtype=rows.w.dtype)]),
    )


def number_of_classes_is_free(learner: MetaLearner, kind: str) -> None:
    """A task may have any number of classes, unless the head learns a row for each.

    A class without support rows leaves outputs and the meta-gradient finite.
    """
    if kind != "classification":
        return
    for names_kind in ("classes", "groups"):
        bench = next(make_benches(learner, kind, names_kind))
        for n_way in (2, 5) if bench.context.head != "learned" else ():
            other = bench.with_n_way(n_way)
            _assert_outputs(other, other.task().support, n_way)
            _assert_like_state(other.gradient("vmap")[0], other.state)
        support, query = bench.task()
        fewer = Rows(*(part[support.y != N_WAY - 1] for part in support))
        _assert_outputs(bench, fewer, N_WAY)
        gradient, _ = bench.task_gradient(TaskTensors(fewer, query))
        _assert_like_state(gradient, bench.state)


def _assert_outputs(bench: Bench, support: Rows, n_way: int) -> None:
    outputs, shape = bench.predict(support), (len(bench.task().query.y), n_way)
    assert tuple(outputs.shape) == shape, (
        f"after a task of {n_way} classes, forward returns the shape {tuple(outputs.shape)} "
        f"instead of {shape}"
    )
    assert torch.isfinite(outputs).all(), f"outputs for {n_way} classes are not finite"


def adaptation_can_go_on(learner: MetaLearner, kind: str) -> None:
    """The result of adapt can be its start, and outputs keep their shape."""
    for bench in make_benches(learner, kind):
        outputs = bench.predict(adapted=bench.adapt(start=dict(bench.adapt())))
        assert outputs.shape == bench.predict().shape, "outputs change in shape when adapted twice"
        assert torch.isfinite(outputs).all(), "outputs are not finite when adapted twice"


def methods_are_pure(learner: MetaLearner, kind: str) -> None:
    """Methods change neither state, tasks nor the learner; the same call gives the same result."""
    for bench in make_benches(learner, kind):
        settings = copy.deepcopy(vars(bench.learner)), set(vars(bench.algorithm))
        state, tasks = tree_map(torch.clone, (bench.state, bench.tasks))
        adapted = bench.adapt()
        before = tree_map(torch.clone, adapted)
        bench.predict(adapted=adapted)
        assert_close(adapted, before, "forward changed what adapt returned", exact=True)
        assert_close(bench.state, state, "adapt changed the state in place", exact=True)
        first = tree_map(torch.clone, bench.gradient())
        assert_close(bench.state, state, "meta_gradient changed the state in place", exact=True)
        assert_close(bench.tasks, tasks, "a task was changed in place", exact=True)
        assert (vars(bench.learner), set(vars(bench.algorithm))) == settings, (
            "adapt, forward or meta_gradient changed the learner; pass what they need"
        )
        assert_close(bench.gradient()[0], first[0], "the same call gives another gradient")


def _has_outer_loop(learner: MetaLearner) -> bool:
    return bool(read_settings(learner).n_iterations)


def fit_is_reproducible(learner: MetaLearner, kind: str) -> None:
    """The same random_state gives the same prior, bit by bit, whatever the global generators.

    Meta-training writes to fitted attributes only.
    """
    table, before = make_table(learner, kind), _global_states()
    threads = [ExecutionOptions("threads", precision="float64", n_jobs=n) for n in (1, 2)]
    runs = [{}, {}, *({"execution": execution} for execution in threads)]
    learners = [small_clone(learner, **changes) for changes in runs]
    params = [dict(each.get_params()) for each in learners]
    fits = [each.fit(*table) for each in learners]
    assert fits[0] is learners[0], "fit does not return self"
    assert [each.get_params() for each in fits] == params, "fit changed a constructor parameter"
    assert (fits[0].n_features_in_, fits[0].prior_.kind) == (N_FEATURES, kind)
    _assert_same_prior(fits[1].prior_, fits[0].prior_, "a second fit")
    _assert_same_prior(fits[3].prior_, fits[2].prior_, "a fit with n_jobs=2 instead of 1")
    unseen = make_table(learner, kind, seed=1)
    scores = [fits[0].score(*unseen) for _ in range(2)]
    assert isinstance(scores[0], float), f"score returns a {type(scores[0]).__name__}"
    assert np.isfinite(scores[0]), f"score is {scores[0]}"
    assert scores[0] == scores[1], "score gives another value when called again"
    each = fits[0].score_tasks(*unseen, n_tasks=3)
    assert each.shape == (3,), f"score_tasks returns the shape {each.shape} for 3 tasks"
    predict_with_prior(fits[0].prior_, unseen)
    assert _global_states() == before, "a global generator of NumPy or torch is used"
    if _has_outer_loop(learner):
        other = small_clone(learner, random_state=1).fit(*table).prior_.tensors
        learned = (n for n in other if not is_of_rows(n))
        is_same = all(np.array_equal(other[n], fits[0].prior_.tensors[n]) for n in learned)
        assert not is_same, "random_state has no effect"


def _global_states() -> tuple[str, list[int]]:
    numpy = repr(np.random.get_state(legacy=False))  # noqa: NPY002 (the global generator is meant)
    return numpy, torch.random.get_rng_state().tolist()


def groups_are_learned(learner: MetaLearner, kind: str) -> None:
    """Tasks may be groups. Some groups, and a new task, may lack a class."""
    algorithm = learner.algorithm(learner)
    needs_all = algorithm.needs_every_class(algorithm.resolve_head(kind, "groups"))
    shots_per = "class" if needs_all or kind == "regression" else "task"
    table, unseen = (make_table(learner, kind, seed, groups=True) for seed in (0, 1))
    fitted = small_clone(learner, sampling=shots_per).fit(*table)
    losses = fitted.learning_curve_.get("train_loss", [])
    assert np.isfinite(losses).all(), "the loss over groups is not finite"
    scores = fitted.score_tasks(*unseen, n_shot=2, n_query=2)
    assert np.isfinite(scores).all(), "a score over groups is not finite"
    for classes in ((0, 1, 2), (0, 2), (1, 2)):
        predicted = predict_with_prior(fitted.prior_, unseen, classes)
        assert np.isfinite(predicted).all(), f"predictions for {classes} are not finite"


def interrupted_fit_resumes_exactly(learner: MetaLearner, kind: str) -> None:
    """A fit that is interrupted and started again gives the result of an uninterrupted one."""
    if not _has_outer_loop(learner):
        return
    table = make_table(learner, kind)
    expected = small_clone(learner).fit(*table)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        saved = ExecutionOptions("loop", precision="float64", checkpoint=path)
        stopped = small_clone(learner, execution=saved)
        _interrupt_after(stopped, n_calls=3)
        try:
            stopped.fit(*table)
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("fit swallows a KeyboardInterrupt, or calls no mean_gradient")
        assert path.exists(), "an interrupted fit leaves no checkpoint"
        resumed = small_clone(learner, execution=saved).fit(*table)
    _assert_same_prior(resumed.prior_, expected.prior_, "a resumed fit")
    for name in set(expected.learning_curve_) - {"seconds"}:
        assert resumed.learning_curve_[name] == expected.learning_curve_[name], (
            f"learning_curve_[{name!r}] of a resumed fit differs"
        )


def _interrupt_after(learner: MetaLearner, n_calls: int) -> None:
    calls: list[int] = []

    class Interrupted(learner.algorithm):  # type: ignore[name-defined]  # of any learner
        def mean_gradient(self, *arguments: Any) -> Any:
            calls.append(1)
            if len(calls) > n_calls:
                raise KeyboardInterrupt
            return super().mean_gradient(*arguments)

    # On the instance: a subclass would have another name, and so be another run.
    learner.__dict__["algorithm"] = Interrupted


def _assert_same_prior(actual: MetaPrior, expected: MetaPrior, what: str) -> None:
    names = [n for n, v in expected.tensors.items() if not np.array_equal(actual.tensors[n], v)]
    assert not names, f"{what} gives another {names[0]}"


def prior_survives_a_file(learner: MetaLearner, kind: str) -> None:
    """Saved and loaded, or pickled, a prior is equal and predicts the same; a clone has none."""
    fitted = small_clone(learner).fit(*make_table(learner, kind))
    unseen = make_table(learner, kind, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prior.skmeta"
        fitted.prior_.save(path)
        loaded = MetaPrior.load(path)
    expected = predict_with_prior(fitted.prior_, unseen)
    assert np.isfinite(expected).all(), "predictions of a fitted learner are not finite"
    assert not hasattr(clone(fitted), "prior_"), "a clone of a fitted learner is fitted"
    for prior in (loaded, pickle.loads(pickle.dumps(fitted.prior_))):
        assert prior == fitted.prior_, "a prior changes when saved and loaded"
        actual = predict_with_prior(prior, unseen)
        assert np.array_equal(actual, expected), "a loaded prior predicts something else"


Check = Callable[[MetaLearner, str], None]

CHECKS: tuple[Check, ...] = (
    zero_inner_steps_give_the_initial_state,
    meta_gradient_is_right,
    ways_of_execution_agree,
    rows_count_alike,
    number_of_classes_is_free,
    adaptation_can_go_on,
    methods_are_pure,
    fit_is_reproducible,
    groups_are_learned,
    interrupted_fit_resumes_exactly,
    prior_survives_a_file,
)


def check_learner(learner: MetaLearner, *, kinds: Sequence[str] | None = None) -> list[str]:
    """Check that a learner meets the contract of :class:`~skmeta.learners.Algorithm`.

    The learner itself is not changed: each check works on a clone with a small network, float64
    and a few iterations. Algorithmic settings, such as ``inner_lr`` or ``head_init``, are kept.
    Then a clone with all of its settings is trained for at most 300 iterations on made tasks, and
    compared with its start and with plain models.

    Parameters
    ----------
    learner : MetaLearner
        An instance, of skmeta's learners or of your own.
    kinds : sequence of {"classification", "regression"}, optional
        Kinds of tasks to check it on; by default ``learner.algorithm.kinds``.

    Returns
    -------
    list of str
        What was checked, and on which kind of tasks.

    Raises
    ------
    AssertionError
        If a check fails. The message names it.
    TypeError
        If it is no learner, or its algorithm lacks a method.

    Warns
    -----
    PriorWarning
        If it passes, but is not better than its start or than a plain model on held-out tasks.

    Examples
    --------
    >>> from skmeta.learners import ProtoNet
    >>> from skmeta.testing import check_learner
    >>> check_learner(ProtoNet())[1]
    'meta_gradient_is_right[classification]'
    """
    passed = []
    for name, check in learner_checks(learner, kinds=kinds):
        check()
        passed.append(name)
    for kind in learner.algorithm.kinds if kinds is None else kinds:
        comparison = compare_with_plain(learner, kind)
        if comparison:
            warn_caller(
                f"{type(learner).__name__} passes the checks, but meta-training does not pay on "
                f"held-out tasks of a {kind}: {comparison}. Look at its step sizes and its loss.",
                PriorWarning,
            )
    return passed


def learner_checks(
    learner: MetaLearner, *, kinds: Sequence[str] | None = None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield name and function of each check of :func:`check_learner`.

    A function raises an AssertionError if the check fails. `kinds` of tasks are by default those of
    the learner.
    """
    if isinstance(learner, type):
        name = learner.__name__
        raise TypeError(f"learner is the class {name}. Pass an instance, such as {name}().")
    if not isinstance(learner, MetaLearner):
        raise TypeError(f"learner must be a learner, such as ProtoNet(), got {learner!r}.")
    for kind in learner.algorithm.kinds if kinds is None else kinds:
        for check in CHECKS:
            name = f"{check.__name__}[{kind}]"
            yield name, partial(_run, check, name, learner, kind)


def _run(check: Check, name: str, learner: MetaLearner, kind: str) -> None:
    try:
        check(learner, kind)
    except Exception as error:  # Raised again, under the name of the check.
        reason = str(error) if isinstance(error, AssertionError) else repr(error)
        rule = (check.__doc__ or "").splitlines()[0]
        raise AssertionError(f"{type(learner).__name__} fails {name} ({rule}): {reason}") from error
