"""Gaussian processes in time within groups, whose covariance is learned over all groups.

The model of row i of group g, at time t, is

    y_i = z_i b + f_g(t) + e_i,    b_j ~ N(0, v_block(j)),    e_i ~ N(0, s_e^2)

The deviation f_g of a group is a Gaussian process with covariance

    k(t, u) = phi(t) L L' phi(u)' + sum_j s_j^2 R_j[p_j(t), p_j(u)]
              + s_m^2 (1 + r) exp(-r) + s_a^2 exp(-|t - u| / l_a)

with r = sqrt(3) |t - u| / l_m: random coefficients of given columns (an intercept and a slope),
seasons j with phases p_j, a smooth curve (Matern 3/2), and an autoregressive remainder. So what
the rows of a group leave is carried over, and fades with the gap in time.

Notation: n rows, p columns of z, q columns of phi, c blocks of columns. Groups are padded to
batches (G, m). ``theta`` holds the lower triangle of L, log s_j, log s_m, log l_m, log s_a, log l_a
and log s_e. What is optimised is theta, followed by log v (c,).

References: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, equations 2.41
to 2.45 (explicit basis functions) and 5.9 (gradient); Diggle, Heagerty, Liang and Zeger (2002),
Analysis of Longitudinal Data, section 5.2 (intercepts, serial correlation and noise).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from skmeta._tabular._linalg import marginal_likelihood
from skmeta._tabular._table import at_most

# Latest rows of a group that the likelihood and the predictions take.
_MAX_FITTED, _MAX_KNOWN = 60, 80
# With seasons, a group may have more, of so many in all, and has so many cycles.
_MAX_SEASONAL, _MAX_OF_ALL, _MIN_CYCLES = 360, 2500, 2
# Pairs of rows of the groups that the mean is learned from, and of a batch: they bound the memory.
_MAX_PAIRS, _MAX_PAIRS_OF_BATCH = 7_000_000, 2_000_000
# Batches hold groups whose sizes differ by this factor at most.
_WIDEST = 1.5
# Prior variance of columns without a block, in units of the variance of the targets.
_FREE = 1e4
_JITTER = 1e-8
# Weak normal priors of log s_m, log l_m, log s_a, log l_a, log s_e, and their bounds.
_CENTRE = np.log([0.2, 1.0, 0.3, 0.3, 0.3])
_WIDTH = np.array([1.5, 1.0, 1.5, 1.0, 1.5])
_LOW = np.array([-7.0, np.log(0.05), -7.0, np.log(0.01), -7.0])
_HIGH = np.array([3.0, np.log(20.0), 3.0, np.log(20.0), 3.0])
# The same of log s_j, of log v, and of the entries of L.
_CENTRE_SEASON, _WIDTH_SEASON, _LOW_SEASON, _HIGH_SEASON = np.log(0.1), 1.5, -7.0, 3.0
_CENTRE_BLOCK, _WIDTH_BLOCK, _LOW_BLOCK, _HIGH_BLOCK = np.log(0.05), 2.0, -14.0, 6.0
_LARGEST_ENTRY = 6.0


class TimeRows(NamedTuple):
    """Rows of groups: columns z (n, p) of the mean and phi (n, q) with random coefficients."""

    Z: np.ndarray
    phi: np.ndarray
    y: np.ndarray  # without meaning for rows to predict
    times: np.ndarray
    codes: np.ndarray
    weight: np.ndarray  # the variance of the noise is s_e^2 / weight
    phases: np.ndarray  # of the seasons (n, s)
    R: tuple[np.ndarray, ...] = ()  # correlations of the phases of each season

    def alike(self, at: np.ndarray, other: TimeRows, others: np.ndarray) -> np.ndarray:
        """Return R_j between rows (G, m) and other rows (G, k): (G, m, k, s)."""
        shape = (*at.shape, others.shape[1], len(self.R))
        alike = np.empty(shape)
        for j, R in enumerate(self.R):
            alike[..., j] = R[self.phases[at, j][:, :, None], other.phases[others, j][:, None, :]]
        return alike

    def most_of_group(self, most: int) -> int:
        """Return how many rows of a group are taken, given that without seasons."""
        if not self.R:
            return most
        share = _MAX_OF_ALL // max(len(np.unique(self.codes)), 1)
        # A phase that is not among the rows has no effect.
        least = min(max(most, _MIN_CYCLES * max(len(R) for R in self.R)), _MAX_SEASONAL)
        return int(np.clip(share, least, _MAX_SEASONAL))


class TimeProcess(NamedTuple):
    """A fitted process: theta, log v (c,), the coefficients b (p,) and their covariance (p, p)."""

    theta: np.ndarray
    log_v: np.ndarray
    blocks: np.ndarray  # block (p,) of each column; -1 for columns without one
    b: np.ndarray
    cov: np.ndarray

    def with_mean(self, rows: TimeRows) -> TimeProcess:
        """Return the process with coefficients from other rows, and the same covariances."""
        groups = fitted_batches(rows)
        fitted = likelihood(self.theta, self.log_v, self.blocks, groups)
        return self._replace(b=fitted.b, cov=fitted.cov)


class Likelihood(NamedTuple):
    """Minus the log marginal likelihood, its gradient, and the coefficients."""

    value: float
    gradient: np.ndarray
    b: np.ndarray
    cov: np.ndarray


class GroupBatch(NamedTuple):
    """Groups of similar sizes, padded: what the likelihood needs and no parameter changes."""

    there: np.ndarray  # marks rows (G, m)
    phi: np.ndarray
    gap: np.ndarray  # times between rows (G, m, m)
    alike: np.ndarray  # correlations (G, m, m, s) of their phases
    Z: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @property
    def pair(self) -> np.ndarray:
        """Whether there are both rows (G, m, m)."""
        return np.asarray(self.there[:, :, None] & self.there[:, None, :])


def fitted_batches(rows: TimeRows) -> list[GroupBatch]:
    """Return the latest rows of each group, or of as many groups as memory allows, in batches."""
    result, most = [], rows.most_of_group(_MAX_FITTED)
    groups = np.unique(rows.codes)
    kept = at_most(groups, max(_MAX_PAIRS // most**2, 1))
    taken = np.flatnonzero(np.isin(rows.codes, kept)) if len(kept) < len(groups) else slice(None)
    place = np.arange(len(rows.codes))[taken]
    for part in batches(rows.times[taken], rows.codes[taken], most):
        at = np.where(part >= 0, place[part], -1)
        there, t = at >= 0, rows.times[at]
        Z = np.where(there[:, :, None], rows.Z[at], 0.0)
        y = np.where(there, rows.y[at], 0.0)
        alike = rows.alike(at, rows, at)
        result.append(GroupBatch(there, rows.phi[at], _gaps(t, t), alike, Z, y, rows.weight[at]))
    return result


def batches(times: np.ndarray, codes: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Yield the rows of groups in time, padded with -1, in batches (G, m) of similar sizes."""
    order = np.lexsort((times, codes))
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
    parts = sorted((part[-most:] for part in parts), key=len)
    while parts:
        largest = max(_WIDEST * len(parts[0]), len(parts[0]) + 2)
        n_taken = sum(len(part) <= largest for part in parts)
        n_taken = min(n_taken, max(_MAX_PAIRS_OF_BATCH // len(parts[n_taken - 1]) ** 2, 1))
        rows = np.full((n_taken, len(parts[n_taken - 1])), -1)
        for k, part in enumerate(parts[:n_taken]):
            rows[k, : len(part)] = part
        yield rows
        parts = parts[n_taken:]


def _unpack(theta: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return L, s_j (s,) and the five parameters of time and noise."""
    L, n_entries = np.zeros((q, q)), q * (q + 1) // 2
    L[np.tril_indices(q)] = theta[:n_entries]
    return L, np.exp(theta[n_entries:-5]), np.exp(theta[-5:])


def _gaps(t: np.ndarray, u: np.ndarray) -> np.ndarray:
    return np.asarray(abs(t[:, :, None] - u[:, None, :]))


def _covariance(
    theta: np.ndarray, phi_t: np.ndarray, phi_u: np.ndarray, gap: np.ndarray, alike: np.ndarray
) -> np.ndarray:
    """Return covariances (G, m, k) of deviations, given phi (G, m, q) and phi (G, k, q)."""
    L, s_season, (s_m, l_m, s_a, l_a, _) = _unpack(theta, phi_t.shape[2])
    r = np.sqrt(3) * gap / l_m
    random = (phi_t @ L) @ np.swapaxes(phi_u @ L, 1, 2) + alike @ s_season**2
    return np.asarray(random + s_m**2 * (1 + r) * np.exp(-r) + s_a**2 * np.exp(-gap / l_a))


def _derivatives(
    theta: np.ndarray, phi: np.ndarray, gap: np.ndarray, alike: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return sums of ``weights`` (G, m, m), symmetric, times derivatives by theta but log s_e."""
    L, s_season, (s_m, l_m, s_a, l_a, _) = _unpack(theta, phi.shape[2])
    r = np.sqrt(3) * gap / l_m
    by_season = 2 * s_season**2 * np.einsum("gmk,gmks->s", weights, alike)
    smooth, serial = s_m**2 * np.exp(-r), s_a**2 * np.exp(-gap / l_a)
    by_L = 2 * np.tensordot(phi, weights @ (phi @ L), ([0, 1], [0, 1]))
    return np.append(
        by_L[np.tril_indices(len(L))],
        [
            *by_season,
            2 * (weights * smooth * (1 + r)).sum(),
            (weights * smooth * r**2).sum(),
            2 * (weights * serial).sum(),
            (weights * serial * gap / l_a).sum(),
        ],
    )


def likelihood(
    theta: np.ndarray, log_v: np.ndarray, blocks: np.ndarray, groups: list[GroupBatch]
) -> Likelihood:
    """Return the negative log marginal likelihood of rows, over coefficients and deviations."""
    v = np.where(blocks < 0, _FREE, np.exp(log_v)[blocks] if len(log_v) else _FREE)
    noise, systems = np.exp(2 * theta[-1]), []
    for batch in groups:
        K = np.where(batch.pair, _covariance(theta, batch.phi, batch.phi, *batch[2:4]), 0.0)
        diagonal = np.arange(K.shape[1])
        K[:, diagonal, diagonal] += np.where(batch.there, noise / batch.weight + _JITTER, 1.0)
        systems.append((K, batch.y, batch.Z))
    marginal = marginal_likelihood(systems, v)
    n = sum(int(batch.there.sum()) for batch in groups)
    value, gradient = marginal.log_det + marginal.square, np.zeros(len(theta))
    for batch, precision, dual in zip(groups, marginal.precision, marginal.dual, strict=True):
        weights = np.where(batch.pair, precision - dual[:, :, None] * dual[:, None, :], 0.0)
        gradient[:-1] += 0.5 * _derivatives(theta, *batch[1:4], weights)
        gradient[-1] += (noise / batch.weight * np.einsum("gii->gi", weights)).sum()
    squares = np.diag(marginal.cov) + marginal.b**2
    by_block = [
        0.5 * ((blocks == k).sum() - squares[blocks == k].sum() / np.exp(log_v[k]))
        for k in range(len(log_v))
    ]
    return Likelihood(
        0.5 * (value + n * np.log(2 * np.pi)),
        np.append(gradient, by_block),
        marginal.b,
        marginal.cov,
    )


def fit_time_process(
    rows: TimeRows,
    blocks: np.ndarray,
    start: TimeProcess | None = None,
    n_steps: int = 40,
) -> TimeProcess:
    """Maximise the marginal likelihood in at most `n_steps` of L-BFGS, from `start` on.

    `blocks` (p,) are numbers from 0 on, and -1 for columns without a prior.
    """
    q, c, n_seasons = rows.phi.shape[1], int(blocks.max(initial=-1)) + 1, len(rows.R)
    n_entries = q * (q + 1) // 2

    def values_of(entries: np.ndarray, season: float, five: np.ndarray, block: float) -> np.ndarray:
        """Return values of L, log s_j, the five of time and noise, and log v."""
        return np.concatenate([entries, np.full(n_seasons, season), five, np.full(c, block)])

    none, ones = np.zeros(n_entries), np.ones(n_entries)
    entries = np.diag([0.5, 0.3, *[0.1] * q][:q])[np.tril_indices(q)]
    five = np.log([0.3, 1.0, 0.3, 0.3, 0.3])
    firsts = [values_of(entries, _CENTRE_SEASON, five, _CENTRE_BLOCK)]
    if start is not None and len(start.theta) + len(start.log_v) == len(firsts[0]):
        firsts = [np.append(start.theta, start.log_v)]
    elif n_seasons:
        # What few cycles show may be a season or a curve: there is an optimum for each.
        five = np.log([0.1, 1.0, 0.1, 0.3, 0.1])
        firsts.append(values_of(entries, np.log(0.4), five, _CENTRE_BLOCK))
    centre = values_of(none, _CENTRE_SEASON, _CENTRE, _CENTRE_BLOCK)
    width = values_of(ones, _WIDTH_SEASON, _WIDTH, _WIDTH_BLOCK)
    low = values_of(-_LARGEST_ENTRY * ones, _LOW_SEASON, _LOW, _LOW_BLOCK)
    high = values_of(_LARGEST_ENTRY * ones, _HIGH_SEASON, _HIGH, _HIGH_BLOCK)
    n_theta, groups = n_entries + n_seasons + 5, fitted_batches(rows)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        likelihood_at = likelihood(values[:n_theta], values[n_theta:], blocks, groups)
        z = (values - centre) / width
        return likelihood_at.value + 0.5 * float(z @ z), likelihood_at.gradient + z / width

    settings: dict[str, Any] = {
        "jac": True,
        "method": "L-BFGS-B",
        "bounds": np.column_stack([low, high]),
        "options": {"maxiter": n_steps, "ftol": 1e-6},
    }
    minima = [minimize(loss, first, **settings) for first in firsts]
    best = min(minima, key=lambda one: float(one.fun)).x
    process = TimeProcess(best[:n_theta], best[n_theta:], blocks, np.empty(0), np.empty(0))
    return process.with_mean(rows)


def predict_time_process(
    process: TimeProcess, known: TimeRows, at: TimeRows
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and standard deviations (n,) of targets, given the latest known rows."""
    L, s_season, (s_m, _, s_a, _, s_e) = _unpack(process.theta, at.phi.shape[1])
    mean = at.Z @ process.b
    prior = ((at.phi @ L) ** 2).sum(1) + s_m**2 + s_a**2 + s_e**2
    for s_j, R, phases in zip(s_season, at.R, at.phases.T, strict=True):
        prior += s_j**2 * np.diag(R)[phases]
    variance = prior + np.einsum("ni,ij,nj->n", at.Z, process.cov, at.Z)
    for one in _conditioned(process, known, at):
        cross = _covariance(process.theta, at.phi[one.query], known.phi[one.rows], *one.between)
        cross = cross * one.there[:, None, :]
        gain = np.swapaxes(np.linalg.solve(one.K, np.swapaxes(cross, 1, 2)), 1, 2)
        Z = np.where(one.there[:, :, None], known.Z[one.rows], 0.0)
        Z_left = at.Z[one.query] - gain @ Z
        posterior = prior[one.query] - (gain * cross).sum(2)
        posterior += np.einsum("gai,ij,gaj->ga", Z_left, process.cov, Z_left)
        asked = one.query[one.asked]
        mean[asked] += (gain @ one.left[..., None])[..., 0][one.asked]
        variance[asked] = np.maximum(posterior[one.asked], _JITTER)
    return mean, np.sqrt(variance)


def predict_season(
    process: TimeProcess, known: TimeRows, at: TimeRows, columns: np.ndarray
) -> np.ndarray:
    """Return the seasons (n,) of rows of groups: of all, by columns of Z, and of each group."""
    _, s_season, _ = _unpack(process.theta, at.phi.shape[1])
    season = at.Z[:, columns] @ process.b[columns]
    for one in _conditioned(process, known, at):
        cross = (one.between[1] @ s_season**2) * one.there[:, None, :]
        own = (cross @ np.linalg.solve(one.K, one.left[..., None]))[..., 0]
        season[one.query[one.asked]] += own[one.asked]
    return np.asarray(season)


class _Conditioned(NamedTuple):
    """Known rows (G, m), rows to predict (G, k) of their groups, and what the first leave."""

    rows: np.ndarray
    there: np.ndarray
    query: np.ndarray
    asked: np.ndarray
    K: np.ndarray
    left: np.ndarray
    between: tuple[np.ndarray, np.ndarray]


def _conditioned(process: TimeProcess, known: TimeRows, at: TimeRows) -> Iterator[_Conditioned]:
    used, most = np.flatnonzero(np.isin(known.codes, at.codes)), known.most_of_group(_MAX_KNOWN)
    order = np.argsort(at.codes, kind="stable")
    starts = np.searchsorted(at.codes[order], np.arange(at.codes.max(initial=-1) + 2))
    noise = np.exp(2 * process.theta[-1])
    for rows in batches(known.times[used], known.codes[used], most):
        there, rows = rows >= 0, used[rows]
        groups = known.codes[rows[:, 0]]
        first, n = starts[groups], starts[groups + 1] - starts[groups]
        place = np.arange(n.max())
        asked = place < n[:, None]
        query = order[np.where(asked, first[:, None] + place, first[:, None])]
        t, phi, alike = known.times[rows], known.phi[rows], known.alike(rows, known, rows)
        pair = there[:, :, None] & there[:, None, :]
        K = np.where(pair, _covariance(process.theta, phi, phi, _gaps(t, t), alike), 0.0)
        diagonal = np.arange(K.shape[1])
        K[:, diagonal, diagonal] += np.where(there, noise / known.weight[rows] + _JITTER, 1.0)
        left = np.where(there, known.y[rows] - known.Z[rows] @ process.b, 0.0)
        between = _gaps(at.times[query], t), at.alike(query, known, rows)
        yield _Conditioned(rows, there, query, asked, K, left, between)
