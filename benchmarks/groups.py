"""New groups of grouped tables, from 5 or 10 of their rows.

    SKMETA_DATA=... python benchmarks/groups.py --methods pooled intercept hierarchical
    SKMETA_DATA=... python benchmarks/groups.py --sets Exam Hsb82 --methods slopes
    python benchmarks/groups.py --summary

A third of the groups of 15 rows or more (of ChickWeight: of 12) is held out, at most 25 of them
are tested, and all other groups are there to learn from. Of each tested group 5 (or 10) rows are
known, at random, and the same up to 100 others are predicted in both cases. Encoders are fitted on
the rows to learn from.

Methods:

``pooled``        ridge or logistic regression on all rows to learn from;
``boosted``       gradient-boosted trees on the same;
``own``           ridge or logistic regression on the known rows;
``pooled_own``    ``pooled`` with the known rows added, at a weight that is chosen on groups to
                  learn from;
``intercept``     random intercept: of regressions, statsmodels' MixedLM with a ridge penalty's
                  pooled slopes; of classifications, an intercept for each group beside a pooled
                  logistic regression, by quadrature;
``slopes``        random intercept and slopes with a diagonal covariance, fixed effects estimated
                  jointly (EM; Laplace's approximation for classes);
``shipped``       the prior for small tables that ships, on the known rows;
``hierarchical``  HierarchicalLinear, default settings;
``alpaca``        ALPaCA;
``in_context``    InContextLearner, fine-tuned from the prior that ships;
``metasgd``, ``maml``  those, on groups.

The baselines ``intercept`` and ``slopes`` are written here, apart from the package.

Squared errors are over the variance of the targets of all queries of a split, log losses are of
probabilities over all classes, not below 0.001. Every second set, by a hash of its name, is there
to choose settings on; ``--summary`` reports both halves, with intervals from a bootstrap over sets.
Each result is one line of ``results/groups.csv``, and a run goes on after those that are there.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results" / "groups.csv"
GROUPED = {
    "Exam": (
        "school",
        "normexam",
        ["standLRT", "sex", "vr", "intake", "type", "schgend", "schavg"],
    ),
    "Hsb82": ("school", "mAch", ["minrty", "sx", "ses", "meanses", "sector"]),
    "ChickWeight": ("Chick", "weight", ["Time", "Diet"]),
}
SHOTS = (5, 10)
FEWEST_ROWS, MOST_GROUPS, MOST_QUERIES = 15, 25, 100
LEAST_PROBABILITY = 1e-3
COLUMNS = (
    "set",
    "task",
    "split",
    "method",
    "shots",
    "error",
    "log_density",
    "accuracy",
    "covered",
    "seconds",
)
METHODS: dict[str, Callable] = {}


class Table(NamedTuple):
    """A grouped table."""

    name: str
    task: str
    X: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray


class Split(NamedTuple):
    """Groups to learn from, and groups to be tested."""

    task: str
    frame: pd.DataFrame
    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    train: np.ndarray
    tests: list[tuple[np.ndarray, np.ndarray]]
    seed: int

    @property
    def n_classes(self) -> int:
        return int(self.y.max()) + 1


class Prediction(NamedTuple):
    """Of the queries of one group: means or probabilities; variances and 5% and 95% quantiles."""

    y: np.ndarray
    variance: np.ndarray | None = None
    interval: np.ndarray | None = None


def table_names() -> list[str]:
    index = pd.read_csv(Path(os.environ["SKMETA_DATA"]) / "groupbench" / "index.csv")
    return [*index["name"], *GROUPED]


def load(name: str) -> Table:
    folder = Path(os.environ["SKMETA_DATA"])
    if name in GROUPED:
        group, target, columns = GROUPED[name]
        table = pd.read_csv(folder / "grouped" / f"{name}.csv")
        X, task = table[columns].copy(), "regression"
        if name == "ChickWeight":
            X["Diet"] = X["Diet"].astype(str)
    else:
        index = pd.read_csv(folder / "groupbench" / "index.csv", index_col="name")
        table = pd.read_csv(folder / "groupbench" / f"{name}.csv.gz")
        group, target, task = "group", "target", index.loc[name, "task"]
        X = table.drop(columns=["group", "target"])
    y = table[target].to_numpy()
    y = y.astype(float) if task == "regression" else np.unique(y, return_inverse=True)[1]
    groups = np.unique(table[group].astype(str), return_inverse=True)[1]
    return Table(name, task, X, y, groups)


def is_development(name: str) -> bool:
    """Whether settings may be chosen on a set."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 0


