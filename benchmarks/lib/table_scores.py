"""Scores of a model on one draw of a table: known rows and their targets, and rows to be predicted.

Seconds are those of the processor, for fitting and predicting.
"""

import time
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.metrics import average_precision_score

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


def class_weights(y: np.ndarray) -> np.ndarray:
    """Weights of rows with which all classes count alike; their sum is 1."""
    weight = 1 / np.bincount(y)[y]
    return weight / weight.sum()


def classification_scores(p: np.ndarray, predicted: np.ndarray, y: np.ndarray) -> dict:
    """Scores in which all classes count alike; ``gaps`` are those of the bins of calibration."""
    weight = class_weights(y)
    chosen = np.clip(p[np.arange(len(y)), y], 1e-7, 1)
    top, hit = p.max(1), (p.argmax(1) == y).astype(float)
    bins = np.minimum((10 * top).astype(int), 9)
    gaps = np.bincount(bins, weight * (top - hit), minlength=10)
    return {
        "accuracy": float(weight @ (predicted == y)),
        "log_loss": float(weight @ -np.log(chosen)),
        "brier": float(weight @ ((p - np.eye(p.shape[1])[y]) ** 2).sum(1)),
        "calibration": float(np.abs(gaps).sum()),
        "gaps": gaps,
    }


def calibration_floor(p: np.ndarray, n_draws: int = 5) -> float:
    """Calibration error where the labels are as the probabilities say."""
    rng = np.random.default_rng(0)
    drawn = (p.cumsum(1)[None] < rng.random((n_draws, len(p), 1))).sum(2).clip(max=p.shape[1] - 1)
    return float(np.mean([classification_scores(p, p.argmax(1), y)["calibration"] for y in drawn]))


def classify(model: Any, part: tuple) -> dict:
    """Scores of a classifier on one draw."""
    X, y, X_query, y_query = part
    began = time.process_time()
    model.fit(X, y)
    model = getattr(model, "best_estimator_", model)
    predicted, p = model.predict(X_query), class_probabilities(model, part)
    seconds = time.process_time() - began
    scores = classification_scores(p, predicted, y_query)
    if p.shape[1] == 2:
        scores["precision"] = float(average_precision_score(y_query, p[:, 1]))
    return scores | {"floor": calibration_floor(p), "seconds": seconds}


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
