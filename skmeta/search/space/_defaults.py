"""Default search spaces: of an estimator, and of a pipeline's steps together.

Some parameters are in units of the target. If all targets are multiplied by s, the model with such
a parameter multiplied by s to some power predicts s times as much. For example, SVR minimises
``|w|^2 / 2 + C sum max(0, |y - f(x)| - epsilon)``. With targets s y, weights s w and C s, the
objective is s^2 times as large if epsilon is multiplied by s too. So C and epsilon are in units of
the target, and what one data set teaches of them holds for another relative to the standard
deviation of its targets. ElasticNet is left out. The L1 part of its penalty has the target's unit,
and the L2 part has none. On recorded searches, the prior was worse with a relative ``alpha``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.compose import TransformedTargetRegressor

from skmeta.search.record import Configuration, Value
from skmeta.search.space._default_table import BOOSTING_SPACES, DEFAULT_SPACES, RULED_OUT, Space
from skmeta.search.space._parts import (
    every_param,
    is_estimator,
    is_placeholder,
    replace_parts,
    set_params_of,
)
from skmeta.search.space._values import contains, is_distribution

# Package -> class -> space.
_TABLES: Mapping[str, Mapping[str, Space | list[Space]]] = {
    "sklearn": DEFAULT_SPACES,
    **BOOSTING_SPACES,
}
# Class -> parameter -> power of the target's unit.
_UNITS: Mapping[str, Mapping[str, int]] = {
    "SVR": {"C": 1, "epsilon": 1},
    "NuSVR": {"C": 1},
    "Lasso": {"alpha": 1},
    "HuberRegressor": {"alpha": -1},
}
_NAMES = {f"{kind}.{name}": power for kind, own in _UNITS.items() for name, power in own.items()}


def default_search_space(estimator: Any, *, target_scale: float = 1.0) -> Space | list[Space]:
    """Return the default search space of an estimator, or of all steps of a pipeline.

    Parameters
    ----------
    estimator : estimator
        If its class has no default space, its parts are searched that have one.
    target_scale : float, default=1.0
        Standard deviation of the targets, by which ranges in units of the target are multiplied.
        A search without a space does that itself.

    Returns
    -------
    dict, or list of dict
        Parameters with lists of values or scipy distributions, as for RandomizedSearchCV and
        MetaLearnedSearchCV. Several dicts are sub-spaces, for example one for each kernel. A
        parameter that was set to another value than the default of its class is left out, so that
        it keeps its value.

    Raises
    ------
    ValueError
        If neither the estimator nor any of its parts has a default space, or all parameters of
        the space were set.
    TypeError
        If it is no instance of an estimator, but a class, for example.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> sorted(default_search_space(make_pipeline(StandardScaler(), Ridge())))
    ['ridge__alpha']
    """
    if not is_estimator(estimator):
        raise TypeError(f"estimator must be an instance, such as SVC(), got {estimator!r}.")
    spaces = _default_of_parts(estimator, target_scale)
    if spaces == [{}] and (kept := kept_params(estimator)):
        values = ", ".join(f"{name}={value!r}" for name, value in kept.items())
        raise ValueError(
            f"All parameters of the default search space were set ({values}), and what is set is "
            "kept. Leave one at its default, or pass param_distributions to search it."
        )
    if spaces == [{}]:
        known = {name for table in _TABLES.values() for name in table}
        raise ValueError(
            f"{type(estimator).__name__} has no default search space. Pass param_distributions. "
            f"There are spaces for {', '.join(sorted(known))}."
        )
    return spaces[0] if len(spaces) == 1 else spaces


def expand_choices(estimator: Any, space: Any, target_scale: float = 1.0) -> Any:
    """Add default spaces to sub-spaces that only choose parts, one for each combination of them."""
    expanded: list[Any] = []
    listed: Sequence[Any] = [space] if isinstance(space, Mapping) else space
    for one in listed:
        expanded += _expand(estimator, one, target_scale) if _only_chooses_parts(one) else [one]
    return expanded[0] if len(expanded) == 1 else expanded


def _only_chooses_parts(space: Any) -> bool:
    if not isinstance(space, Mapping):
        return False
    sources = list(space.values())
    # The check of the space raises for what is neither a list nor a distribution.
    if any(is_distribution(source) or not isinstance(source, Iterable) for source in sources):
        return False
    values = [value for source in sources for value in source]
    return any(map(is_estimator, values)) and all(
        is_estimator(value) or value is None or is_placeholder(value) for value in values
    )


def _expand(estimator: Any, space: Mapping[str, Any], target_scale: float) -> list[Space]:
    expanded = []
    for parts in product(*space.values()):
        chosen = dict(zip(space, parts, strict=True))
        fixed = {name: [part] for name, part in chosen.items()}
        try:
            defaults = _default_of_parts(replace_parts(estimator, chosen), target_scale)
        except ValueError:  # the check of the space will tell which name is wrong
            return [dict(space)]
        expanded += [{**fixed, **default} for default in defaults]
    return expanded


def _default_of_parts(estimator: Any, target_scale: float) -> list[Space]:
    """Return the sub-spaces of an estimator: its own, or all combinations of its parts'."""
    spaces: list[Space] = [{}]
    for prefix, part, kind, own in _searched_parts(estimator):
        scaled = [in_target_units(kind, one, target_scale) for one in _without_set(part, own)]
        prefixed = [{f"{prefix}{name}": source for name, source in s.items()} for s in scaled]
        spaces = [{**one, **other} for one in spaces for other in prefixed]
    return spaces