def encode(X: pd.DataFrame, train: np.ndarray) -> np.ndarray:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = X.select_dtypes("number").columns
    categories = [c for c in X.columns if c not in numbers]
    encoder = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(
                    SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
                ),
                numbers,
            ),
            (
                "categories",
                OneHotEncoder(
                    min_frequency=20,
                    handle_unknown="infrequent_if_exist",
                    drop="if_binary",
                    sparse_output=False,
                ),
                categories,
            ),
        ]
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found unknown categories")
        encoder.fit(X.iloc[train])
        return np.asarray(encoder.transform(X), float)


def split_table(table: Table, n_shot: int, seed: int) -> Split:
    rng = np.random.default_rng(
        [seed, int(hashlib.sha256(table.name.encode()).hexdigest()[:8], 16)]
    )
    sizes = np.bincount(table.groups)
    fewest = FEWEST_ROWS if sizes.max() >= FEWEST_ROWS else sizes.max()
    large = rng.permutation(np.flatnonzero(sizes >= fewest))
    held_out = large[: round(len(large) / 3)]
    train = np.flatnonzero(~np.isin(table.groups, held_out))
    tests = []
    for group in held_out[:MOST_GROUPS]:
        rows = rng.permutation(np.flatnonzero(table.groups == group))
        known, queries = rows[: max(SHOTS)], rows[max(SHOTS) :][:MOST_QUERIES]
        tests.append((known[:n_shot], queries))
    return Split(
        table.task, table.X, encode(table.X, train), table.y, table.groups, train, tests, seed
    )


def method(name: str) -> Callable:
    def register(function: Callable) -> Callable:
        METHODS[name] = function
        return function

    return register


# --------------------------------------------------------------------------------- plain baselines


def _pooled_model(
    split: Split,
    X: np.ndarray,
    y: np.ndarray,
    w: np.ndarray | None = None,
    alpha: float | None = None,
):
    from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

    if split.task == "regression":
        if alpha is not None:
            return Ridge(alpha).fit(X, y, sample_weight=w)
        return RidgeCV(np.logspace(-3, 4, 22)).fit(X, y, sample_weight=w)
    return LogisticRegression(max_iter=2000).fit(X, y, sample_weight=w)


def _predict(split: Split, model, X: np.ndarray) -> np.ndarray:
    if split.task == "regression":
        return model.predict(X)
    proba = np.zeros((len(X), split.n_classes))
    proba[:, model.classes_] = model.predict_proba(X)
    return proba


def _class_shares(split: Split, y: np.ndarray) -> np.ndarray:
    counts = np.bincount(y, minlength=split.n_classes) + 0.5
    return counts / counts.sum()


@method("pooled")
def pooled(split: Split) -> list[Prediction]:
    model = _pooled_model(split, split.X[split.train], split.y[split.train])
    return [Prediction(_predict(split, model, split.X[q])) for _, q in split.tests]


@method("boosted")
def boosted(split: Split) -> list[Prediction]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    cls = (
        HistGradientBoostingRegressor
        if split.task == "regression"
        else HistGradientBoostingClassifier
    )
    model = cls(random_state=split.seed, early_stopping=True)
    model.fit(split.X[split.train], split.y[split.train])
    return [Prediction(_predict(split, model, split.X[q])) for _, q in split.tests]


