"""Every private name of scikit-learn that skmeta uses, and nothing else.

Imports of private names come first, then one function for each private method or attribute. A
release of scikit-learn that moves one fails here, and `tests/test_private_names.py` names it.
Names that only searches and learners need are imported when they are first used: they take a third
of a second that a saved grouped model does not wait for. Supported are scikit-learn 1.6 and newer.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import sklearn

try:
    from sklearn.base import BaseEstimator
    from sklearn.base import _clone_parametrized as clone_parametrized
    from sklearn.base import _fit_context as fit_context
    from sklearn.utils._metadata_requests import RequestMethod
    from sklearn.utils._metadata_requests import _routing_enabled as is_routing_enabled
    from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
    from sklearn.utils.parallel import Parallel, delayed
    from sklearn.utils.validation import _check_method_params as check_method_params
    from sklearn.utils.validation import _check_sample_weight as check_sample_weight
    from sklearn.utils.validation import _get_feature_names as get_feature_names
except ImportError as error:
    raise ImportError(
        f"scikit-learn {sklearn.__version__} lacks a private name that skmeta needs ({error}). "
        "Install scikit-learn 1.6 or newer; if it is newer than this release of skmeta, upgrade "
        "skmeta."
    ) from error

# What is passed on as it is.
__all__ = [
    "HasMethods",
    "Interval",
    "Parallel",
    "StrOptions",
    "check_method_params",
    "check_sample_weight",
    "clone_parametrized",
    "delayed",
    "fit_context",
    "get_feature_names",
    "is_routing_enabled",
]

# Callbacks came with 1.9.
_HAS_CALLBACKS = find_spec("sklearn.callback") is not None
if TYPE_CHECKING:
    from sklearn.model_selection._search import BaseSearchCV

    class CallbackSupport:
        """What scikit-learn's mixin adds to an estimator."""

        def set_callbacks(self, *callbacks: Any) -> Self: ...


def __getattr__(name: str) -> Any:
    """Import the base classes of searches and learners when they are first used."""
    if name == "BaseSearchCV":
        from sklearn.model_selection._search import BaseSearchCV

        return BaseSearchCV
    if name == "CallbackSupport":
        if not _HAS_CALLBACKS:
            return type(name, (), {})
        return import_module("sklearn.callback").CallbackSupportMixin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@contextmanager
def without_array_adapters() -> Iterator[None]:
    """Walk through scikit-learn's modules without its adapters, which load torch and dask."""
    adapters = [f"sklearn.externals.array_api_compat.{name}" for name in ("torch", "dask")]
    added = [name for name in adapters if name not in sys.modules]
    # None in place of a module: its import fails, and the walk goes on.
    sys.modules.update(dict.fromkeys(added))  # type: ignore[arg-type]  # None is allowed
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


# -- estimators ------------------------------------------------------------------------------


def is_cloned_by_parameters(estimator: Any) -> bool:
    """Return whether a clone of an estimator has its parameters, and nothing else it decides."""
    own = getattr(type(estimator), "__sklearn_clone__", None)
    return own is None or own is BaseEstimator.__sklearn_clone__


def printed(value: Any) -> str:
    """Return a value as scikit-learn prints it, in full and without addresses in memory."""
    if not isinstance(value, BaseEstimator):
        text = repr(value.item() if isinstance(value, np.generic) else value)
    else:
        with sklearn.config_context(print_changed_only=True):
            text = value.__repr__(N_CHAR_MAX=sys.maxsize)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


class _BriefRequest(RequestMethod):
    """A method ``set_fit_request``, ``set_score_request``, ... whose help is one sentence."""

    def __get__(self, instance: Any, owner: type) -> Any:
        method = super().__get__(instance, owner)
        method.__doc__ = (
            f"Say which metadata meta-estimators pass to ``{self.name}``: see "
            ":ref:`metadata routing <metadata_routing>`."
        )
        return method


def shorten_requests(kind: type) -> None:
    """Shorten the help of the methods that set the metadata requests of a class of estimators."""
    for name, value in list(vars(kind).items()):
        if isinstance(value, RequestMethod):
            setattr(kind, name, _BriefRequest(value.name, value.keys, value.validate_keys))


def parameter_names(kind: Any) -> list[str]:
    """Return the names of the constructor's parameters of a class of estimators, sorted."""
    return list(kind._get_param_names())


def validate_params(estimator: Any) -> None:
    """Raise if a parameter of an estimator violates its constraints."""
    estimator._validate_params()


def cut_rounds(model: Any, n_rounds: int) -> None:
    """Keep the first rounds of fitted HistGradientBoosting trees."""
    del model._predictors[n_rounds:]


