"""Checks that the content of a checkpoint fits the run that resumes from it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmeta.exceptions import CheckpointError

KEYS = (
    "state",
    "best",
    "best_score",
    "n_stale",
    "iteration",
    "seconds",
    "history",
    "optimizer",
    "rng",
)


def check_saved(
    saved: Mapping[str, Any],
    state: Mapping[str, Tensor],
    optimizer: Callable[..., torch.optim.Optimizer],
    n_iterations: int,
    rng: np.random.Generator,
) -> None:
    """Check that a run can resume from a saved state.

    Parameters
    ----------
    saved : mapping
        Content of the checkpoint.
    state : dict of Tensor
        State of the run that resumes.
    optimizer : callable
        Makes its optimizer.
    n_iterations : int
        Its number of meta-iterations.
    rng : numpy.random.Generator
        Its generator.

    Raises
    ------
    CheckpointError
        If something is missing or does not fit.
    """
    try:
        missing = [name for name in KEYS if name not in saved]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        _check_tensors("state", saved["state"], state)
        if saved["best"] is not None:
            _check_tensors("best", saved["best"], state)
        _check_numbers(saved, n_iterations)
        _check_history(saved["history"], saved["iteration"])
        _check_optimizer(saved["optimizer"], state, optimizer, saved["iteration"])
        # NumPy checks a state when it is assigned to a generator.
        np.random.Generator(copy.deepcopy(rng.bit_generator)).bit_generator.state = saved["rng"]
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise CheckpointError(
            f"The checkpoint cannot be resumed: what it holds does not fit the run ({error}). "
            "Delete the file to start anew."
        ) from error


def _check_tensors(what: str, found: Any, expected: Mapping[str, Any]) -> None:
    if not isinstance(found, dict) or found.keys() != expected.keys():
        raise ValueError(f"{what} has other names")
    for name, value in expected.items():
        _check_tensor(f"{what}[{name!r}]", found[name], value)


def _check_tensor(what: str, found: Any, expected: Any) -> None:
    if not isinstance(expected, Tensor):
        if type(found) is not type(expected):
            raise TypeError(f"{what} is a {type(found).__name__}")
    elif not isinstance(found, Tensor):
        raise TypeError(f"{what} is no tensor")
    elif found.shape != expected.shape or found.dtype != expected.dtype:
        raise ValueError(f"{what} has another shape or type")
    elif not bool(torch.isfinite(found).all()):
        raise ValueError(f"{what} holds NaN or infinity")


def _check_numbers(saved: Mapping[str, Any], n_iterations: int) -> None:
    for name in ("n_stale", "iteration"):
        if type(saved[name]) is not int or not 0 <= saved[name] <= n_iterations:
            raise ValueError(f"{name} is {saved[name]!r:.40}")
    for name in ("best_score", "seconds"):
        if not _is_number(saved[name]) or math.isnan(saved[name]):
            raise ValueError(f"{name} is {saved[name]!r:.40}")
    if not 0 <= saved["seconds"] < math.inf:
        raise ValueError(f"seconds is {saved['seconds']}")
    if (saved["best"] is None) != (saved["best_score"] == -math.inf):
        raise ValueError(f"best_score is {saved['best_score']}")


def _check_history(history: Any, iteration: int) -> None:
    for name in ("iteration", "train_loss", "train_score", "meta_lr", "seconds"):
        if name not in history:
            raise ValueError(f"history lacks {name}")
    n = len(history["iteration"])
    for name, values in history.items():
        if not isinstance(values, list) or len(values) != n or not all(map(_is_number, values)):
            raise ValueError(f"history[{name!r}] is no list of {n} numbers")
    if history["iteration"][-1:] != [iteration]:
        raise ValueError(f"history ends at another iteration than {iteration}")


def _check_optimizer(
    found: Any,
    state: Mapping[str, Tensor],
    optimizer: Callable[..., torch.optim.Optimizer],
    iteration: int,
) -> None:
    parameters = [torch.zeros_like(value) for value in state.values()]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    other = optimizer(parameters)
    other.step()
    expected = other.state_dict()["state"]
    if not isinstance(found, dict) or found.keys() != expected.keys():
        raise ValueError("optimizer has other parameters")
    for k, values in expected.items():
        _check_tensors(f"optimizer[{k}]", found[k], values)
        if "step" in values and float(found[k]["step"]) != iteration:
            raise ValueError(f"optimizer[{k}] has taken another number of steps than {iteration}")
        if "exp_avg_sq" in values and bool((found[k]["exp_avg_sq"] < 0).any()):
            raise ValueError(f"optimizer[{k}] holds means of squares that are negative")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
