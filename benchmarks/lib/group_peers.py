"""Cases of `grouped.py`, its peers, and the grouped estimators."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from benchmarks.lib.group_tables import encode

FACTORS = ("first", "second")
MIN_PROBABILITY, MAX_ROUNDS, MAX_PAIRS = 1e-3, 300, 40_000


@dataclass(frozen=True)
class Case:
    """Rows to learn from, further rows of new groups, rows to predict, and the column of times."""

    table: Any  # of `group_tables` or `factor_tables`
    train: np.ndarray
    few: np.ndarray
    test: np.ndarray
    time: str | None = None
    times: np.ndarray | None = None

    @cached_property
    def X(self) -> np.ndarray:
        """The columns as numbers; one of zeros where there is none."""
        if not self.table.X.shape[1]:
            return np.zeros((len(self.table.y), 1))
        return encode(self.table.X, self.train)

    @property
    def rows(self) -> np.ndarray:
        return np.concatenate([self.train, self.few])

    @property
    def y(self) -> np.ndarray:
        return np.asarray(self.table.y[self.rows])

    @property
    def is_regression(self) -> bool:
        return self.table.task == "regression"

    @property
    def n_classes(self) -> int:
        return int(self.table.y.max()) + 1

    @property
    def penalties(self) -> np.ndarray:
        return np.logspace(-3, 4, 22)

    @property
    def scaled_times(self) -> np.ndarray:
        t = self.times
        return np.asarray((t - t[self.rows].mean()) / max(t[self.rows].std(), 1e-12))

    @cached_property
    def validation(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from, and a seventh at random, or in time the last fifth of each group."""
        from sklearn.model_selection import train_test_split

        rows, groups, times = self.rows, self.table.groups, self.times
        if times is None:
            labels = None if self.is_regression else self.table.y[rows]
            return train_test_split(rows, test_size=1 / 7, random_state=0, stratify=labels)
        order = rows[np.lexsort((times[rows], groups[rows]))]
        sizes = np.bincount(groups[order], minlength=groups.max() + 1)
        starts = np.cumsum(sizes) - sizes
        place, n = np.arange(len(order)) - starts[groups[order]], sizes[groups[order]]
        is_last = (place >= n - np.maximum(np.round(0.2 * n), 1)) & (place > 0)
        return order[~is_last], order[is_last]

    def known_rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield positions among the rows to predict, and known rows in time, of each group."""
        groups = self.table.groups
        known = self.rows[np.argsort(self.times[self.rows], kind="stable")]
        for group in np.unique(groups[self.test]):
            yield np.flatnonzero(groups[self.test] == group), known[groups[known] == group]


class Prediction(NamedTuple):
    """Means or probabilities of the rows to predict; 5 % and 95 % quantiles if there are some."""

    y: np.ndarray
    interval: np.ndarray | None = None


Peer = Callable[[Case], np.ndarray | None]


def loss(case: Case, y: np.ndarray, outputs: np.ndarray) -> float:
    """Mean squared error over the variance of all targets, or log loss."""
    if case.is_regression:
        return float(np.mean((outputs - y) ** 2) / case.table.y.var())
    p = np.clip(outputs, MIN_PROBABILITY, None)
    p = p / p.sum(1, keepdims=True)
    return float(-np.log(p[np.arange(len(y)), y.astype(int)]).mean())


def outputs(case: Case, model: Any, X: Any) -> np.ndarray:
    """Predictions, or probabilities of all classes of the table."""
    if case.is_regression:
        return np.asarray(model.predict(X))
    proba = np.zeros((X.shape[0], case.n_classes))
    proba[:, np.asarray(model.classes_, int)] = model.predict_proba(X)
    return proba


def pooled(case: Case) -> np.ndarray:
    """Ridge or logistic regression on the columns, of all groups."""
    from sklearn.linear_model import LogisticRegression, RidgeCV

    model = RidgeCV(case.penalties) if case.is_regression else LogisticRegression(max_iter=2000)
    model.fit(case.X[case.rows], case.table.y[case.rows])
    return outputs(case, model, case.X[case.test])


def _trees(case: Case) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor if case.is_regression else HistGradientBoostingClassifier
    return trees(random_state=0, early_stopping=True)


def boosted(case: Case) -> np.ndarray:
    """Gradient-boosted trees, without the group."""
    model = _trees(case).fit(case.X[case.rows], case.table.y[case.rows])
    return outputs(case, model, case.X[case.test])


def boosted_target(case: Case) -> np.ndarray:
    """Gradient-boosted trees, with the group target-encoded."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import TargetEncoder

    target_type = "continuous" if case.is_regression else "auto"
    encoder = TargetEncoder(random_state=0, target_type=target_type)
    columns = ColumnTransformer([("group", encoder, [0])], remainder="passthrough")
    Z = np.column_stack([case.table.groups, case.X])
    model = make_pipeline(columns, _trees(case)).fit(Z[case.rows], case.table.y[case.rows])
    return outputs(case, model, Z[case.test])