class BoostedNodes(NamedTuple):
    """Fitted HistGradientBoosting trees: nodes and sets of categories of each; see TreeEnsemble."""

    trees: list[np.ndarray]
    sets: list[np.ndarray]
    baseline: np.ndarray
    order: np.ndarray
    levels: tuple[np.ndarray, ...]


def boosted_nodes(model: Any) -> BoostedNodes:
    """Return the parts of fitted HistGradientBoosting trees."""
    predictors = list(chain.from_iterable(model._predictors))
    order, levels = np.arange(model.n_features_in_), ()
    if model._preprocessor is not None:
        is_category = np.asarray(model.is_categorical_)
        order = np.concatenate([np.flatnonzero(is_category), np.flatnonzero(~is_category)])
        encoder = model._preprocessor.named_transformers_["encoder"]
        levels = tuple(known[~np.isnan(known)] for known in encoder.categories_)
    return BoostedNodes(
        [predictor.nodes for predictor in predictors],
        [predictor.raw_left_cat_bitsets for predictor in predictors],
        np.ravel(model._baseline_prediction),
        order,
        levels,
    )


def decision_nodes(model: Any) -> np.ndarray:
    """Return the nodes of a fitted regression tree, as those of gradient boosting."""
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    tree = model.tree_
    own, nodes = tree.__getstate__()["nodes"], np.zeros(tree.node_count, PREDICTOR_RECORD_DTYPE)
    inner = own["left_child"] >= 0
    nodes["is_leaf"] = ~inner
    nodes["value"] = np.where(inner, 0.0, tree.value[:, 0, 0])
    for name, theirs in (
        ("left", "left_child"),
        ("right", "right_child"),
        ("feature_idx", "feature"),
        ("num_threshold", "threshold"),
        ("missing_go_to_left", "missing_go_to_left"),
    ):
        nodes[name][inner] = own[theirs][inner]
    return nodes


def predict_nodes(
    nodes: np.ndarray,
    first: np.ndarray,
    sets: np.ndarray,
    n_levels: list[int],
    baseline: np.ndarray,
    X: np.ndarray,
) -> np.ndarray:
    """Return the sums (n, k) of many trees over many rows; see TreeEnsemble."""
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

    known = np.zeros((len(n_levels), 8), np.uint32)
    for row, n in zip(known, n_levels, strict=True):
        bits = np.arange(n)
        np.bitwise_or.at(row, bits >> 5, np.uint32(1) << (bits & 31).astype(np.uint32))
    place = np.zeros(X.shape[1], np.uint32)
    place[: len(n_levels)] = np.arange(len(n_levels))
    sums = np.tile(baseline, (len(X), 1))
    n_threads = _openmp_effective_n_threads()
    for k, (start, stop) in enumerate(pairwise(first)):
        tree = TreePredictor(nodes[start:stop], sets, sets)
        sums[:, k % len(baseline)] += tree.predict(X, known, place, n_threads)
    return sums


# -- searches --------------------------------------------------------------------------------


@contextmanager
def without_losses(models: Iterable[Any]) -> Iterator[None]:
    """Take the loss out of fitted HistGradientBoosting trees; put it back at the end.

    Its private module differs among versions. ``restore_loss`` makes it again after a file is read.
    """
    trees = [m for m in models if hasattr(m, "_predictors") and isinstance(m.loss, str)]
    losses = [model.__dict__.pop("_loss") for model in trees]
    try:
        yield
    finally:
        for model, loss in zip(trees, losses, strict=True):
            model._loss = loss


def restore_loss(model: Any) -> None:
    """Give HistGradientBoosting trees the loss that ``without_losses`` took out."""
    if hasattr(model, "_predictors") and not hasattr(model, "_loss"):
        model._loss = model._get_loss(sample_weight=None)


def find_wrong_tree(model: Any) -> str | None:
    """Return what is wrong with the nodes of a file's trees (positions, cycles), or None."""
    for predictor in chain.from_iterable(getattr(model, "_predictors", ())):
        nodes = predictor.nodes
        leaf, categorical = nodes["is_leaf"] != 0, nodes["is_categorical"] != 0
        ways = nodes["left"], nodes["right"]
        sets = nodes["bitset_idx"][categorical & ~leaf]
        n_sets = min(len(predictor.raw_left_cat_bitsets), len(predictor.binned_left_cat_bitsets))
        if (
            not _leads_down(ways, nodes["feature_idx"], leaf, model.n_features_in_)
            or (sets >= n_sets).any()
        ):
            return f"a tree of its {type(model).__name__} leads nowhere"
    if type(model).__name__ == "Tree" and type(model).__module__.startswith("sklearn."):
        ways = model.children_left, model.children_right
        if not _leads_down(ways, model.feature, ways[0] == -1, model.n_features):
            return "a decision tree leads nowhere"
    return None


