"""Run the learner of a prior on one task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmeta._sklearn_compat import parameter_names
from skmeta._torch_compat import LinAlgError
from skmeta.backend import Execution, State
from skmeta.few_shot._support import SupportSet
from skmeta.learners import LEARNERS, MetaLearner
from skmeta.learners._core import Session, read_prior
from skmeta.priors import MetaPrior

# Rows predicted at once, and values of their outputs. They bound the memory; the intermediate
# values of as many rows fit into the cache of a processor.
_MAX_ROWS, _MAX_OUTPUTS = 512, 2**22

Compute = Callable[[Session, State, Tensor, np.ndarray], tuple[np.ndarray, ...]]


class RunSettings(NamedTuple):
    """Parameters of an estimator that say how the learner of its prior runs.

    Attributes
    ----------
    device : str or torch.device
        Where to compute.
    precision : {"auto", "float32", "float64"}
        Precision of the adaptation.
    overrides : dict
        Parameters of the learner to use in place of the prior's.
    """

    device: Any
    precision: str
    overrides: dict[str, Any]


def start_session(
    prior: MetaPrior, head_rows: list[int], support: SupportSet, settings: RunSettings
) -> tuple[Session, State]:
    """Put the learner of a prior on the device.

    Parameters
    ----------
    prior : MetaPrior
        The prior.
    head_rows : list of int of length n_outputs
        Row of each output in a learned head.
    support : SupportSet
        The support set; its size decides the precision.
    settings : RunSettings
        How the learner runs.

    Returns
    -------
    session : Session
        The learner.
    state : dict of Tensor
        The prior's state.

    Raises
    ------
    ValueError
        If the learner does not have a parameter that is set.
    """
    learner_class = LEARNERS[prior.learner]
    _check_overrides(settings.overrides, learner_class)
    prior.check_inner_lr(settings.overrides.get("inner_lr"))
    precision = network_precision = settings.precision
    if precision == "auto":
        precision = _choose_precision(prior, settings.device)
        network_precision = learner_class.limits.network_precision(precision, support.X.size)
    return read_prior(
        prior,
        learner_class,
        classes=head_rows,
        device=settings.device,
        precision=precision,
        input_shape=support.X.shape[1:],
        learner_precision=network_precision,
        **settings.overrides,
    )


def adapt(session: Session, state: State, support: SupportSet, start: State | None = None) -> State:
    """Adapt to a support set, and check that the adapted state is finite.

    Parameters
    ----------
    session : Session
        The learner.
    state : dict of Tensor
        The prior's state.
    support : SupportSet
        The support set.
    start : dict of Tensor, optional
        What an earlier call returned, to continue from.

    Returns
    -------
    dict of Tensor
        The adapted state.

    Raises
    ------
    ValueError
        If the adapted state is not finite.
    """
    X, y, weight = support
    rows = session.adapter.rows(session.adapter.upload(X), y, weight)
    try:
        with torch.no_grad(), _execution(session, len(X)):
            adapted = session.adapt(state, rows, start)
    except LinAlgError as error:
        raise ValueError(
            f"The adaptation to these {len(X)} rows needs a matrix that cannot be factorised; "
            f"{_describe_size(X, y)} If this does not help, meta-train again with a lower meta_lr."
        ) from error
    limits = session.learner.limits
    values = (item for part in session.states_of_views(adapted) for item in part.items())
    changed = ((name, value) for name, value in values if value is not state.get(name))
    wrong = next((name for name, value in changed if not limits.is_sound(name, value)), None)
    if wrong is not None:
        raise ValueError(
            f"The adaptation to these {len(X)} rows ends in values that are not finite "
            f"({wrong!r}); {_describe_size(X, y)}"
        )
    return adapted


def predict_held_out(
    session: Session, state: State, support: SupportSet, held: list[np.ndarray]
) -> list[Tensor]:
    """Predict some rows of a table from the others, for several sets of rows.

    Parameters
    ----------
    session : Session
        A learner with a method ``predict_held_out``.
    state : dict of Tensor
        The prior's state.
    support : SupportSet
        The table.
    held : list of ndarray of shape (n,)
        Positions of the rows of each set.

    Returns
    -------
    list of Tensor of shape (n, n_outputs)
        What the learner returned.
    """
    X, y, weight = support
    learner: Any = session.learner
    rows = session.adapter.rows(session.adapter.upload(X), y, weight)
    sets = [torch.from_numpy(part).to(session.adapter.device) for part in held]
    with torch.no_grad(), _execution(session, len(X)):
        found = [
            learner.predict_held_out(session.context, state, rows._replace(x=view(rows.x)), sets)
            for view in session.views
        ]
    return [session.mean_of_views(list(outputs)) for outputs in zip(*found, strict=True)]


def prepare(session: Session, adapted: State) -> State:
    """Compute once what each prediction would compute again.

    Parameters
    ----------
    session : Session
        The learner.
    adapted : dict of Tensor
        What :func:`adapt` returned.

    Returns
    -------
    dict of Tensor
        What :func:`predict` takes.
    """
    with torch.no_grad():
        return session.prepare(adapted)


def predict(
    session: Session, prepared: State, X: np.ndarray, compute: Compute
) -> tuple[np.ndarray, ...]:
    """Predict rows, a part of them at a time.

    Parameters
    ----------
    session : Session
        The learner.
    prepared : dict of Tensor
        What :func:`prepare` returned.
    X : ndarray of shape (n_samples, n_encoded)
        Rows.
    compute : callable
        Takes the session, the state, rows on the device and the same rows as they were given, and
        returns arrays with one entry per row.

    Returns
    -------
    tuple of ndarray
        The arrays, for all rows.

    Raises
    ------
    ValueError
        If a prediction is not finite.
    """
    size = max(1, min(_MAX_ROWS, _MAX_OUTPUTS // session.context.n_outputs))
    if session.context.transductive:
        size = len(X)
    adapter, results = session.adapter, None
    with torch.no_grad(), _execution(session, min(size, len(X))):
        for start in range(0, len(X), size):
            part = X[start : start + size]
            arrays = compute(session, prepared, adapter.inputs(adapter.upload(part)), part)
            if results is None:
                # Filled in part by part: a list of parts would need their memory twice.
                results = tuple(np.empty((len(X), *v.shape[1:]), v.dtype) for v in arrays)
            for whole, values in zip(results, arrays, strict=True):
                whole[start : start + size] = values
    assert results is not None
    for values in results:
        _check_finite(values)
    return results


def task_attributes(session: Session, adapted: State) -> dict[str, Any]:
    """Return what a learner says about a task, as attributes of an estimator.

    Parameters
    ----------
    session : Session
        The learner. It may have a method ``task_attributes``.
    adapted : dict of Tensor
        What :func:`adapt` returned.

    Returns
    -------
    dict
        Values by names that end with an underscore.
    """
    describe = getattr(session.learner, "task_attributes", None)
    if describe is None:
        return {}
    return dict(describe(session.context, session.states_of_views(adapted)[0]))


def _choose_precision(prior: MetaPrior, device: Any) -> str:
    # Few rows of a table cost nothing in double precision; images do, and a GPU is slow at it.
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    is_table = prior.input_shape is None or len(prior.input_shape) == 1
    return "float64" if on_cpu and is_table else "float32"


def _check_overrides(overrides: dict[str, Any], learner_class: type[MetaLearner]) -> None:
    # Views are not the learner's business: each is learned as a task of its own.
    known = {"test_time_augment", *parameter_names(learner_class)}
    unknown = sorted(overrides.keys() - known)
    if unknown:
        raise ValueError(
            f"{unknown[0]}={overrides[unknown[0]]} does not apply to a prior learned by "
            f"{learner_class.__name__}, which has no such parameter. Leave it out, or "
            "give another prior."
        )


def _execution(session: Session, n_rows: int) -> Execution:
    flops = n_rows * session.context.network.n_flops
    return Execution("loop", device=session.adapter.device, flops_per_task=flops)


def _describe_size(X: np.ndarray, y: np.ndarray) -> str:
    return (
        f"the largest value of X is {np.nanmax(abs(X)):g}, of y {abs(y).max():g}. Scale X and y to "
        "moderate numbers, or lower inner_lr."
    )


def _check_finite(values: np.ndarray) -> None:
    wrong = ~np.isfinite(values).reshape(len(values), -1).all(1)
    if wrong.any():
        raise ValueError(
            f"The prediction of row {wrong.argmax()} is not finite ({wrong.sum()} such rows in "
            "all): the row, or the steps of the adaptation, are too large. Scale X and y to "
            "moderate numbers, or lower inner_lr."
        )
