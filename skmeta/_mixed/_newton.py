"""Newton's method within bounds, damped, for functions that may have saddle points.

Notation: p parameters. A function is given by its value, its gradient (p,) and its Hessian (p, p).

References: Dauphin et al. (2014), Identifying and attacking the saddle point problem in
high-dimensional non-convex optimization; Marquardt (1963), An algorithm for least-squares
estimation of nonlinear parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Least curvature of a direction.
_MIN_CURVATURE = 1e-2
# Damping is a curvature that is added to all directions. After a bad step it grows from at least
# this value by this factor, and after a good one it falls.
_MIN_DAMPING, _FACTOR = 1.0, 5.0
_MAX_DAMPING = 1e8
# Shares of the promised decrease with which a step is bad, or good.
_BAD, _GOOD = 0.2, 0.7


class Evaluation(NamedTuple):
    """The value of a function at a point, its gradient (p,), and its Hessian (p, p) on call."""

    value: float
    gradient: np.ndarray
    curvature: Callable[[], np.ndarray]


class Optimum(NamedTuple):
    """Where a function is least, and its Hessian (p, p) there."""

    at: np.ndarray
    curvature: np.ndarray


def minimise(
    evaluate: Callable[[np.ndarray], Evaluation],
    start: np.ndarray,
    bounds: np.ndarray,
    *,
    tolerance: float,
    longest: np.ndarray | float = 2.0,
    max_steps: int = 100,
) -> Optimum:
    """Minimise within bounds (p, 2) until a step promises a decrease below the tolerance.

    Damped Newton steps of at most `longest` follow negative curvature downhill, too.
    """
    low, high = bounds.T
    at = np.clip(start, low, high)
    longest = np.broadcast_to(longest, at.shape)
    now, damping = evaluate(at), 0.0
    model: _QuadraticModel | None = None
    for _ in range(max_steps):
        if model is None:
            model = _QuadraticModel(at, now.gradient, now.curvature(), low, high, longest)
        step, promised = model.step(damping)
        if promised <= tolerance or damping > _MAX_DAMPING:
            # So short a step needs no evaluation.
            at = at + step if damping == 0.0 else at
            break
        try:
            proposal = evaluate(at + step)
        except np.linalg.LinAlgError:  # No Cholesky factor, so far off the step went.
            damping = max(_FACTOR * damping, _MIN_DAMPING)
            continue
        ratio = (now.value - proposal.value) / promised
        if not ratio >= _BAD:  # Also if the value is not finite.
            damping = max(_FACTOR * damping, _MIN_DAMPING)
        elif ratio > _GOOD:
            damping = damping / _FACTOR if damping > _MIN_CURVATURE else 0.0
        if proposal.value < now.value:
            at, now, model = at + step, proposal, None
    return Optimum(np.asarray(at), now.curvature() if model is None else model.curvature)


class _QuadraticModel:
    """A quadratic model of a function around a point, with the parameters that are free."""

    def __init__(
        self,
        at: np.ndarray,
        gradient: np.ndarray,
        curvature: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        longest: np.ndarray,
    ) -> None:
        self.gradient, self.curvature = gradient, curvature
        can_fall, can_rise = at > low, at < high
        outwards = (~can_fall & (self.gradient > 0)) | (~can_rise & (self.gradient < 0))
        # The gradient of a parameter without an effect is exactly 0.
        self._free = np.flatnonzero((low < high) & (self.gradient != 0) & ~outwards)
        self._low = np.maximum(low - at, -longest)[self._free]
        self._high = np.minimum(high - at, longest)[self._free]
        values, vectors = np.linalg.eigh(curvature[np.ix_(self._free, self._free)])
        self._values, self._vectors = np.maximum(np.abs(values), _MIN_CURVATURE), vectors
        self._along = vectors.T @ self.gradient[self._free]

    def step(self, damping: float) -> tuple[np.ndarray, float]:
        """Return the step, and the decrease that it promises."""
        if len(self._free) == 0:
            return np.zeros_like(self.gradient), 0.0
        whole = -self._vectors @ (self._along / (self._values + damping))
        cut = np.clip(whole, self._low, self._high)
        along = self._vectors.T @ cut
        promised = -self._along @ along - 0.5 * (self._values * along**2).sum()
        if promised <= 0:  # Only after a step was cut.
            # A shorter step in the same direction.
            room = np.where(whole > 0, self._high, -self._low)
            cut = whole * min(1.0, float((room / np.maximum(np.abs(whole), 1e-300)).min()))
            promised = -0.5 * self.gradient[self._free] @ cut
        step = np.zeros_like(self.gradient)
        step[self._free] = cut
        return step, float(promised)
