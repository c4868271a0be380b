"""A Gaussian process whose scales, linear part and noise are fitted to the rows of a task.

The experts of a prior for any table have fixed scales and noise. Tables of engineering are smooth
and nearly free of noise, which a fitted process finds. Its kernel is

    k(x, x') = m(r) + a sum_j v_j x_j x'_j + 1,    r^2 = sum_j v_j (x_j - x'_j)^2,

with the Matern function m of smoothness 5/2. The relevances v_j of the columns, a, and the
noise maximise the marginal likelihood times a log-normal prior; the variance of the process is
that of largest likelihood. A category is a set of indicators of one relevance. More than 64 columns
have one relevance and one unit, so that a rotation of embeddings has no effect.

Notation: n rows, m new rows, d columns, p inputs (numbers and indicators), q levels.

Reference: Rasmussen and Williams (2006), Gaussian processes for machine learning, equations 2.25,
2.26 (prediction), 4.17 (kernel), 5.8, 5.9 (marginal likelihood).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import stdtrit

from skmeta._tabular._linalg import marginal_likelihood
from skmeta._tabular._rows import WeightedRows, divide_rows, location_and_scale

# More columns have one relevance: those that a view of the prior cannot have at once.
MAX_RELEVANCES = 64
# Rows that the relevances are fitted to, and rows that predictions come from.
_ROWS_OF_FIT, _MAX_ROWS = 300, 1000
# Standardised values of n rows are at most sqrt(n). Values are cut at twice this number: a linear
# trend goes on beyond the rows, but not as far as an outlier.
_TREND_REACH = 2.0
# Prior means and standard deviations of logarithms, chosen on the development sets of
# benchmarks/measure/small_tables.py: of d v_j, of the noise, and of a.
_RELEVANCE, _NOISE, _LINEAR = (-1.0, 1.5), (-3.0, 3.0), (0.0, 2.0)
_MIN_NOISE, _MIN_VARIANCE, _MAX_STEPS, _FEW_STEPS = 1e-7, 1e-30, 50, 8
_WORST, _REACH = 1e10, 10.0
# Standardised values are rounded to this many decimals: other units change later ones.
_DECIMALS = 10


class Inputs(NamedTuple):
    """How columns (d,) become inputs: numbers are centred and scaled, others indicators."""

    is_number: np.ndarray
    center: np.ndarray
    unit: np.ndarray
    levels: tuple[np.ndarray, ...]
    largest: float  # values beyond so many units are cut

    @classmethod
    def measure(cls, X: np.ndarray, weight: np.ndarray, categories: Collection[int]) -> Inputs:
        """Measure the columns of rows (n, d)."""
        is_number = ~np.isin(np.arange(X.shape[1]), list(categories))
        center, unit = location_and_scale(X[:, is_number], weight)
        if X.shape[1] > MAX_RELEVANCES:
            # Halves and a division, because squares of large values overflow.
            largest = unit.max(initial=0.0)
            unit = np.full_like(unit, largest * np.sqrt(np.mean((unit / largest) ** 2)))
        levels = tuple(np.unique(v[~np.isnan(v)]) for v in X[:, ~is_number].T)
        return cls(is_number, center, unit, levels, _TREND_REACH * float(weight.sum()) ** 0.5)

    def encode(self, X: np.ndarray) -> np.ndarray:
        """Return the inputs (m, p) of rows (m, d): 0 for what is missing.

        Codes that were not seen share an indicator, so that they are as far from known ones as
        these are from each other.
        """
        numbers = (X[:, self.is_number] / 2 - self.center / 2) / (self.unit / 2)
        numbers = np.nan_to_num(numbers.clip(-self.largest, self.largest)).round(_DECIMALS)
        columns = zip(X[:, ~self.is_number].T, self.levels, strict=True)
        parts = [numbers]
        for values, known in columns:
            is_level = values[:, None] == known
            parts += [is_level, ~is_level.any(1, keepdims=True) & ~np.isnan(values[:, None])]
        return np.hstack(parts) * 1.0

    def owners(self) -> np.ndarray:
        """Return the number of the relevance of each input, (p,)."""
        if len(self.is_number) > MAX_RELEVANCES:
            return np.zeros(len(self.unit) + sum(len(known) + 1 for known in self.levels), int)
        sizes = [1] * len(self.unit) + [len(known) + 1 for known in self.levels]
        return np.repeat(np.arange(len(sizes)), sizes)


class Kernel(NamedTuple):
    """Fitted parameters of the kernel: relevances (p,) of the inputs, a, and the noise."""

    relevance: np.ndarray
    linear: float
    noise: float

    def __call__(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the kernel (m, n) between rows (m, p) and others (n, p)."""
        root = np.sqrt(self.relevance)
        rows, others = rows * root, others * root
        matern, _ = _matern(_square_distance(rows, others))
        return np.asarray(matern + self.linear * (rows @ others.T) + 1)


