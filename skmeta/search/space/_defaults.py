"""Default search spaces of scikit-learn's estimators: one readable table.

Ranges are those of published studies of tuning, widened or narrowed where scikit-learn's
parametrisation or the cost of a fit asks for it:

- [vRH18] van Rijn & Hutter (2018), "Hyperparameter importance across datasets", Tables 1 to 3:
  SVC, RandomForest, AdaBoost, on scikit-learn.
- [PBB19] Probst, Boulesteix & Bischl (2019), "Tunability: importance of hyperparameters of machine
  learning algorithms", Table 1: elastic net, decision tree, k nearest neighbours, SVM, forest,
  boosting.
- [GOV22] Grinsztajn, Oyallon & Varoquaux (2022), "Why do tree-based models still outperform deep
  learning on typical tabular data?", Appendix: gradient boosting, forests, MLP.
- [FKE15] Feurer et al. (2015), "Efficient and robust automated machine learning", supplement:
  SGD, LinearSVC, MLP, extremely randomised trees.

Counts that matter by ratio are lists with about equal ratios: scipy has no log-uniform integers.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from scipy.stats import loguniform, uniform
from sklearn.tree import DecisionTreeClassifier

from skmeta.exceptions import SearchSpaceError
from skmeta.search.space._names import is_estimator, replace_parts

__all__ = ["default_search_space", "expand_choices", "register_search_space"]

Space = dict[str, Any]

_BALANCE = [None, "balanced"]
_LEAVES = [1, 2, 3, 4, 6, 8, 11, 15, 20]
_SPLITS = [2, 3, 4, 6, 8, 11, 15, 20]
_NEIGHBORS = [1, 2, 3, 4, 5, 7, 9, 12, 15, 20, 25, 30, 40, 50]
_DEPTHS = [1, 2, 3, 4, 5, 6, 8, 10, 14, 20, None]
_TREES = [50, 70, 100, 140, 200, 280, 400, 500]
_ROUNDS = [25, 35, 50, 70, 100, 140, 200, 280, 400]
_LEAF_NODES = [4, 6, 8, 12, 16, 23, 31, 45, 63, 90, 127]
_LAYERS = [(16,), (32,), (64,), (128,), (256,), (32, 32), (64, 64), (128, 128), (64, 64, 64)]

# uniform(a, b) of scipy runs from a to a + b.
_SHARES = uniform(0.1, 0.85)

_SVM_KERNELS: list[Space] = [
    # [vRH18]: C 2^-5 to 2^15, gamma 2^-15 to 2^3, coef0 -1 to 1; degree [PBB19]. Narrowed above,
    # for polynomials most, where a fit can take a thousand times longer and rarely is better.
    {
        "kernel": ["rbf"],
        "C": loguniform(2**-5, 2**12),
        "gamma": loguniform(2**-15, 2**3),
    },
    {
        "kernel": ["poly"],
        "C": loguniform(2**-5, 2**5),
        "gamma": loguniform(2**-10, 1),
        "degree": [2, 3, 4],
        "coef0": uniform(0, 1),
    },
    {
        "kernel": ["sigmoid"],
        "C": loguniform(2**-5, 2**10),
        "gamma": loguniform(2**-15, 1),
        "coef0": uniform(-1, 2),
    },
]

_TREE: Space = {
    # [PBB19]: maxdepth 1 to 30, minbucket and minsplit 1 to 60, cp 0 to 1.
    "max_depth": _DEPTHS,
    "min_samples_leaf": [*_LEAVES, 30, 45, 60],
    "min_samples_split": [*_SPLITS, 30, 45, 60],
    "max_features": _SHARES,
    "ccp_alpha": loguniform(1e-6, 1e-1),
}

_FOREST: Space = {
    # [vRH18]: max_features 0.1 to 0.9, leaves 1 to 20, splits 2 to 20; trees stay at 100.
    "max_features": _SHARES,
    "min_samples_leaf": _LEAVES,
    "min_samples_split": _SPLITS,
    "bootstrap": [True, False],
}

_BOOSTING: Space = {
    # [PBB19] eta 2^-10 to 1; [GOV22]: depth, subsample, leaves.
    "learning_rate": loguniform(5e-3, 1),
    "n_estimators": _ROUNDS,
    "max_depth": [1, 2, 3, 4, 5, 6, 8],
    "subsample": uniform(0.4, 0.6),
    "max_features": _SHARES,
    "min_samples_leaf": _LEAVES,
}

_HISTOGRAM: Space = {
    # [GOV22]: learning rate, leaves; l2 [FKE15] 1e-10 to 1, widened.
    "learning_rate": loguniform(5e-3, 1),
    "max_iter": _ROUNDS,
    "max_leaf_nodes": _LEAF_NODES,
    "min_samples_leaf": [*_LEAVES, 30, 45, 60],
    "l2_regularization": loguniform(1e-8, 1e2),
    "max_features": _SHARES,
}

_NEIGHBOURS: Space = {
    # [PBB19]: k 1 to 30, widened.
    "n_neighbors": _NEIGHBORS,
    "weights": ["uniform", "distance"],
    "p": [1, 2],
}

_MLP: Space = {
    # [FKE15] and [GOV22]: layers, alpha, learning rate.
    "hidden_layer_sizes": _LAYERS,
    "activation": ["relu", "tanh"],
    "alpha": loguniform(1e-7, 1e1),
    "learning_rate_init": loguniform(1e-4, 3e-2),
    "early_stopping": [False, True],
}

_SPACES: dict[str, Space | list[Space]] = {
    # -- classifiers --------------------------------------------------------------------------
    "LogisticRegression": {"C": loguniform(1e-5, 1e5), "class_weight": _BALANCE},  # [PBB19]
    "LinearSVC": {
        # [FKE15]: C 2^-5 to 2^15, narrowed above, where liblinear does not converge.
        "C": loguniform(1e-5, 1e3),
        "loss": ["hinge", "squared_hinge"],
        "class_weight": _BALANCE,
    },
    "SVC": _SVM_KERNELS,
    "KNeighborsClassifier": _NEIGHBOURS,
    "DecisionTreeClassifier": {
        **_TREE,
        "criterion": ["gini", "entropy"],
        "class_weight": _BALANCE,
    },
    "RandomForestClassifier": {**_FOREST, "criterion": ["gini", "entropy"]},
    "ExtraTreesClassifier": {**_FOREST, "criterion": ["gini", "entropy"]},
    "GradientBoostingClassifier": _BOOSTING,
    "HistGradientBoostingClassifier": _HISTOGRAM,
    "AdaBoostClassifier": {
        # [vRH18]: rounds 50 to 500, learning rate 0.01 to 2, depth 1 to 10.
        "n_estimators": _TREES,
        "learning_rate": loguniform(0.01, 2),
        "estimator": [DecisionTreeClassifier()],
        "estimator__max_depth": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    },
    "MLPClassifier": _MLP,
    "SGDClassifier": {
        # [FKE15]: loss, penalty, alpha 1e-7 to 1e-1, averaging.
        "loss": ["hinge", "log_loss", "modified_huber"],
        "penalty": ["l2", "l1", "elasticnet"],
        "alpha": loguniform(1e-7, 1e-1),
        "average": [False, True],
        "class_weight": _BALANCE,
    },
    # -- regressors ---------------------------------------------------------------------------
    "Ridge": {"alpha": loguniform(1e-5, 1e5)},
    "Lasso": {"alpha": loguniform(1e-6, 1e3)},
    "ElasticNet": {"alpha": loguniform(1e-6, 1e3), "l1_ratio": uniform(0.02, 0.98)},
    "SVR": [{**space, "epsilon": loguniform(1e-4, 1)} for space in _SVM_KERNELS],
    "KNeighborsRegressor": _NEIGHBOURS,
    "DecisionTreeRegressor": _TREE,
    "RandomForestRegressor": _FOREST,
    "ExtraTreesRegressor": _FOREST,
    "GradientBoostingRegressor": {**_BOOSTING, "loss": ["squared_error", "huber"]},
    "HistGradientBoostingRegressor": _HISTOGRAM,
    "MLPRegressor": _MLP,
}

_registered: dict[type, Space | list[Space]] = {}


def default_search_space(estimator: Any) -> Space | list[Space]:
    """Return the default search space of an estimator, or of a pipeline's steps together.

    Parameters
    ----------
    estimator : estimator
        Each of its steps that has a default space contributes; the others stay as they are.

    Returns
    -------
    dict, or list of dict
        Parameters with lists of values or scipy distributions, as RandomizedSearchCV and
        MetaLearnedSearchCV take them. Several dicts are sub-spaces, such as a kernel's.

    Raises
    ------
    SearchSpaceError
        If nothing in the estimator has a default space.

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
    spaces = _of_parts(estimator)
    if spaces == [{}]:
        raise SearchSpaceError(
            f"{type(estimator).__name__} has no default search space. Pass param_distributions, "
            "or give the class one with skmeta.search.register_search_space. There are spaces for "
            f"{', '.join(sorted({*_SPACES, *(kind.__name__ for kind in _registered)}))}."
        )
    return spaces[0] if len(spaces) == 1 else spaces


