"""Scores of a model on one draw of a table: known rows and their targets, and rows to be predicted.

Seconds are those of the processor, for fitting and predicting.
"""

import time
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

NORMAL_90 = 1.6448536269514722


def gaussian_process() -> GaussianProcessRegressor:
    """A process whose scale and noise are fitted by marginal likelihood."""
    kernel = ConstantKernel() * RBF(length_scale=3.0) + WhiteKernel(0.1)
    return GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1)


def class_probabilities(model: Any, part: tuple) -> np.ndarray:
    """Probabilities of a fitted classifier.

    Those of a model that has none come from sigmoid calibration; if a class has one row only, they
    are the predicted labels, smoothed by one half.
    """
    X, y, X_query, _ = part
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X_query))
    classes, count = np.unique(y, return_counts=True)
    if count.min() < 2:
        return 0.5 * (model.predict(X_query)[:, None] == classes) + 0.5 / len(classes)
    folds = int(min(5, count.min()))
    calibrated = CalibratedClassifierCV(model, cv=folds, ensemble=False).fit(X, y)
    return np.asarray(calibrated.predict_proba(X_query))


def classify(
    model: Any, part: tuple, is_balanced: bool = True, by_probability: bool = False
) -> dict:
    """Accuracy, by labels or by the largest probability, and log loss of a classifier.

    All classes or all rows count alike.
    """
    X, y, X_query, y_query = part
    began = time.process_time()
    model.fit(X, y)
    model = getattr(model, "best_estimator_", model)
    p = class_probabilities(model, part)
    predicted = p.argmax(1) if by_probability else model.predict(X_query)
    seconds = time.process_time() - began
    weight = 1 / np.bincount(y_query)[y_query] if is_balanced else np.ones(len(y_query))
    loss = -np.log(np.clip(p[np.arange(len(y_query)), y_query], 1e-7, 1))
    return {
        "accuracy": float(np.average(predicted == y_query, weights=weight)),
        "log_loss": float(np.average(loss, weights=weight)),
        "seconds": seconds,
    }


def regress(model: Any, part: tuple) -> dict:
    """Squared error over that of the mean of the known rows, and coverage of 90% intervals."""
    X, y, X_query, y_query = part
    began = time.process_time()
    model.fit(X, y)
    bounds = None
    if "gaussianprocessregressor" in getattr(model, "named_steps", {}):
        predicted, std = model.predict(X_query, return_std=True)
        bounds = predicted - NORMAL_90 * std, predicted + NORMAL_90 * std
    else:
        predicted = model.predict(X_query)
    seconds = time.process_time() - began
    if hasattr(model, "predict_quantiles"):
        bounds = model.predict_quantiles(X_query, (0.05, 0.95)).T
    error = np.mean((predicted - y_query) ** 2) / np.mean((y.mean() - y_query) ** 2)
    scores = {"error": float(error), "seconds": seconds}
    if bounds is not None:
        scores["coverage"] = float(np.mean((bounds[0] <= y_query) & (y_query <= bounds[1])))
    return scores
