"""Parameters in units of the target: their values relative to the target's own scale.

If all targets are multiplied by s, the model with a parameter multiplied by s to some power
predicts s times as much. For example, SVR minimises ``|w|^2 / 2 + C sum max(0, |y - f(x)| -
epsilon)``. With targets s y, weights s w and C s, the objective is s^2 times as large if epsilon is
multiplied by s too. So C and epsilon are in units of the target, and what one data set teaches of
them holds for another relative to the standard deviation of its targets.

ElasticNet is left out. The L1 part of its penalty has the target's unit, and the L2 part has none.
On recorded searches, the prior was worse with a relative ``alpha``.
"""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.compose import TransformedTargetRegressor

from skmeta.search.record import Configuration, Value
from skmeta.search.space._default_table import Space

# Class -> parameter -> power of the target's unit.
_UNITS: Mapping[str, Mapping[str, int]] = {
    "SVR": {"C": 1, "epsilon": 1},
    "NuSVR": {"C": 1},
    "Lasso": {"alpha": 1},
    "HuberRegressor": {"alpha": -1},
}
_NAMES = {f"{kind}.{name}": power for kind, own in _UNITS.items() for name, power in own.items()}


def target_scale(estimator: Any, y: Any) -> float:
    """Return the standard deviation of the targets of a regression.

    Parameters
    ----------
    estimator : estimator
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None

    Returns
    -------
    float
        The root mean square of the columns' standard deviations. 1.0 for other estimators, for
        equal targets, and if the estimator transforms its targets.
    """
    parts = [estimator, *estimator.get_params(deep=True).values()]
    if y is None or not is_regressor(estimator):
        return 1.0
    if any(isinstance(part, TransformedTargetRegressor) for part in parts):
        return 1.0
    try:
        values = np.asarray(y)
        targets = values.astype(np.float64) if values.dtype.kind != "c" else np.zeros(0)
    except (TypeError, ValueError):  # sparse, or no numbers: fit will tell, as of complex ones
        return 1.0
    with np.errstate(all="ignore"):
        scale = float(np.sqrt(np.mean(np.var(targets, axis=0)))) if targets.size else 1.0
    return scale if np.isfinite(scale) and scale > 0 else 1.0


def relative_configuration(configuration: Configuration, scale: float) -> Configuration:
    """Return a configuration with parameters in units of the target's standard deviation.

    Parameters
    ----------
    configuration : dict
        Canonical names to values.
    scale : float
        What `target_scale` returned.

    Returns
    -------
    dict

    Examples
    --------
    >>> relative_configuration({"SVR.C": 50.0, "SVR.degree": 3}, 10.0)
    {'SVR.C': 5.0, 'SVR.degree': 3}
    """
    if scale == 1.0:
        return configuration
    changed: dict[str, Value] = {}
    for name, value in configuration.items():
        kind, _, parameter = name.partition(".")
        power = _NAMES.get(f"{kind.partition('#')[0]}.{parameter}")
        if power is not None and isinstance(value, Real) and not isinstance(value, bool):
            changed[name] = float(value) / scale**power
    return {**configuration, **changed} if changed else configuration


def in_target_units(kind: str, space: Space, scale: float) -> Space:
    """Return a default space with ranges in units of the target's standard deviation.

    Parameters
    ----------
    kind : str
        Class of the estimator.
    space : dict
        Its space, for targets with deviation 1.
    scale : float
        What `target_scale` returned.

    Returns
    -------
    dict
    """
    powers = _UNITS.get(kind, {}) if scale != 1.0 else {}
    return {n: _times(s, scale ** powers[n]) if n in powers else s for n, s in space.items()}


def _times(distribution: Any, factor: float) -> Any:
    """Return the distribution of the multiples of what a distribution of SciPy draws."""
    settings = {**distribution.kwds, "scale": distribution.kwds.get("scale", 1.0) * factor}
    return distribution.dist(*distribution.args, **settings)