def fit_lightgbm(
    case: Case, Z: np.ndarray, y: np.ndarray, first: np.ndarray, last: np.ndarray, **fit: Any
) -> Any:
    """Fit LightGBM to all rows, with the rounds that are best on the last ones.

    If all rows are last ones, in groups of two rows, it has its default number of rounds.
    """
    import lightgbm as lgb

    kind = lgb.LGBMRegressor if case.is_regression else lgb.LGBMClassifier
    settings = {"n_jobs": 1, "verbose": -1, "random_state": 0}
    last = last[np.isin(y[last], y[first])] if not case.is_regression else last
    if not len(first):
        return kind(**settings).fit(Z[last], y[last], **fit)
    model = kind(n_estimators=MAX_ROUNDS, **settings).fit(
        Z[first],
        y[first],
        eval_set=[(Z[last], y[last])],
        callbacks=[lgb.early_stopping(20, verbose=False)],
        **fit,
    )
    rounds = max(1, int(model.best_iteration_))
    rows = np.concatenate([first, last])
    return kind(n_estimators=rounds, **settings).fit(Z[rows], y[rows], **fit)


def lightgbm(case: Case) -> np.ndarray:
    """LightGBM with the group as a category."""
    Z = np.column_stack([case.table.groups, case.X])
    model = fit_lightgbm(case, Z, case.table.y, *case.validation, categorical_feature=[0])
    return outputs(case, model, Z[case.test])


def last_value(case: Case) -> np.ndarray:
    """The last known target of the group."""
    predicted = np.full(len(case.test), case.table.y[case.rows].mean())
    for at, known in case.known_rows():
        if len(known):
            predicted[at] = case.table.y[known[-1]]
    return predicted


def lightgbm_lags(case: Case) -> np.ndarray:
    """LightGBM on pairs of known rows and a later row, at any horizon."""
    groups, times, y = case.table.groups, case.times, case.table.y
    order = case.rows[np.lexsort((times[case.rows], groups[case.rows]))]
    series = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    pairs = [
        (rows[: k + 1], rows[j])
        for rows in series
        for k in range(len(rows) - 1)
        for j in range(k + 1, len(rows))
    ]
    rng = np.random.default_rng(0)
    pairs = [pairs[k] for k in rng.permutation(len(pairs))[:MAX_PAIRS]]
    Z = np.array([_lags(case, known, row) for known, row in pairs])
    targets = np.array([y[row] for _, row in pairs])
    last = np.isin([row for _, row in pairs], case.validation[1])
    model = fit_lightgbm(case, Z, targets, np.flatnonzero(~last), np.flatnonzero(last))
    at = np.empty((len(case.test), Z.shape[1]))
    for positions, known in case.known_rows():
        at[positions] = [_lags(case, known, case.test[k]) for k in positions]
    return outputs(case, model, at)


def _lags(case: Case, known: np.ndarray, row: int) -> np.ndarray:
    """Columns of a row, beside the last targets of its group and what changed since."""
    if not len(known):
        return np.concatenate([case.X[row], np.full(6, np.nan)])
    y, t = case.table.y[known].astype(float), case.times[known]
    gap = case.times[row] - t[-1]
    pair = len(y) > 1
    before = y[-2] if pair else np.nan
    slope = (y[-1] - y[0]) / (t[-1] - t[0]) if pair and t[-1] > t[0] else np.nan
    return np.concatenate([case.X[row], [y[-1], before, y.mean(), slope, gap, len(y)]])


def independent_columns(case: Case) -> np.ndarray:
    """Columns that vary and are not linear combinations of others, and ones."""
    from scipy.linalg import qr

    varying = case.X[:, case.X[case.rows].std(0) > 1e-9]
    X = np.column_stack([np.ones(len(varying)), varying])
    known = X[case.rows]
    r, pivots = qr(known / np.linalg.norm(known, axis=0), mode="r", pivoting=True)
    rank = int((abs(np.diag(r)) > 1e-8).sum())
    return np.asarray(X[:, np.sort(pivots[:rank])])


