"""Check the arguments of `fit`, and divide them between estimator, scorer and splitter."""

import difflib
from collections.abc import Iterator, Mapping
from inspect import Parameter, signature
from typing import Any, NamedTuple

from sklearn.utils import indexable

from skmeta._sklearn_compat import check_method_params, is_routing_enabled, route_fit_params
from skmeta.search.early_stopping import check_held_rows
from skmeta.search.space import SearchSpace, is_estimator

__all__ = ["FitData", "check_fit_data"]


class FitData(NamedTuple):
    """The arguments of `fit`.

    Attributes
    ----------
    X, y : array-like
    fit_params, score_params, split_params : dict
        For the estimator's ``fit``, the scorer and the splitter.
    given : dict
        All of them by the names that the user gave.
    """

    X: Any
    y: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]
    split_params: Mapping[str, Any]
    given: Mapping[str, Any]

    @property
    def n_rows(self) -> int:
        """Return the number of rows."""
        return int(self.X.shape[0]) if hasattr(self.X, "shape") else len(self.X)

    @property
    def metadata(self) -> dict[str, Any] | None:
        """Return the metadata for callbacks, in addition to X and y."""
        weight = self.given.get("sample_weight")
        return None if weight is None else {"sample_weight": weight}


def check_fit_data(
    search: Any, space: SearchSpace, X: Any, y: Any, params: Mapping[str, Any]
) -> FitData:
    """Check the data and the parameters of `fit`, and route these.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        With one estimator.
    space : SearchSpace
    X, y : array-like
    params : dict
        Parameters of `fit`.

    Returns
    -------
    FitData

    Raises
    ------
    TypeError
        If no estimator that the search tries takes one of the parameters.
    ValueError
        If rows for early stopping are given twice, or cannot be drawn as wanted.
    """
    X, y = indexable(X, y)
    given = check_method_params(X, params=params)
    # With metadata routing, scikit-learn itself refuses metadata that was not requested.
    if not is_routing_enabled() and not any("steps" in names for names in space.spaces):
        options = _steps_and_choices(search.estimator, space)
        for name in given:
            if name != "groups" and not _takes(search.estimator, name, options, ""):
                raise TypeError(_unexpected(search.estimator, name))
    if search.early_stopping is not None:
        check_held_rows(search.early_stopping, search.estimator, space, given)
    routed = route_fit_params(search, dict(given))
    return FitData(
        X, y, routed.estimator.fit, routed.scorer.score, routed.splitter.split, dict(given)
    )


def _steps_and_choices(estimator: Any, space: SearchSpace) -> dict[str, list[Any]]:
    """Return, for each part by its path, every estimator that the search may put there."""
    options: dict[str, list[Any]] = {"": [estimator]}
    for path, value in estimator.get_params(deep=True).items():
        if is_estimator(value):
            options.setdefault(path, []).append(value)
    for sub_space in space.spaces:
        for path, source in sub_space.items():
            values = source if isinstance(source, list) else []
            options.setdefault(path, []).extend(filter(is_estimator, values))
    return options


def _takes(estimator: Any, name: str, options: Mapping[str, list[Any]], path: str) -> bool:
    """Whether a part, or what the search may put in its place, takes a parameter of `fit`."""
    return any(_has(one, name, options, path) for one in options.get(path, [estimator]))


def _has(estimator: Any, name: str, options: Mapping[str, list[Any]], path: str) -> bool:
    known = list(_fit_parameters(estimator))
    if name in [p.name for p in known]:
        return True
    steps = getattr(estimator, "steps", None)
    if not isinstance(steps, list):
        return any(p.kind is Parameter.VAR_KEYWORD for p in known)
    # A pipeline passes "step__name" on to its step.
    step, _, rest = name.partition("__")
    inner = dict(steps).get(step)
    if not rest or step not in dict(steps):
        return False
    place = f"{path}__{step}" if path else step
    if not is_estimator(inner) and place not in options:
        return False  # a step that is switched off, and stays so
    return _takes(inner, rest, options, place)


def _fit_parameters(estimator: Any) -> Iterator[Parameter]:
    try:
        yield from signature(estimator.fit).parameters.values()
    except (TypeError, ValueError):  # not a Python function: it may take anything
        yield Parameter("params", Parameter.VAR_KEYWORD)


def _unexpected(estimator: Any, name: str) -> str:
    kind = type(estimator).__name__
    if isinstance(getattr(estimator, "steps", None), list):
        step = estimator.steps[-1][0]
        hint = f"A pipeline takes <step>__<parameter>, such as {step}__sample_weight."
    else:
        known = [p.name for p in _fit_parameters(estimator)]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"It takes: {', '.join(known)}."
    if name == "dataset":
        hint = "Name the data set in the constructor: MetaLearnedSearchCV(..., dataset='iris')."
    return (
        f"fit got the parameter {name!r}, which {kind}.fit does not take; every fit would fail. "
        f"{hint}"
    )
