"""Plain models and mixed models that know groups, apart from the package; for `groups.py`."""

from __future__ import annotations

import warnings

import numpy as np
from group_tables import Prediction, Split, class_shares, errors

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


def pooled(split: Split) -> list[Prediction]:
    model = _pooled_model(split, split.X[split.train], split.y[split.train])
    return [Prediction(_predict(split, model, split.X[q])) for _, q in split.tests]


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


def own(split: Split) -> list[Prediction]:
    found = []
    for known, queries in split.tests:
        y = split.y[known]
        if split.task == "regression":
            found.append(
                Prediction(_pooled_model(split, split.X[known], y).predict(split.X[queries]))
            )
        elif len(np.unique(y)) == 1:
            found.append(Prediction(np.tile(class_shares(split, y), (len(queries), 1))))
        else:
            found.append(
                Prediction(
                    _predict(split, _pooled_model(split, split.X[known], y), split.X[queries])
                )
            )
    return found


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
            losses[weight] += errors(split, Prediction(y), queries).mean()
    best = min(losses, key=lambda weight: losses[weight])
    return [
        Prediction(_predict(split, fit(split.train, known, best), split.X[queries]))
        for known, queries in split.tests
    ]


# ------------------------------------------------------------------------- mixed models, for peers


def _design(X: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(X)), X])


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


BASELINES = {
    "pooled": pooled,
    "boosted": boosted,
    "own": own,
    "pooled_own": pooled_own,
    "intercept": intercept,
    "slopes": slopes,
}