@method("own")
def own(split: Split) -> list[Prediction]:
    found = []
    for known, queries in split.tests:
        y = split.y[known]
        if split.task == "regression":
            found.append(
                Prediction(_pooled_model(split, split.X[known], y).predict(split.X[queries]))
            )
        elif len(np.unique(y)) == 1:
            found.append(Prediction(np.tile(_class_shares(split, y), (len(queries), 1))))
        else:
            found.append(
                Prediction(
                    _predict(split, _pooled_model(split, split.X[known], y), split.X[queries])
                )
            )
    return found


@method("pooled_own")
def pooled_own(split: Split) -> list[Prediction]:
    """The weight of a known row is that with the least error on 10 groups to learn from."""
    n_shot = len(split.tests[0][0])
    rng = np.random.default_rng(split.seed)
    sizes = np.bincount(split.groups[split.train])
    chosen = rng.permutation(np.flatnonzero(sizes >= n_shot + 5))[:10]
    losses = dict.fromkeys((1.0, 3.0, 10.0, 30.0, 100.0), 0.0)
    base = _pooled_model(split, split.X[split.train], split.y[split.train])
    alpha = getattr(base, "alpha_", None)

    def fit(rows: np.ndarray, known: np.ndarray, weight: float):
        both = np.concatenate([rows, known])
        w = np.concatenate([np.ones(len(rows)), np.full(len(known), weight)])
        return _pooled_model(split, split.X[both], split.y[both], w, alpha)

    for group in chosen:
        rows = rng.permutation(split.train[split.groups[split.train] == group])
        others = split.train[split.groups[split.train] != group]
        known, queries = rows[:n_shot], rows[n_shot:]
        for weight in losses:
            y = _predict(split, fit(others, known, weight), split.X[queries])
            losses[weight] += _error(split, Prediction(y), queries).mean()
    best = min(losses, key=lambda weight: losses[weight])
    return [
        Prediction(_predict(split, fit(split.train, known, best), split.X[queries]))
        for known, queries in split.tests
    ]


# ------------------------------------------------------------------------- mixed models, for peers


def _design(X: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(X)), X])


@method("intercept")
def intercept(split: Split) -> list[Prediction]:
    """A pooled linear predictor, and an intercept of the group that is shrunken."""
    X, y, groups = split.X[split.train], split.y[split.train], split.groups[split.train]
    model = _pooled_model(split, X, y)
    if split.task == "regression":
        return _gaussian_intercept(split, model, y - model.predict(X), groups)
    return _class_intercept(split, model, X, y, groups)


def _gaussian_intercept(
    split: Split, model, residual: np.ndarray, groups: np.ndarray
) -> list[Prediction]:
    import statsmodels.api as sm

    scale = residual.std()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A variance at its bound is no fault of the comparison.
        fitted = sm.MixedLM(residual / scale, np.ones((len(residual), 1)), groups).fit(reml=True)
    between, within = (
        float(np.asarray(fitted.cov_re)[0, 0]) * scale**2,
        float(fitted.scale) * scale**2,
    )
    centre = float(np.asarray(fitted.fe_params)[0]) * scale
    found = []
    for known, queries in split.tests:
        gap = split.y[known] - model.predict(split.X[known]) - centre
        weight = between / (between + within / len(known))
        mean = model.predict(split.X[queries]) + centre + weight * gap.mean()
        found.append(Prediction(mean, np.full(len(mean), (1 - weight) * between + within)))
    return found


