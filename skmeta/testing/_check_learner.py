"""The published conformance suite for learners."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from skmeta.learners import MetaLearner
from skmeta.testing import _checks

Check = Callable[[MetaLearner, str], None]

CHECKS: tuple[Check, ...] = (
    _checks.zero_inner_steps_give_the_initial_state,
    _checks.meta_gradient_is_right,
    _checks.ways_of_execution_agree,
    _checks.rows_count_alike,
    _checks.number_of_classes_is_free,
    _checks.adaptation_can_go_on,
    _checks.methods_are_pure,
    _checks.fit_is_reproducible,
    _checks.groups_are_learned,
    _checks.fit_changes_the_state_and_keeps_the_parameters,
    _checks.interrupted_fit_resumes_exactly,
    _checks.prior_survives_a_file,
)


def check_learner(learner: MetaLearner, *, kinds: Sequence[str] | None = None) -> list[str]:
    """Check that a learner meets the contract of a :class:`~skmeta.learners.MetaLearner`.

    The learner itself is not changed: each check works on a clone with a small network, float64
    and a few iterations. Algorithmic settings, such as ``inner_lr`` or ``head_init``, are kept.

    Parameters
    ----------
    learner : MetaLearner
        An instance, of skmeta's learners or of your own.
    kinds : sequence of {"classification", "regression"}, optional
        Kinds of tasks to check it on; by default ``learner.kinds``.

    Returns
    -------
    list of str
        What was checked, and on which kind of tasks.

    Raises
    ------
    AssertionError
        If a check fails. The message names it.
    TypeError
        If it is no learner.

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
    return passed


def learner_checks(
    learner: MetaLearner, *, kinds: Sequence[str] | None = None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the checks of :func:`check_learner`, one by one.

    Parameters
    ----------
    learner : MetaLearner
        An instance.
    kinds : sequence of {"classification", "regression"}, optional
        Kinds of tasks to check it on; by default ``learner.kinds``.

    Yields
    ------
    name : str
        What is checked, and on which kind of tasks.
    check : callable
        Takes no arguments; raises an AssertionError if the check fails.
    """
    if isinstance(learner, type):
        name = learner.__name__
        raise TypeError(f"learner is the class {name}. Pass an instance, such as {name}().")
    if not isinstance(learner, MetaLearner):
        raise TypeError(f"learner must be a MetaLearner, such as ProtoNet(), got {learner!r}.")
    for kind in learner.kinds if kinds is None else kinds:
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
