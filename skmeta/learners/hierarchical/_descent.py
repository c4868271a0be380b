"""Minimise a function of a few parameters, whose gradient autograd computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor


def descend(
    function: Callable[[Tensor], Tensor],
    start: np.ndarray,
    bounds: Sequence[tuple[float | None, float | None]],
    **options: Any,
) -> np.ndarray:
    """Minimise a function by L-BFGS-B.

    Parameters
    ----------
    function : callable
        Takes parameters (p,) and returns a value, a tensor of shape ().
    start : ndarray of shape (p,)
        Where to begin.
    bounds : sequence of pairs
        Lowest and highest value of each parameter.
    **options
        As :func:`scipy.optimize.minimize` takes them, such as ``maxiter`` and ``ftol``.

    Returns
    -------
    ndarray of shape (p,)
        The minimum.
    """

    def value_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.from_numpy(values).requires_grad_()
        value = function(at)
        (gradient,) = torch.autograd.grad(value, at)
        return float(value.detach()), gradient.numpy()

    found = minimize(
        value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return np.asarray(found.x)