def _class_intercept(
    split: Split, model, X: np.ndarray, y: np.ndarray, groups: np.ndarray
) -> list[Prediction]:
    """Effects of a group on the log odds of each class, drawn from N(0, s^2): s by Laplace."""
    from scipy.optimize import minimize_scalar

    c = split.n_classes

    def log_proba(rows: np.ndarray) -> np.ndarray:
        return np.log(np.clip(_predict(split, model, split.X[rows]), 1e-6, 1))

    def mode(
        logits: np.ndarray, targets: np.ndarray, s: float
    ) -> tuple[np.ndarray, np.ndarray, float]:
        u = np.zeros(c)
        for _ in range(50):
            p = np.exp(logits + u)
            p /= p.sum(1, keepdims=True)
            gradient = targets.sum(0) - p.sum(0) - u / s**2
            h = np.diag(p.sum(0)) - p.T @ p + np.eye(c) / s**2
            step = np.linalg.solve(h, gradient)
            u = u + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
            if np.abs(step).max() < 1e-8:
                break
        log_p = logits + u
        log_p = log_p - np.log(np.exp(log_p).sum(1, keepdims=True))
        value = (targets * log_p).sum() - u @ u / (2 * s**2) - 0.5 * np.linalg.slogdet(h * s**2)[1]
        return u, h, value

    logits, targets = log_proba(split.train), np.eye(c)[y]
    parts = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    found = minimize_scalar(
        lambda log_s: -sum(mode(logits[r], targets[r], np.exp(log_s))[2] for r in parts),
        bounds=(-4, 2),
        method="bounded",
        options={"xatol": 0.02},
    )
    s = float(np.exp(found.x))
    rng, predictions = np.random.default_rng(0), []
    for known, queries in split.tests:
        u, h, _ = mode(log_proba(known), np.eye(c)[split.y[known]], s)
        draws = rng.multivariate_normal(u, np.linalg.inv(h), 500)
        p = np.exp(log_proba(queries)[:, None] + draws)
        predictions.append(Prediction((p / p.sum(2, keepdims=True)).mean(1)))
    return predictions


@method("slopes")
def slopes(split: Split) -> list[Prediction]:
    """Random intercept and slopes, diagonal covariance, by EM; fixed effects jointly."""
    Z, y, groups = _design(split.X[split.train]), split.y[split.train], split.groups[split.train]
    parts = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    if split.task == "regression":
        return _gaussian_slopes(split, Z, y, parts)
    return _class_slopes(split, Z, y, parts)


def _gaussian_slopes(split: Split, Z: np.ndarray, y: np.ndarray, parts: list) -> list[Prediction]:
    centre, scale = y.mean(), y.std()
    y = (y - centre) / scale
    q = Z.shape[1]
    d, s2 = np.full(q, 0.1), 0.5
    grams = np.stack([Z[r].T @ Z[r] for r in parts])
    moments = np.stack([Z[r].T @ y[r] for r in parts])
    squares, n = sum(y[r] @ y[r] for r in parts), len(y)
    for _ in range(300):
        root = np.sqrt(d)
        m = np.eye(q) + root[:, None] * grams * root / s2
        inverse = np.linalg.inv(m)
        # V^-1 in the space of coefficients: A / s2 - A L M^-1 L A / s2^2.
        la = root[:, None] * grams
        whole = grams.sum(0) / s2 - (la.mT @ inverse @ la).sum(0) / s2**2
        lb = root * moments
        right = moments.sum(0) / s2 - (la.mT @ (inverse @ lb[..., None]))[..., 0].sum(0) / s2**2
        fixed = np.linalg.solve(whole + 1e-3 * np.eye(q), right)
        residual = moments - grams @ fixed
        u = root * np.einsum("gij,gj->gi", inverse, root * residual) / s2
        cov = root[:, None] * inverse * root
        new_d = (u**2 + np.diagonal(cov, axis1=1, axis2=2)).mean(0)
        at = fixed + u
        misfit = squares - 2 * (at * moments).sum() + np.einsum("gi,gij,gj->", at, grams, at)
        new_s2 = (misfit + np.einsum("gij,gji->", grams, cov)) / n
        done = np.abs(new_d - d).max() < 1e-6 and abs(new_s2 - s2) < 1e-6
        d, s2 = new_d, new_s2
        if done:
            break
    found = []
    for known, queries in split.tests:
        z, at = _design(split.X[known]), _design(split.X[queries])
        cov = np.linalg.inv(z.T @ z / s2 + np.diag(1 / np.maximum(d, 1e-10)))
        b = fixed + cov @ z.T @ ((split.y[known] - centre) / scale - z @ fixed) / s2
        variance = (s2 + np.einsum("ni,ij,nj->n", at, cov, at)) * scale**2
        found.append(Prediction(at @ b * scale + centre, variance))
    return found