class GaussianProcess(NamedTuple):
    """A fitted process; the Cholesky factor is not kept, so that pickles and files stay small."""

    inputs: Inputs
    kernel: Kernel
    rows: np.ndarray  # inputs (n, p)
    noise: np.ndarray  # (n,)
    dual: np.ndarray  # weights (n,) of the rows
    location: float  # of the targets
    scale: float  # of the targets
    spread: float  # root of the process's variance, in units of the targets
    total: float  # weight of all rows

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the means (m,) of the targets of rows (m, d)."""
        standardised = self.kernel(self.inputs.encode(X), self.rows) @ self.dual
        return np.asarray(self.location + self.scale * standardised)

    def relevances(self) -> np.ndarray:
        """Return the relevance (d,) of each column, or the one that all have."""
        _, first = np.unique(self.inputs.owners(), return_index=True)
        return self.kernel.relevance[first]

    def log_parameters(self) -> np.ndarray:
        """Return the logarithms (d + 2,) of the relevances, the noise and a."""
        noise = max(self.kernel.noise - _MIN_NOISE, _MIN_NOISE)
        return np.asarray(np.log(np.r_[self.relevances(), noise, self.kernel.linear]))

    def predict_std(self, X: np.ndarray) -> np.ndarray:
        """Return the scales (m,) of the targets' t distributions."""
        inputs = self.inputs.encode(X)
        known = self.kernel(inputs, self.rows)
        # Not the diagonal of all pairs.
        itself = 2 + self.kernel.linear * (inputs**2 @ self.kernel.relevance) + self.kernel.noise
        factor, _ = _factorise(self.kernel(self.rows, self.rows), self.noise)
        variance = itself - (known * cho_solve(factor, known.T).T).sum(1)
        return np.asarray(self.spread * np.sqrt(np.maximum(variance, self.kernel.noise)))

    def predict_quantiles(self, X: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Return quantiles (m, q) of the targets of rows (m, d): those of t distributions."""
        at = self.predict_std(X)[:, None] * stdtrit(self.total, levels)
        return np.asarray(self.predict(X)[:, None] + at)


def fit_process(
    table: WeightedRows,
    categories: Collection[int],
    others: Sequence[GaussianProcess] = (),
    start: GaussianProcess | None = None,
) -> GaussianProcess:
    """Fit a process to weighted rows, from `others` too; `categories` are columns of codes.

    With `start`, a process of other rows of the same table, the search begins there and is short.
    """
    table = _part_of_rows(_merge_equal_rows(table), _MAX_ROWS)
    inputs = Inputs.measure(table.X, table.weight, categories)
    location, scale = map(float, location_and_scale(table.y, table.weight))
    X, y, w = _part_of_rows(table, _ROWS_OF_FIT)
    targets = ((y - location) / scale).round(_DECIMALS)
    posterior = Posterior(inputs.encode(X), targets, w, inputs.owners())
    kernel = posterior.best_kernel(others) if start is None else posterior.near_kernel(start)
    return _given(inputs, kernel, table, location, scale)


def condition_process(process: GaussianProcess, table: WeightedRows) -> GaussianProcess:
    """Return a process given other weighted rows, maybe of new categories.

    The search for the kernel goes on if they are few. New groups say how groups differ.
    """
    if table.weight.sum() <= _ROWS_OF_FIT:
        return fit_process(table, np.flatnonzero(~process.inputs.is_number).tolist(), start=process)
    table, known = _merge_equal_rows(table), process.inputs
    categories = table.X[:, ~known.is_number]
    inputs = known._replace(levels=tuple(np.unique(v[~np.isnan(v)]) for v in categories.T))
    relevance = process.relevances()[inputs.owners()]
    kernel = process.kernel._replace(relevance=relevance)
    return _given(inputs, kernel, table, process.location, process.scale)


def _given(
    inputs: Inputs, kernel: Kernel, table: WeightedRows, location: float, scale: float
) -> GaussianProcess:
    """Return a process given rows, in units of the targets."""
    X, y, w = table
    rows, targets = inputs.encode(X), ((y - location) / scale).round(_DECIMALS)
    factor, noise = _factorise(kernel(rows, rows), kernel.noise / w)
    dual, total = cho_solve(factor, targets), float(w.sum())
    spread = scale * float(np.sqrt(max(targets @ dual / total, 0.0)))
    return GaussianProcess(inputs, kernel, rows, noise, dual, location, scale, spread, total)


def _merge_equal_rows(table: WeightedRows) -> WeightedRows:
    """Return the rows in sorted order, with equal ones as one whose weight is their sum.

    A row of weight 2 and a row that is there twice then give the same digits.
    """
    X, y, weight = table
    merged, position = np.unique(np.column_stack([X, y]), axis=0, return_inverse=True)
    return WeightedRows(merged[:, :-1], merged[:, -1], np.bincount(position.ravel(), weight))


def _part_of_rows(table: WeightedRows, most: int) -> WeightedRows:
    """Return some rows, which do not depend on their order."""
    n_parts = int(np.ceil(float(table.weight.sum()) / most))
    if n_parts <= 1:
        return table
    kept = divide_rows(table, 0, n_parts) == 0
    return table.take(kept) if kept.any() else table


class Posterior(NamedTuple):
    """The negative log posterior density of the kernel, and its gradient; weights repeat rows."""

    rows: np.ndarray
    t: np.ndarray
    w: np.ndarray
    owners: np.ndarray  # number of the relevance of each input (p,)

    def beforehand(self) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations of the logarithms of v, noise and a."""
        d = int(self.owners.max(initial=-1)) + 1
        mean = np.r_[np.full(d, _RELEVANCE[0] - np.log(max(d, 1))), _NOISE[0], _LINEAR[0]]
        return mean, np.r_[np.full(d, _RELEVANCE[1]), _NOISE[1], _LINEAR[1]]

    def kernel(self, log: np.ndarray) -> Kernel:
        """Return the kernel of logarithms (d + 2,) of its parameters."""
        noise, linear = np.exp(log[-2:])
        return Kernel(np.exp(log[:-2])[self.owners], float(linear), float(noise) + _MIN_NOISE)

    def __call__(self, log: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the value and the gradient (d + 2,) at logarithms of the parameters."""
        relevance, linear, noise = self.kernel(log)
        total, repeated = self.w.sum(), (self.w - 1).sum()
        scaled = self.rows * np.sqrt(relevance)
        value, slope = _matern(_square_distance(scaled, scaled))
        system = value + linear * (scaled @ scaled.T) + 1
        system[np.diag_indices(len(system))] += noise / self.w
        batch = system[None], self.t[None], np.empty((1, len(system), 0))
        try:
            likelihood = marginal_likelihood([batch], np.empty(0))
        except LinAlgError:  # The line search tried extreme parameters.
            return _WORST, np.zeros(len(log))
        precision, dual = likelihood.precision[0][0], likelihood.dual[0][0]
        variance = max(likelihood.square / total, _MIN_VARIANCE)
        log_det = likelihood.log_det + repeated * np.log(noise)
        loss = 0.5 * (total * np.log(variance) + log_det)
        # The derivative with respect to the system, times that of the system.
        system_slope = 0.5 * (precision - np.outer(dual, dual) / variance)
        distance_slope = system_slope * slope
        by_square = distance_slope.sum(1) @ self.rows**2
        by_distance = 2 * (by_square - ((distance_slope @ self.rows) * self.rows).sum(0))
        by_linear = linear * ((system_slope @ self.rows) * self.rows).sum(0)
        by_noise = (system_slope.diagonal() / self.w).sum() + 0.5 * repeated / noise
        mean, spread = self.beforehand()
        gradient = np.r_[
            np.bincount(self.owners, (by_distance + by_linear) * relevance, len(mean) - 2),
            (noise - _MIN_NOISE) * by_noise,
            (by_linear * relevance).sum(),
        ]
        away = (log - mean) / spread
        return loss + 0.5 * away @ away, gradient + away / spread

    def best_kernel(self, others: Sequence[GaussianProcess] = ()) -> Kernel:
        """Return the kernel of the largest density, searched from the means beforehand.

        With many columns there are several maxima: other processes' best kernel is tried, too.
        """
        start, _ = self.beforehand()
        low, high = start - _REACH, start + _REACH
        best = self._maximise(start, low, high, _MAX_STEPS)
        logs = [other.log_parameters() for other in others]
        logs = [log.clip(low, high) for log in logs if log.shape == start.shape]
        if logs:
            start = min(logs, key=lambda log: self(log)[0])
            if self(start)[0] < self(best)[0]:
                best = self._maximise(start, low, high, _MAX_STEPS)
        return self.kernel(best)

    def near_kernel(self, other: GaussianProcess) -> Kernel:
        """Return the kernel after a short search from the best one of other rows."""
        start, _ = self.beforehand()
        low, high, log = start - _REACH, start + _REACH, other.log_parameters()
        log = log.clip(low, high) if log.shape == start.shape else start
        return self.kernel(self._maximise(log, low, high, _FEW_STEPS))

    def _maximise(
        self, start: np.ndarray, low: np.ndarray, high: np.ndarray, n_steps: int
    ) -> np.ndarray:
        options: dict[str, Any] = {"maxiter": n_steps}
        bounds = list(zip(low, high, strict=True))
        best = minimize(self, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return np.asarray(best.x)


def _factorise(values: np.ndarray, noise: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return the Cholesky factor of kernel values with noise, which is raised if it is too low."""
    while True:
        try:
            return cho_factor(values + np.diag(noise), lower=True), noise
        except LinAlgError:
            noise = noise * 10


def _square_distance(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    squares = (rows**2).sum(1)[:, None] + (others**2).sum(1) - 2 * rows @ others.T
    return np.asarray(np.maximum(squares, 0.0))


def _matern(square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Matern function of squared distances, and its derivative with respect to them."""
    r = np.sqrt(5 * square)
    decay = np.exp(-r)
    return (1 + r + r * r / 3) * decay, -5 / 6 * (1 + r) * decay