def kept_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters of the default space that were set by the user, with their values."""
    return {
        f"{prefix}{name}": value
        for prefix, part, _, own in _searched_parts(estimator)
        for name, value in set_params_of(part).items()
        if any(name in space for space in own)
    }


def _searched_parts(
    estimator: Any, prefix: str = ""
) -> Iterator[tuple[str, Any, str, list[Space]]]:
    """Yield the parts that have a default space: prefix, part, name of the class and sub-spaces."""
    kind, own = _default_of_class(type(estimator))
    # A subclass may lack parameters of its base: LogisticRegressionCV has no C.
    known = {name.split("__")[0] for name in every_param(estimator)}
    own = [one for one in own if {name.split("__")[0] for name in one} <= known]
    if own:
        yield prefix, estimator, kind, own
        return
    for name, part in {**estimator.get_params(deep=False), **_steps(estimator)}.items():
        if is_estimator(part):
            yield from _searched_parts(part, f"{prefix}{name}__")


def _without_set(estimator: Any, spaces: list[Space]) -> list[Space]:
    """Return sub-spaces without the parameters that were set, and those that these rule out.

    Of sub-spaces that differ in a set value, such as ``kernel``, those with it are kept; if none
    has it, the parameters that all have are searched.
    """
    for name, value in set_params_of(estimator).items():
        left = name if any(name in one for one in spaces) else RULED_OUT.get(name)
        fitting = [one for one in spaces if name not in one or contains(one[name], value)]
        if len(spaces) > 1 and not fitting:
            shared = set.intersection(*map(set, spaces))
            spaces = [{n: source for n, source in spaces[0].items() if n in shared}]
        elif len(spaces) > 1:
            spaces = fitting
        # Parameters of a part that was set are left out with it.
        spaces = [
            {n: source for n, source in one.items() if n.split("__")[0] != left} for one in spaces
        ]
    return spaces


def _steps(estimator: Any) -> dict[str, Any]:
    named = getattr(estimator, "steps", None) or getattr(estimator, "transformer_list", None) or []
    return {step[0]: step[1] for step in named}


def _default_of_class(kind: type) -> tuple[str, list[Space]]:
    """Return the sub-spaces of a class or its base, and the name of that; an empty list if none."""
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        space = _TABLES.get(package, {}).get(base.__name__)
        if space is not None:
            return base.__name__, [dict(s) for s in ([space] if isinstance(space, dict) else space)]
    return "", []


# -- units of the target ---------------------------------------------------------------------------


def target_scale(estimator: Any, y: Any) -> float:
    """Return the standard deviation of a regression's targets, and 1.0 if there is none."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    is_transformed = any(isinstance(part, TransformedTargetRegressor) for part in parts)
    if y is None or not is_regressor(estimator) or is_transformed:
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
    """Return the default space of a class with ranges in units of the target's deviation."""
    powers = _UNITS.get(kind, {}) if scale != 1.0 else {}
    return {n: _times(s, scale ** powers[n]) if n in powers else s for n, s in space.items()}


def _times(distribution: Any, factor: float) -> Any:
    """Return the distribution of the multiples of what a distribution of SciPy draws."""
    settings = {**distribution.kwds, "scale": distribution.kwds.get("scale", 1.0) * factor}
    return distribution.dist(*distribution.args, **settings)