def expand_choices(estimator: Any, space: Any) -> Any:
    """Give every part that a sub-space only chooses between its own default space.

    Parameters
    ----------
    estimator : estimator
        What is tuned.
    space : dict or list of dict
        A sub-space in which every value is an estimator, ``"passthrough"``, ``"drop"`` or None
        names parts and nothing else, such as ``{"clf": [SVC(), RandomForestClassifier()]}``. It
        becomes one sub-space for each combination of parts. Others stay as they are.

    Returns
    -------
    dict, or list of dict
    """
    opened: list[Any] = []
    listed: Sequence[Any] = [space] if isinstance(space, Mapping) else space
    for one in listed:
        opened += _opened(estimator, one) if _only_chooses(one) else [one]
    return opened[0] if len(opened) == 1 else opened


def _only_chooses(space: Any) -> bool:
    if not isinstance(space, Mapping) or any(hasattr(values, "rvs") for values in space.values()):
        return False
    values = [value for values in space.values() for value in values]
    return any(map(is_estimator, values)) and all(
        is_estimator(value) or value is None or value in ("passthrough", "drop") for value in values
    )


def _opened(estimator: Any, space: Mapping[str, Any]) -> list[Space]:
    found = []
    for parts in product(*space.values()):
        chosen = dict(zip(space, parts, strict=True))
        fixed = {name: [part] for name, part in chosen.items()}
        try:
            defaults = _of_parts(replace_parts(estimator, chosen))
        except ValueError:  # the check of the space tells which name is wrong
            return [dict(space)]
        found += [{**fixed, **default} for default in defaults]
    return found


