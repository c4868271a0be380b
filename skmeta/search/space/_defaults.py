"""Default search spaces: of an estimator, of a pipeline's steps together, and of a user's class."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from skmeta.exceptions import SearchSpaceError
from skmeta.search.space._boosting_table import BOOSTING_SPACES
from skmeta.search.space._default_table import DEFAULT_SPACES, Space
from skmeta.search.space._parts import is_estimator, is_placeholder, replace_parts, set_params_of
from skmeta.search.space._values import contains, is_distribution

__all__ = ["default_search_space", "expand_choices", "kept_params", "register_search_space"]

_registered: dict[type, Space | list[Space]] = {}

# Package -> class -> space.
_TABLES: Mapping[str, Mapping[str, Space | list[Space]]] = {
    "sklearn": DEFAULT_SPACES,
    **BOOSTING_SPACES,
}


def default_search_space(estimator: Any) -> Space | list[Space]:
    """Return the default search space of an estimator, or of all steps of a pipeline.

    Parameters
    ----------
    estimator : estimator
        If its class has no default space, its parts are searched that have one.

    Returns
    -------
    dict, or list of dict
        Parameters with lists of values or scipy distributions, as for RandomizedSearchCV and
        MetaLearnedSearchCV. Several dicts are sub-spaces, for example one for each kernel. A
        parameter that was set to another value than the default of its class is left out, so that
        it keeps its value.

    Raises
    ------
    SearchSpaceError
        If neither the estimator nor any of its parts has a default space, or all parameters of
        the space were set.

    See Also
    --------
    register_search_space : Give a class of your own a default space.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> sorted(default_search_space(make_pipeline(StandardScaler(), Ridge())))
    ['ridge__alpha']
    """
    spaces = _default_of_parts(estimator)
    if spaces == [{}] and (kept := kept_params(estimator)):
        values = ", ".join(f"{name}={value!r}" for name, value in kept.items())
        raise SearchSpaceError(
            f"All parameters of the default search space were set ({values}), and what is set is "
            "kept. Leave one at its default, or pass param_distributions to search it."
        )
    if spaces == [{}]:
        known = {name for table in _TABLES.values() for name in table}
        known |= {kind.__name__ for kind in _registered}
        raise SearchSpaceError(
            f"{type(estimator).__name__} has no default search space. Pass param_distributions, "
            "or give the class one with skmeta.search.register_search_space. There are spaces for "
            f"{', '.join(sorted(known))}."
        )
    return spaces[0] if len(spaces) == 1 else spaces


def expand_choices(estimator: Any, space: Any) -> Any:
    """Add the default space of each part to sub-spaces that only choose between parts.

    Parameters
    ----------
    estimator : estimator
        The estimator that is searched.
    space : dict or list of dict
        A sub-space only chooses between parts if all of its values are estimators,
        ``"passthrough"``, ``"drop"`` or None, such as
        ``{"clf": [SVC(), RandomForestClassifier()]}``. It becomes one sub-space for each
        combination of parts. Other sub-spaces are returned unchanged.

    Returns
    -------
    dict, or list of dict
    """
    expanded: list[Any] = []
    listed: Sequence[Any] = [space] if isinstance(space, Mapping) else space
    for one in listed:
        expanded += _expand(estimator, one) if _only_chooses_parts(one) else [one]
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


def _expand(estimator: Any, space: Mapping[str, Any]) -> list[Space]:
    expanded = []
    for parts in product(*space.values()):
        chosen = dict(zip(space, parts, strict=True))
        fixed = {name: [part] for name, part in chosen.items()}
        try:
            defaults = _default_of_parts(replace_parts(estimator, chosen))
        except ValueError:  # the check of the space will tell which name is wrong
            return [dict(space)]
        expanded += [{**fixed, **default} for default in defaults]
    return expanded


def register_search_space(
    estimator_class: type, space: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> None:
    """Set the default search space of a class of estimators.

    Parameters
    ----------
    estimator_class : type
        It also holds for subclasses that have no space of their own.
    space : dict or list of dict
        As for MetaLearnedSearchCV, with names of parameters that have no prefix.

    Raises
    ------
    TypeError
        If `estimator_class` is not a class.
    SearchSpaceError
        If the space is empty.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.linear_model import BayesianRidge
    >>> register_search_space(BayesianRidge, {"alpha_1": loguniform(1e-8, 1e-2)})
    >>> sorted(default_search_space(BayesianRidge()))
    ['alpha_1']
    """
    if not isinstance(estimator_class, type):
        raise TypeError(
            f"estimator_class must be a class, got {estimator_class!r}. Pass "
            f"{type(estimator_class).__name__}, not an instance of it."
        )
    listed = [space] if isinstance(space, Mapping) else list(space)
    if not listed or not all(listed):
        raise SearchSpaceError(
            f"The search space of {estimator_class.__name__} is empty. Name at least one parameter."
        )
    _registered[estimator_class] = [dict(one) for one in listed]


def _default_of_parts(estimator: Any) -> list[Space]:
    """Return the sub-spaces of an estimator: its own, or all combinations of its parts'."""
    own = _default_of_class(type(estimator))
    if own is not None:
        return _without_set(estimator, own)
    spaces: list[Space] = [{}]
    for name, part in {**estimator.get_params(deep=False), **_steps(estimator)}.items():
        if is_estimator(part):
            prefixed = [
                {f"{name}__{key}": value for key, value in space.items()}
                for space in _default_of_parts(part)
            ]
            spaces = [{**one, **other} for one in spaces for other in prefixed]
    return spaces


def kept_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters that the default space has, and that were set, with their values.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    dict
    """
    own = _default_of_class(type(estimator))
    if own is not None:
        names = {name for space in own for name in space}
        return {name: v for name, v in set_params_of(estimator).items() if name in names}
    kept: dict[str, Any] = {}
    for part_name, part in {**estimator.get_params(deep=False), **_steps(estimator)}.items():
        if is_estimator(part):
            kept |= {f"{part_name}__{name}": value for name, value in kept_params(part).items()}
    return kept


def _without_set(estimator: Any, spaces: list[Space]) -> list[Space]:
    """Return sub-spaces without the parameters that were set.

    If sub-spaces differ in the values of a set parameter, such as ``kernel``, those that contain
    its value are kept. If there are none, the parameters that all sub-spaces have are searched.
    """
    for name, value in set_params_of(estimator).items():
        if not any(name in space for space in spaces):
            continue
        fitting = [one for one in spaces if name not in one or contains(one[name], value)]
        if len(spaces) > 1 and not fitting:
            shared = set.intersection(*map(set, spaces))
            spaces = [{n: source for n, source in spaces[0].items() if n in shared}]
        elif len(spaces) > 1:
            spaces = fitting
        spaces = [{n: source for n, source in one.items() if n != name} for one in spaces]
    return spaces


def _steps(estimator: Any) -> dict[str, Any]:
    named = getattr(estimator, "steps", None) or getattr(estimator, "transformer_list", None) or []
    return {step[0]: step[1] for step in named}


def _default_of_class(kind: type) -> list[Space] | None:
    for base in kind.__mro__:
        space = _registered.get(base)
        if space is None:
            package = base.__module__.partition(".")[0]
            space = _TABLES.get(package, {}).get(base.__name__)
        if space is not None:
            return [dict(one) for one in ([space] if isinstance(space, dict) else space)]
    return None