def _class_slopes(split: Split, Z: np.ndarray, y: np.ndarray, parts: list) -> list[Prediction]:
    """One logistic model for each class against the others; probabilities are normalised."""
    c = split.n_classes
    columns = [1] if c == 2 else range(c)
    proba = [np.zeros((len(q), c)) for _, q in split.tests]
    for k in columns:
        for j, p in enumerate(_binary_slopes(split, Z, (y == k).astype(float), parts, k)):
            proba[j][:, k] = p
    if c == 2:
        for p in proba:
            p[:, 0] = 1 - p[:, 1]
    return [Prediction(p / p.sum(1, keepdims=True)) for p in proba]


def _binary_slopes(
    split: Split, Z: np.ndarray, t: np.ndarray, parts: list, k: int
) -> list[np.ndarray]:
    from scipy.special import expit

    q = Z.shape[1]
    share = np.clip(t.mean(), 0.01, 0.99)
    fixed, d = np.r_[np.log(share / (1 - share)), np.zeros(q - 1)], np.r_[0.5, np.full(q - 1, 0.05)]

    def mode(
        z: np.ndarray, t: np.ndarray, u: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        for _ in range(8):
            p = expit(z @ (fixed + u))
            a = (p * (1 - p))[:, None] * z
            h = z.T @ a + np.diag(1 / d)
            step = np.linalg.solve(h, z.T @ (t - p) - u / d)
            u = u + step * min(1.0, 3.0 / max(np.abs(step).max(), 1e-12))
        return u, h, z.T @ a

    modes = np.zeros((len(parts), q))
    for _ in range(60):
        gradient, information = -1e-2 * fixed, 1e-2 * np.eye(q)
        gradient[0] = 0.0
        second = np.zeros(q)
        for g, rows in enumerate(parts):
            modes[g], h, a = mode(Z[rows], t[rows], modes[g])
            p, cov = expit(Z[rows] @ (fixed + modes[g])), np.linalg.inv(h)
            second += modes[g] ** 2 + np.diag(cov)
            gradient = gradient + Z[rows].T @ (t[rows] - p)
            information = information + a - a @ cov @ a
        new_d = np.maximum(second / len(parts), 1e-6)
        step = np.linalg.solve(information, gradient)
        fixed = fixed + step * min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))
        done = np.abs(new_d - d).max() < 1e-4 and np.abs(step).max() < 1e-4
        d = new_d
        if done:
            break
    found = []
    for known, queries in split.tests:
        u, h, _ = mode(_design(split.X[known]), (split.y[known] == k).astype(float), np.zeros(q))
        at = _design(split.X[queries])
        variance = np.einsum("ni,ij,nj->n", at, np.linalg.inv(h), at)
        found.append(expit(at @ (fixed + u) / np.sqrt(1 + np.pi * variance / 8)))
    return found


# ----------------------------------------------------------------------------------- meta-learners