def _leads_down(
    ways: tuple[np.ndarray, np.ndarray], feature: np.ndarray, is_leaf: np.ndarray, n_features: int
) -> bool:
    n, at = len(is_leaf), np.flatnonzero(~is_leaf)
    left, right, feature = (np.asarray(v[at], dtype=np.int64) for v in (*ways, feature))
    is_below = (left > at) & (left < n) & (right > at) & (right < n)
    return bool(n and is_below.all() and ((feature >= 0) & (feature < n_features)).all())


def search_constraints() -> dict[str, Any]:
    """Return the constraints of the parameters that all searches have."""
    from sklearn.model_selection._search import BaseSearchCV

    return dict(BaseSearchCV._parameter_constraints)


def resolve_scorers(search: "BaseSearchCV") -> tuple[Any, Any]:
    """Return the scorer, or the scorers as one, and the key of the metric to refit by."""
    scorers, refit_metric = search._get_scorers()
    return scorers, refit_metric


def route_fit_params(search: "BaseSearchCV", params: dict[str, Any]) -> Any:
    """Return the parameters of `fit` as ``.estimator.fit``, ``.splitter.split``, ..."""
    return search._get_routed_params_for_fit(params)


def format_results(
    search: "BaseSearchCV",
    candidates: list[dict[str, Any]],
    n_splits: int,
    outputs: list[dict[str, Any]],
    columns: dict[str, list[Any]],
) -> dict[str, Any]:
    """Return ``cv_results_``."""
    return dict(search._format_results(candidates, n_splits, outputs, columns))


def select_best_index(search: "BaseSearchCV", refit_metric: Any, results: dict[str, Any]) -> int:
    """Return the row of ``cv_results_`` that `refit` chooses."""
    index: int = search._select_best_index(search.refit, refit_metric, results)
    return index


def fit_and_score(
    estimator: Any, X: Any, y: Any, *, caller: Any, callback_context: Any, **settings: Any
) -> dict[str, Any]:
    """Fit one candidate on one fold and score it."""
    if _HAS_CALLBACKS:
        settings |= {"caller": caller, "callback_ctx": callback_context}
    from sklearn.model_selection._validation import _fit_and_score

    return dict(_fit_and_score(estimator, X, y, **settings))


def judge_failures(outputs: list[dict[str, Any]], error_score: Any) -> None:
    """Warn of fits that failed; raise an error if all did."""
    from sklearn.model_selection._validation import _warn_or_raise_about_fit_failures

    _warn_or_raise_about_fit_failures(outputs, error_score)


def insert_error_scores(outputs: list[dict[str, Any]], error_score: Any) -> None:
    """Give fits that failed the score of errors."""
    from sklearn.model_selection._validation import _insert_error_scores

    _insert_error_scores(outputs, error_score)


# -- callbacks -------------------------------------------------------------------------------


def callback_context(estimator: Any, max_subtasks: int | None) -> Any:
    """Return the callback context of one call of `fit`; None before scikit-learn 1.9."""
    if not _HAS_CALLBACKS:
        return None
    return estimator._init_callback_context(max_subtasks=max_subtasks)


def has_callbacks(estimator: Any) -> bool:
    """Whether callbacks were set on an estimator."""
    return bool(getattr(estimator, "_skl_callbacks", ()))


# -- scorers ---------------------------------------------------------------------------------


class ScorerParts(NamedTuple):
    """The metric, sign (1 if greater is better, else -1), arguments and method of a scorer."""

    function: Any
    sign: int
    kwargs: Mapping[str, Any]
    response_method: Any


def scorer_parts(scorer: Any) -> ScorerParts | None:
    """Return what a scorer is made of; None if `make_scorer` did not make it."""
    from sklearn.metrics._scorer import _BaseScorer

    if not isinstance(scorer, _BaseScorer):
        return None
    return ScorerParts(
        scorer._score_func, scorer._sign, scorer._kwargs, getattr(scorer, "_response_method", None)
    )


def scorers_by_name(scorers: Any) -> dict[str, Any] | None:
    """Return each of several scorers by its name; None for a single scorer."""
    from sklearn.metrics._scorer import _MultimetricScorer

    return dict(scorers._scorers) if isinstance(scorers, _MultimetricScorer) else None


def is_passthrough_scorer(scorer: Any) -> bool:
    """Whether a scorer calls the estimator's own ``score``."""
    from sklearn.metrics._scorer import _PassthroughScorer

    return isinstance(scorer, _PassthroughScorer)


def metric_functions() -> set[Any]:
    """Return the functions of the metrics that scikit-learn has a scorer for."""
    from sklearn.metrics import get_scorer, get_scorer_names

    return {get_scorer(name)._score_func for name in get_scorer_names()}
