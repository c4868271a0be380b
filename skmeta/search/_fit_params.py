"""Check the arguments of `fit`, and divide them between estimator, scorer and splitter."""

from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any, NamedTuple

from sklearn.utils import indexable

from skmeta._sklearn_compat import check_method_params, is_routing_enabled, route_fit_params
from skmeta._validation import suggest
from skmeta.search.early_stopping import check_held_rows


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


def check_fit_data(search: Any, X: Any, y: Any, params: Mapping[str, Any]) -> FitData:
    """Check the data and the parameters of `fit`, and route these.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        With one estimator.
    X, y : array-like
    params : dict
        Parameters of `fit`.

    Returns
    -------
    FitData

    Raises
    ------
    TypeError
        If ``fit`` of the estimator does not take one of the parameters.
    ValueError
        If rows for early stopping are given twice.
    """
    X, y = indexable(X, y)
    given = check_method_params(X, params=params)
    # With metadata routing, scikit-learn itself refuses metadata that was not requested.
    if not is_routing_enabled():
        _check_taken(search.estimator, given)
    if search.early_stopping is not None:
        check_held_rows(search.early_stopping, given)
    routed = route_fit_params(search, dict(given))
    return FitData(
        X, y, routed.estimator.fit, routed.scorer.score, routed.splitter.split, dict(given)
    )


def _check_taken(estimator: Any, given: Mapping[str, Any]) -> None:
    """Raise if ``fit`` of the estimator takes one of the parameters by no name."""
    try:
        known = signature(estimator.fit).parameters
    except (TypeError, ValueError):  # not a Python function: it may take anything
        return
    if any(p.kind is Parameter.VAR_KEYWORD for p in known.values()):  # such as of a pipeline
        return
    for name in given:
        if name not in known and name != "groups":
            hint = suggest(name, known) or f" It takes: {', '.join(known)}."
            raise TypeError(
                f"fit got the parameter {name!r}, which {type(estimator).__name__}.fit does not "
                f"take; every fit would fail.{hint}"
            )