def _with_prior(split: Split, prior) -> list[Prediction]:
    """Predictions of a prior whose classes are 0, 1, ..., all of which get a probability."""
    import torch

    from skmeta.learners import LEARNERS
    from skmeta.learners._core import read_prior

    n_outputs = split.n_classes if split.task == "classification" else 1
    session, state = read_prior(
        prior, LEARNERS[prior.learner], classes=range(n_outputs), device="cpu", precision="float64"
    )
    learner, context, adapter = session.learner, session.context, session.adapter
    found = []
    for known, queries in split.tests:
        rows = adapter.rows(adapter.upload(split.X[known]), split.y[known], np.ones(len(known)))
        x = adapter.inputs(adapter.upload(split.X[queries]))
        with torch.no_grad():
            adapted = learner.adapt(context, state, rows)
            outputs = learner.forward(context, adapted, x)
            if split.task == "classification":
                found.append(Prediction(torch.softmax(outputs, 1).numpy()))
                continue
            mean = adapter.targets(outputs[:, 0])
            if not hasattr(learner, "predict_distribution"):
                found.append(Prediction(mean))
                continue
            levels = torch.tensor([0.05, 0.95], dtype=torch.float64)
            std, interval = learner.predict_distribution(context, adapted, x, levels)
            spread = adapter.targets(std) - adapter.targets(torch.zeros_like(std))
            found.append(Prediction(mean, spread**2, adapter.targets(interval)))
    return found


def _meta_trained(split: Split, learner) -> list[Prediction]:
    from skmeta.exceptions import SkippedTasksWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedTasksWarning)
        learner.set_params(task_type=split.task, random_state=split.seed)
        learner.fit(split.X[split.train], split.y[split.train], groups=split.groups[split.train])
    return _with_prior(split, learner.prior_)


def _shots(split: Split) -> int:
    """Shots as ``n_shot`` counts them: of each class."""
    n_shot = len(split.tests[0][0])
    return n_shot if split.task == "regression" else max(1, round(n_shot / split.n_classes))


@method("hierarchical")
def hierarchical(split: Split, **settings) -> list[Prediction]:
    from skmeta.learners import HierarchicalLinear

    return _meta_trained(split, HierarchicalLinear(**settings))


@method("alpaca")
def alpaca(split: Split, **settings) -> list[Prediction]:
    from skmeta.learners import ALPaCA

    settings = {"n_iterations": 500, "n_shot": _shots(split)} | settings
    return _meta_trained(split, ALPaCA(**settings))


@method("in_context")
def in_context(split: Split) -> list[Prediction]:
    from skmeta.learners import InContextLearner

    settings = {"n_iterations": 200, "n_shot": _shots(split), "meta_lr": 2e-4}
    return _meta_trained(split, InContextLearner(prior="tabular", **settings))


@method("metasgd")
def metasgd(split: Split) -> list[Prediction]:
    from skmeta.learners import MetaSGD

    return _meta_trained(split, MetaSGD(n_iterations=500, n_shot=_shots(split)))


@method("maml")
def maml(split: Split) -> list[Prediction]:
    from skmeta.learners import MAML

    return _meta_trained(split, MAML(n_iterations=500, n_shot=_shots(split)))


@method("shipped")
def shipped(split: Split) -> list[Prediction]:
    from skmeta import MetaFewShotClassifier, MetaFewShotRegressor

    found = []
    for known, queries in split.tests:
        X, Xq, y = split.frame.iloc[known], split.frame.iloc[queries], split.y[known]
        if split.task == "regression":
            reg = MetaFewShotRegressor("tabular").fit(X, y)
            mean, std = reg.predict(Xq, return_std=True)
            found.append(Prediction(mean, std**2, reg.predict_quantiles(Xq, (0.05, 0.95))))
        elif len(np.unique(y)) == 1:
            found.append(Prediction(np.tile(_class_shares(split, y), (len(queries), 1))))
        else:
            clf = MetaFewShotClassifier("tabular").fit(X, y)
            proba = np.zeros((len(queries), split.n_classes))
            proba[:, clf.classes_] = clf.predict_proba(Xq)
            found.append(Prediction(proba))
    return found


# ------------------------------------------------------------------------------------------ scores


def _proba(prediction: Prediction) -> np.ndarray:
    p = np.clip(prediction.y, LEAST_PROBABILITY, None)
    return p / p.sum(1, keepdims=True)


