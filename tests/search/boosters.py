"""Small estimators of LightGBM, XGBoost and CatBoost, where the packages are installed."""

from importlib import import_module

import pytest

# One thread, and nothing printed or written.
SETTINGS = {
    "lightgbm": {"n_jobs": 1, "verbose": -1, "random_state": 0},
    "xgboost": {"n_jobs": 1, "random_state": 0},
    "catboost": {"thread_count": 1, "silent": True, "allow_writing_files": False},
}
CLASSES = {"LGBMClassifier": "lightgbm", "LGBMRegressor": "lightgbm"}
CLASSES |= {"XGBClassifier": "xgboost", "XGBRegressor": "xgboost"}
CLASSES |= {"CatBoostClassifier": "catboost", "CatBoostRegressor": "catboost"}


def make_booster(name, **settings):
    """Return an estimator by the name of its class; skip the test without its package."""
    package = CLASSES[name]
    pytest.importorskip(package)
    return getattr(import_module(package), name)(**{**SETTINGS[package], **settings})
