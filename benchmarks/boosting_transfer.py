"""Past searches of LightGBM, with the parameters that mean the same in XGBoost and CatBoost.

Each configuration keeps its scores. Parameters without a counterpart are left out, and those that
only the other package has stay unknown. A prior that is learned from these searches is of use where
few searches of the other package are on record (``boosting_priors.py`` measures of how much).
"""

from dataclasses import replace

import numpy as np

# Name in LightGBM -> name, and the value with the same meaning.
SAME = {
    "XGB": {
        "learning_rate": ("learning_rate", float),
        "n_estimators": ("n_estimators", None),
        # A tree of depth d has at most 2^d leaves.
        "num_leaves": ("max_depth", lambda n: float(np.log2(n))),
        "min_child_samples": ("min_child_weight", float),
        "reg_lambda": ("reg_lambda", float),
        "reg_alpha": ("reg_alpha", float),
        "colsample_bytree": ("colsample_bytree", float),
        "subsample": ("subsample", float),
    },
    "CatBoost": {
        "learning_rate": ("learning_rate", float),
        "n_estimators": ("iterations", None),
        "num_leaves": ("depth", lambda n: float(np.log2(n))),
        "reg_lambda": ("l2_leaf_reg", float),
    },
}


def source_of(name):
    """Return the estimator of LightGBM whose searches serve another one, or None."""
    for package in SAME:
        if name.startswith(package):
            return name.replace(package, "LGBM")
    return None


def transfer(name, searches):
    """Return searches of LightGBM as if they were of another estimator.

    Parameters
    ----------
    name : str
        Class of XGBoost or CatBoost.
    searches : list of PastSearch
    """
    [same] = [table for package, table in SAME.items() if name.startswith(package)]
    return [
        replace(
            s,
            estimator=name,
            configurations=tuple(_translate(c, name, same) for c in s.configurations),
        )
        for s in searches
    ]


def _translate(configuration, name, same):
    found = {}
    for key, value in configuration.items():
        parameter = key.partition(".")[2]
        if parameter in same:
            to, convert = same[parameter]
            is_number = convert is not None and isinstance(value, int | float)
            found[f"{name}.{to}"] = convert(value) if is_number else value
    return found