def _error(split: Split, prediction: Prediction, rows: np.ndarray) -> np.ndarray:
    """Squared errors, or log losses."""
    y = split.y[rows]
    if split.task == "regression":
        return (prediction.y - y) ** 2
    return -np.log(_proba(prediction)[np.arange(len(y)), y])


def scores(split: Split, predictions: list[Prediction]) -> dict[str, float]:
    rows = [queries for _, queries in split.tests]
    pairs = list(zip(predictions, rows, strict=True))
    error = np.concatenate([_error(split, p, r) for p, r in pairs])
    if split.task == "classification":
        hits = np.concatenate([p.y.argmax(1) == split.y[r] for p, r in pairs])
        return {"error": error.mean(), "accuracy": hits.mean()}
    variance = split.y[np.concatenate(rows)].var()
    found = {"error": error.mean() / variance}
    if all(p.variance is not None for p in predictions):
        of = np.concatenate([p.variance for p in predictions])
        found["log_density"] = -0.5 * (error / of + np.log(2 * np.pi * of / variance)).mean()
    if all(p.interval is not None for p in predictions):
        inside = [
            (p.interval[:, 0] <= split.y[r]) & (split.y[r] <= p.interval[:, 1]) for p, r in pairs
        ]
        found["covered"] = np.concatenate(inside).mean()
    return found


def read() -> pd.DataFrame:
    return pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=COLUMNS)


def write(row: dict) -> None:
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def run(names: list[str], methods: list[str], n_splits: int) -> None:
    done = set(read()[["set", "split", "method", "shots"]].itertuples(index=False, name=None))
    for seed in range(n_splits):
        for name in names:
            table = load(name)
            for n_shot in SHOTS:
                split = split_table(table, n_shot, seed)
                for of in methods:
                    if (name, seed, of, n_shot) in done:
                        continue
                    start = time.perf_counter()
                    found = scores(split, METHODS[of](split))
                    found["seconds"] = time.perf_counter() - start
                    row = {
                        "set": name,
                        "task": table.task,
                        "split": seed,
                        "method": of,
                        "shots": n_shot,
                    }
                    write(row | {k: float(v) for k, v in found.items()})
                    print(
                        name,
                        seed,
                        of,
                        n_shot,
                        {k: round(float(v), 4) for k, v in found.items()},
                        flush=True,
                    )


def summary(reference: str = "hierarchical") -> None:
    results = read()
    results["half"] = np.where(results["set"].map(is_development), "development", "report")
    rng = np.random.default_rng(0)
    for (task, half), part in results.groupby(["task", "half"]):
        for n_shot, rows in part.groupby("shots"):
            mean = rows.pivot_table(index="set", columns="method", values="error")
            mean = mean[[m for m in METHODS if m in mean]]
            whole = mean.dropna(axis=1)
            draws = rng.integers(len(mean), size=(2000, len(mean)))
            print(f"\n{task}, {half} half ({len(mean)} sets), {n_shot} known rows")
            ranks = whole.rank(axis=1).mean()
            for name in whole:
                text = f"{name:14s} {whole[name].mean():.4f}  rank {ranks[name]:.2f}"
                for column in ("accuracy", "log_density", "covered"):
                    value = rows[rows["method"] == name][column].mean()
                    if np.isfinite(value):
                        text += f"  {column} {value:.3f}"
                if reference in whole and name != reference:
                    gap = (whole[reference] - whole[name]).to_numpy()
                    low, high = np.quantile(gap[draws].mean(1), [0.025, 0.975])
                    worst = (whole[reference] / whole[name] - 1).max()
                    text += f"  {reference} minus it {gap.mean():+.4f} [{low:+.4f}, {high:+.4f}]"
                    text += f", at worst {worst:+.1%}"
                print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--summary", action="store_true")
    arguments = parser.parse_args()
    if arguments.summary:
        summary()
    else:
        run(arguments.sets or table_names(), arguments.methods, arguments.splits)


if __name__ == "__main__":
    main()
