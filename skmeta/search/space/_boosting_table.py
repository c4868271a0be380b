"""Table of the default search spaces of LightGBM's, XGBoost's and CatBoost's estimators.

None of the packages is imported. Ranges are those of published studies of tuning:

- [PBB19] Probst, Boulesteix & Bischl (2019), "Tunability: importance of hyperparameters of machine
  learning algorithms", Table 1: XGBoost.
- [WWWZ21] Wang, Wu, Weimer & Zhu (2021), "FLAML: a fast and lightweight AutoML library", Table 5:
  LightGBM, XGBoost.
- [GOV22] Grinsztajn, Oyallon & Varoquaux (2022), "Why do tree-based models still outperform deep
  learning on typical tabular data?", Appendix: XGBoost.
- [GRKB21] Gorishniy, Rubachev, Khrulkov & Babenko (2021), "Revisiting deep learning models for
  tabular data", supplement: CatBoost.

The learning rate of all three begins at 0.01, so that a thousand rounds suffice. Penalties in units
of the target (L1 on leaf weights, the minimum gain of a split) are left out for regressors, since
the same value means another strength on every target.
"""

from scipy.stats import loguniform, uniform

from skmeta.search.space._default_table import Space

_ROUNDS = [25, 35, 50, 70, 100, 140, 200, 280, 400, 560, 800, 1000]
# [PBB19] 2^-10 to 1, [WWWZ21] 2^-10 to 1.
_LEARNING_RATE = loguniform(1e-2, 0.5)

# uniform(a, b) of scipy is uniform on [a, a + b].
_LIGHTGBM: Space = {
    "learning_rate": _LEARNING_RATE,
    "n_estimators": _ROUNDS,
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
    "n_estimators": _ROUNDS,
    "max_depth": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],  # [GOV22]
    "min_child_weight": [1, 2, 3, 5, 8, 12, 20, 30, 45, 70, 100],  # [GOV22]
    "reg_lambda": loguniform(2**-10, 2**10),  # [PBB19], [WWWZ21]
    "colsample_bytree": uniform(0.3, 0.7),  # [GOV22]: 0.5 to 1; [PBB19]: 0 to 1
    "subsample": uniform(0.5, 0.5),  # [GOV22]
}

_CATBOOST: Space = {
    "learning_rate": _LEARNING_RATE,
    "iterations": _ROUNDS,
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
