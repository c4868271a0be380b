"""Table of the default search spaces, of scikit-learn's estimators and of boosting libraries.

Ranges are those of published studies of tuning. They are wider or narrower where an estimator's
parametrisation or the cost of a fit requires it:

- [vRH18] van Rijn & Hutter (2018), "Hyperparameter importance across datasets", Tables 1 to 3:
  SVC, RandomForest, AdaBoost, on scikit-learn.
- [PBB19] Probst, Boulesteix & Bischl (2019), "Tunability: importance of hyperparameters of machine
  learning algorithms", Table 1: elastic net, decision tree, k nearest neighbours, SVM, forest,
  boosting.
- [GOV22] Grinsztajn, Oyallon & Varoquaux (2022), "Why do tree-based models still outperform deep
  learning on typical tabular data?", Appendix: gradient boosting, forests, MLP.
- [FKE15] Feurer et al. (2015), "Efficient and robust automated machine learning", supplement:
  SGD, LinearSVC, MLP, extremely randomised trees.
- [WWWZ21] Wang, Wu, Weimer & Zhu (2021), "FLAML: a fast and lightweight AutoML library", Table 5:
  LightGBM, XGBoost.
- [GRKB21] Gorishniy, Rubachev, Khrulkov & Babenko (2021), "Revisiting deep learning models for
  tabular data", supplement: CatBoost.

Parameters that have the unit of the target (`_defaults.py`) are for targets with deviation 1; a
search multiplies their ranges by that of its targets. For regressors of LightGBM, XGBoost and
CatBoost, penalties in units of the target (L1 on leaf weights, the minimum gain of a split) are
left out, since the same value means another strength on every target. Their learning rates begin at
0.01, so that a thousand rounds suffice.

Counts are lists with about equal ratios, since scipy has no log-uniform integers. None of the
boosting libraries is imported.
"""

from typing import Any

from scipy.stats import loguniform, uniform
from sklearn.tree import DecisionTreeClassifier

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

# uniform(a, b) of scipy is uniform on [a, a + b].
_SHARES = uniform(0.1, 0.85)

_SVM_KERNELS: list[Space] = [
    # [vRH18]: C 2^-5 to 2^15, gamma 2^-15 to 2^3, coef0 -1 to 1; degree [PBB19]. Upper ends are
    # lower here, most of all for polynomials: there, a fit can take a thousand times longer and
    # is rarely better.
    {"kernel": ["rbf"], "C": loguniform(2**-5, 2**12), "gamma": loguniform(2**-15, 2**3)},
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

# A parameter that is set, and what it rules out.
RULED_OUT = {"oob_score": "bootstrap", "max_samples": "bootstrap", "penalty": "loss", "metric": "p"}

DEFAULT_SPACES: dict[str, Space | list[Space]] = {
    # -- classifiers --------------------------------------------------------------------------
    "LogisticRegression": {"C": loguniform(1e-5, 1e5), "class_weight": _BALANCE},  # [PBB19]
    "LinearSVC": {
        # [FKE15]: C 2^-5 to 2^15. The upper end is lower here, since liblinear does not converge.
        "C": loguniform(1e-5, 1e3),
        "loss": ["hinge", "squared_hinge"],
        "class_weight": _BALANCE,
    },
    "SVC": _SVM_KERNELS,
    "KNeighborsClassifier": _NEIGHBOURS,
    "DecisionTreeClassifier": {**_TREE, "criterion": ["gini", "entropy"], "class_weight": _BALANCE},
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

# -- boosting libraries ----------------------------------------------------------------------------

_MORE_ROUNDS = [25, 35, 50, 70, 100, 140, 200, 280, 400, 560, 800, 1000]
# [PBB19] 2^-10 to 1, [WWWZ21] 2^-10 to 1.
_LEARNING_RATE = loguniform(1e-2, 0.5)

_LIGHTGBM: Space = {
    "learning_rate": _LEARNING_RATE,
    "n_estimators": _MORE_ROUNDS,
    # [WWWZ21]: 4 to 32,768 leaves. More than 127 are rarely better on some thousand rows.
    "num_leaves": [4, 6, 8, 12, 16, 23, 31, 45, 63, 90, 127],
    "min_child_samples": [2, 3, 5, 8, 12, 20, 30, 45, 70, 100, 128],  # [WWWZ21]: 2 to 128
    "reg_lambda": loguniform(2**-10, 2**10),  # [WWWZ21]
    "colsample_bytree": uniform(0.3, 0.7),  # [WWWZ21]: 0.01 to 1
    "subsample": uniform(0.5, 0.5),  # [GOV22]
    "subsample_freq": [1],  # without it, LightGBM ignores subsample
}

_XGBOOST: Space = {
    "learning_rate": _LEARNING_RATE,
    "n_estimators": _MORE_ROUNDS,
    "max_depth": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],  # [GOV22]
    "min_child_weight": [1, 2, 3, 5, 8, 12, 20, 30, 45, 70, 100],  # [GOV22]
    "reg_lambda": loguniform(2**-10, 2**10),  # [PBB19], [WWWZ21]
    "colsample_bytree": uniform(0.3, 0.7),  # [GOV22]: 0.5 to 1; [PBB19]: 0 to 1
    "subsample": uniform(0.5, 0.5),  # [GOV22]
}

_CATBOOST: Space = {
    "learning_rate": _LEARNING_RATE,
    "iterations": _MORE_ROUNDS,
    # [GRKB21]: 3 to 10. A fit of depth 10 takes ten times as long as one of depth 6.
    "depth": [3, 4, 5, 6, 7, 8],
    "l2_leaf_reg": loguniform(1, 10),  # [GRKB21]
    "bagging_temperature": uniform(0, 1),  # [GRKB21]
    "bootstrap_type": ["Bayesian"],  # the one that has a bagging temperature
    "leaf_estimation_iterations": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],  # [GRKB21]
}

# Package -> class -> space.
BOOSTING_SPACES: dict[str, dict[str, Space]] = {
    "lightgbm": {
        "LGBMClassifier": {**_LIGHTGBM, "reg_alpha": loguniform(2**-10, 2**10)},  # [WWWZ21]
        "LGBMRegressor": _LIGHTGBM,
    },
    "xgboost": {
        "XGBClassifier": {
            **_XGBOOST,
            "reg_alpha": loguniform(2**-10, 2**10),  # [PBB19], [WWWZ21]
            "gamma": loguniform(1e-8, 7),  # [GOV22]
        },
        "XGBRegressor": _XGBOOST,
    },
    "catboost": {"CatBoostClassifier": _CATBOOST, "CatBoostRegressor": _CATBOOST},
}

# XGBoost's estimators have None where the library has these numbers.
_XGBOOST_DEFAULTS = {
    "learning_rate": 0.3,
    "n_estimators": 100,
    "max_depth": 6,
    "min_child_weight": 1,
    "reg_lambda": 1,
    "reg_alpha": 0,
    "gamma": 0,
    "colsample_bytree": 1,
    "subsample": 1,
}

# Name of a parameter, with its class -> the number that None stands for.
NUMBERS_OF_NONE = {
    f"{name}.{parameter}": number
    for name in BOOSTING_SPACES["xgboost"]
    for parameter, number in _XGBOOST_DEFAULTS.items()
}