def mixed_lm(case: Case) -> np.ndarray | None:
    """The model of statsmodels with random intercepts, and slopes of time; regressions only."""
    import statsmodels.api as sm

    if not case.is_regression:
        return None
    X, y, groups, rows = independent_columns(case), case.table.y, case.table.groups, case.rows
    effects = np.ones((len(X), 1))
    if case.times is not None:
        effects = np.column_stack([effects, case.scaled_times])
    scale, none = y[rows].std(), np.zeros(effects.shape[1])
    try:
        model = sm.MixedLM(y[rows] / scale, X[rows], groups[rows], effects[rows])
        fitted = model.fit(reml=True)
        learned = {g: np.asarray(v) for g, v in fitted.random_effects.items()}
    except (np.linalg.LinAlgError, ValueError):  # A variance of 0 makes its matrices singular.
        return None
    own = np.array([learned.get(g, none) for g in groups[case.test]])
    fixed = X[case.test] @ fitted.fe_params
    return np.asarray(scale * (fixed + (own * effects[case.test]).sum(1)))


def gp_intercepts(case: Case, slopes: np.ndarray | None = None) -> np.ndarray:
    """GPBoost's mixed model with random intercepts, and slopes of columns (n, k)."""
    X, rows, groups = independent_columns(case), case.rows, case.table.groups
    own, at = {}, {}
    if slopes is not None:
        own = {"ind_effect_group_rand_coef": [1] * slopes.shape[1]}
        own["group_rand_coef_data"] = slopes[rows]
        at = {"group_rand_coef_data_pred": slopes[case.test]}

    def predict(k: int, target: np.ndarray) -> np.ndarray:
        model = _gp_model(case, groups[rows], **own)
        model.fit(y=target, X=X[rows])
        return model.predict(
            group_data_pred=groups[case.test], X_pred=X[case.test], predict_response=True, **at
        )["mu"]

    return _gp_outputs(case, predict)


def gp_slopes(case: Case) -> np.ndarray:
    """The same with slopes of time."""
    return gp_intercepts(case, case.scaled_times[:, None])


def _gp_model(case: Case, groups: np.ndarray, **slopes: Any) -> Any:
    import gpboost as gpb

    likelihood = "gaussian" if case.is_regression else "bernoulli_logit"
    return gpb.GPModel(group_data=groups, likelihood=likelihood, num_parallel_threads=1, **slopes)


def _gp_outputs(case: Case, predict: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """Predict the targets, or each class against the others."""
    y = case.table.y[case.rows]
    if case.is_regression:
        return np.asarray(y.std() * predict(0, y / y.std()))
    if case.n_classes == 2:
        p = predict(0, y.astype(float))
        return np.column_stack([1 - p, p])
    p = np.column_stack([predict(c, (y == c).astype(float)) for c in range(case.n_classes)])
    return np.asarray(p / p.sum(1, keepdims=True))


PEERS: dict[str, Peer] = {
    peer.__name__: peer for peer in (boosted, boosted_target, pooled, lightgbm, gp_intercepts)
}
PEERS_IN_TIME: dict[str, Peer] = {
    peer.__name__: peer for peer in (last_value, lightgbm_lags, gp_slopes, mixed_lm)
}


# ------------------------------------------------------------------------------------ the package

Predictions = dict[str, tuple[Prediction, float]]


def predict_grouped(
    cases: dict[str, Case], with_order: bool = True, groups: Sequence[str] = ("group",)
) -> Predictions:
    """GroupedRegressor or GroupedClassifier, fitted once for the same rows; with seconds."""
    from skmeta import GroupedClassifier, GroupedRegressor

    predictions, fitted = {}, {}
    for regime, case in cases.items():
        began = time.process_time()
        y, codes = case.table.y, getattr(case.table, "codes", None)
        codes = [case.table.groups] if codes is None else codes.T
        names = FACTORS if len(codes) > 1 else ("group",)
        labels = {name: [f"g{g}" for g in own] for name, own in zip(names, codes, strict=True)}
        X = case.table.X.assign(**labels)
        key = case.train.tobytes()
        if key not in fitted:
            kind = GroupedRegressor if case.is_regression else GroupedClassifier
            model = kind([*groups], order=case.time if with_order else None)
            fitted[key] = model.fit(X.iloc[case.train], y[case.train])
        model = fitted[key]
        if len(case.few):
            model = copy.deepcopy(model).partial_fit(X.iloc[case.few], y[case.few])
        at = X.iloc[case.test]
        interval = model.predict_quantiles(at, (0.05, 0.95)) if case.is_regression else None
        prediction = Prediction(outputs(case, model, at), interval)
        predictions[regime] = prediction, time.process_time() - began
    return predictions


def predict_peer(peer: Peer, cases: dict[str, Case]) -> Predictions:
    """A peer, fitted anew for each case; with seconds."""
    predictions = {}
    for regime, case in cases.items():
        began = time.process_time()
        predicted = peer(case)
        if predicted is not None:
            predictions[regime] = Prediction(predicted), time.process_time() - began
    return predictions
