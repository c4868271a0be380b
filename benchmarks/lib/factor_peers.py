"""Cases of `grouped.py --factors`: two columns of groups, and peers."""

import zlib
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from benchmarks.lib.factor_tables import load
from benchmarks.lib.group_peers import FACTORS, Case, Peer, fit_lightgbm, predict_grouped

SHOTS, MAX_GROUPS, MAX_QUERIES, MIN_QUERIES = (0, 1, 5, 10), 25, 20, 10


def make_cases(name: str, seed: int) -> dict[str, Case]:
    """Return the cases of a division of a table, by regime."""
    table = load(name)
    rng, n = np.random.default_rng([seed, zlib.crc32(name.encode())]), len(table.y)
    none, order, cases = np.empty(0, int), rng.permutation(n), {}
    test = order[: min(n // 4, 1000)]
    train = np.setdiff1d(np.arange(n), test)
    cases["known pairs"] = Case(table, train, none, test)
    least = min(MIN_QUERIES, len(test))
    held_out = []
    for f, factor in enumerate(FACTORS):
        codes = table.codes[:, f]
        sizes = np.bincount(codes)
        enough = np.flatnonzero(sizes >= min(12, sizes.max()))
        groups = rng.permutation(enough)[: min(MAX_GROUPS, max(len(sizes) // 4, 1))]
        held_out.append(groups)
        train = np.flatnonzero(~np.isin(codes, groups))
        each = [rng.permutation(np.flatnonzero(codes == g)) for g in groups]
        for k in SHOTS:
            large = [rows for rows in each if len(rows) > k]
            if large:
                few = np.concatenate([rows[:k] for rows in large])
                test = np.concatenate([rows[max(min(10, len(rows) - 1), k) :] for rows in large])
                test = rng.permutation(test)[: MAX_QUERIES * len(large)]
                if len(test) >= least:
                    cases[f"new {factor} {k}"] = Case(table, train, few, test)
    is_new = [np.isin(table.codes[:, f], groups) for f, groups in enumerate(held_out)]
    if (is_new[0] & is_new[1]).sum() >= 10:
        train, test = np.flatnonzero(~is_new[0] & ~is_new[1]), np.flatnonzero(is_new[0] & is_new[1])
        cases["both new 0"] = Case(table, train, none, test)
    return cases


def _choose(case: Case, fit: Callable[..., np.ndarray], settings: Iterable[float]) -> np.ndarray:
    """Predict by the setting with the least error on the last seventh of the rows."""
    rows = np.random.default_rng(0).permutation(case.rows)
    first, last = np.split(rows, [6 * len(rows) // 7])
    settings, y = [*settings], case.table.y[last]
    losses = [np.mean((fit(first, last, one) - y) ** 2) for one in settings]
    return fit(case.rows, case.test, settings[int(np.argmin(losses))])


def bias(case: Case) -> np.ndarray:
    """The mean, and biases of both groups that are shrunken by a chosen number of rows."""
    codes, y = case.table.codes, case.table.y

    def fit(rows: np.ndarray, at: np.ndarray, damping: float) -> np.ndarray:
        mean, biases = y[rows].mean(), [np.zeros(codes[:, f].max() + 1) for f in range(2)]
        for _ in range(10):
            for f in range(2):
                left = y[rows] - mean - biases[1 - f][codes[rows, 1 - f]]
                total = np.bincount(codes[rows, f], left, len(biases[f]))
                biases[f] = total / (np.bincount(codes[rows, f], minlength=len(total)) + damping)
        return np.asarray(mean + biases[0][codes[at, 0]] + biases[1][codes[at, 1]])

    return _choose(case, fit, (0.1, 0.5, 1, 2, 5, 10, 25))


def lightgbm(case: Case) -> np.ndarray:
    """LightGBM with both groups as categories."""
    Z = np.column_stack([case.table.codes, case.X])
    rows = np.random.default_rng(0).permutation(case.rows)
    parts = np.split(rows, [6 * len(rows) // 7])
    model = fit_lightgbm(case, Z, case.table.y, *parts, categorical_feature=[0, 1])
    return np.asarray(model.predict(Z[case.test]))


def ridge(case: Case) -> np.ndarray:
    """Ridge regression with an indicator of each group."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import OneHotEncoder

    Z = OneHotEncoder().fit_transform(case.table.codes)
    Z, y = hstack([csr_matrix(case.X), Z]).tocsr(), case.table.y

    def fit(rows: np.ndarray, at: np.ndarray, penalty: float) -> np.ndarray:
        return np.asarray(Ridge(penalty, solver="lsqr").fit(Z[rows], y[rows]).predict(Z[at]))

    return _choose(case, fit, np.logspace(-2, 3, 11))


PEERS: dict[str, Peer] = {peer.__name__: peer for peer in (bias, lightgbm, ridge)}
OWN = {
    "grouped": partial(predict_grouped, groups=FACTORS),
    "grouped_first": partial(predict_grouped, groups=FACTORS[:1]),
    "grouped_second": partial(predict_grouped, groups=FACTORS[1:]),
}