def register_search_space(
    estimator_class: type, space: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> None:
    """Give a class of estimators a default search space, or replace the one it has.

    Parameters
    ----------
    estimator_class : type
        Subclasses without a space of their own use it too.
    space : dict or list of dict
        As MetaLearnedSearchCV takes it, without prefixes of steps.

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
            f"{type(estimator_class).__name__} rather than an instance of it."
        )
    listed = [space] if isinstance(space, Mapping) else list(space)
    if not listed or not all(listed):
        raise SearchSpaceError(
            f"The search space of {estimator_class.__name__} is empty. Name at least one parameter."
        )
    _registered[estimator_class] = [dict(one) for one in listed]


def _of_parts(estimator: Any) -> list[Space]:
    """Return the sub-spaces of an estimator: every combination of its parts' ones."""
    own = _of_class(type(estimator))
    if own is not None:
        return own
    spaces: list[Space] = [{}]
    for name, part in {**estimator.get_params(deep=False), **_steps(estimator)}.items():
        if is_estimator(part):
            prefixed = [
                {f"{name}__{key}": value for key, value in space.items()}
                for space in _of_parts(part)
            ]
            spaces = [{**one, **other} for one in spaces for other in prefixed]
    return spaces


def _steps(estimator: Any) -> dict[str, Any]:
    named = getattr(estimator, "steps", None) or getattr(estimator, "transformer_list", None) or []
    return {step[0]: step[1] for step in named}


def _of_class(kind: type) -> list[Space] | None:
    for base in kind.__mro__:
        space = _registered.get(base)
        if space is None and base.__module__.startswith("sklearn."):
            space = _SPACES.get(base.__name__)
        if space is not None:
            return [dict(one) for one in ([space] if isinstance(space, dict) else space)]
    return None
