"""Experts in closed form, whose predictions the transformer reads.

Each expert is a kernel regression on the labels (classes as zeros and ones), with w repetitions of
each row: f(x) = k(x, X) a with a = (K + noise / w)^-1 y. The prediction of a support row leaves
this row out, so predictions of support and query rows have the same distribution.

Notation: n support rows, m rows of either set, d columns, s = N_EXPERTS, c labels of a row: 10
classes, or 1 target. y (n, c) are centred labels; cells (m, d, f) are those of `describe_cells`;
predictions have shape (m, s, c); ``nearest`` (m, s) is the largest value of the kernel between a
row and another row of the support set.

References: Rasmussen and Williams (2006), Gaussian processes for machine learning, equations 2.25
and 5.12 (a row left out), section 5.4.2; Lakshminarayanan, Roy and Teh (2016), Mondrian forests for
large-scale regression, and Balog et al. (2016), The Mondrian kernel (random forests and the Laplace
kernel).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, spotrf, spotri
from scipy.spatial.distance import cdist

from skmeta.tabular.table_prior._cells import left_out_weight


class Expert(NamedTuple):
    """A kernel regression on one feature of the cells.

    `by_relevance` weights columns by their relevance for the labels; `scale` multiplies distances;
    `noise` is the variance of the labels in units of the kernel.
    """

    kernel: str
    cells: str
    by_relevance: bool
    scale: float
    noise: float


EXPERTS = (
    Expert("linear", "value", False, 1.0, 0.03),
    Expert("linear", "value", True, 1.0, 0.3),
    Expert("normal", "value", False, 0.5, 0.03),
    Expert("normal", "value", True, 0.5, 0.1),
    Expert("laplace", "value", False, 2.0, 0.1),
    Expert("laplace", "rank", False, 1.5, 0.3),
    Expert("laplace", "rank", True, 3.0, 0.1),
    Expert("linear", "waves", True, 1.0, 0.3),
    Expert("equal", "rank", False, 2.0, 0.1),
)
N_EXPERTS = len(EXPERTS)
# Relevance of a column that is no more related to the labels than by chance.
_MIN_RELEVANCE = 0.1
# A linear kernel of so many inputs, as a share of the rows, is inverted by its inputs.
_FEW_INPUTS = 0.5


def cells_of_kernels(cell_features: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cells that kernels compare: (m, d), and (m, 6 d) for waves."""
    share = np.sqrt(np.array([0.5, 0.3, 0.2] * 2, cell_features.dtype))
    return {
        "value": np.ascontiguousarray(cell_features[..., 1]),
        "rank": np.ascontiguousarray(cell_features[..., 2]),
        "waves": (cell_features[..., 5:11] * share).reshape(len(cell_features), -1),
    }


def find_relevance(cells: dict[str, np.ndarray], y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return how much more each column is related to the labels than by chance, (d,)."""
    n, d = cells["value"].shape
    features = np.concatenate(
        [cells["value"][..., None], cells["rank"][..., None], cells["waves"].reshape(n, d, -1)], 2
    ).reshape(n, -1)
    total = max(float(w.sum()), 1e-12)
    weight = (w / total).astype(y.dtype)
    features = features - weight @ features
    power = weight @ features**2
    shared = features.T @ (weight[:, None] * y)
    size = weight @ (y * y)
    # Squared correlation of each feature with the labels.
    share = (shared**2 / np.maximum(size, 1e-9)).sum(1) / np.maximum(power, 1e-9)
    n_free = max(int((size > 1e-9).sum()) - 1, 1)
    by_chance = n_free / max(total - 1, 1.0)
    excess = np.maximum(share.reshape(d, -1).max(1) / by_chance - 1, 0.0) + _MIN_RELEVANCE
    return np.asarray(excess / excess.sum())


class ExpertSystems(NamedTuple):
    """The experts' systems S = R (K + 1) R + noise for a support set, with R the roots of weights.

    ``solvers`` multiply labels (n, c) with the inverse of S, ``diagonals`` (s, n) are those of the
    inverses.
    """

    cells: dict[str, np.ndarray]
    relevance: np.ndarray
    weight: np.ndarray
    inverses: list[np.ndarray | tuple[np.ndarray, np.ndarray]]
    diagonals: np.ndarray
    nearest: np.ndarray  # (n, s)

    def solve(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict support rows from the others (n, s, c), and return dual weights (s, n, c)."""
        w, noise = self.weight, np.array([e.noise for e in EXPERTS], y.dtype)
        root = np.sqrt(w)[:, None]
        dual = np.stack(
            [
                root * _times(inverse, root * y, e.noise)
                for inverse, e in zip(self.inverses, EXPERTS, strict=True)
            ]
        ).astype(y.dtype)
        # As if the row were two rows, with the weights that is left out and that remains.
        out = left_out_weight(w)
        without = (w - out) / noise[:, None] + self.diagonals * w * (out / w)
        predicted = y - dual / np.maximum(without, 1e-6)[..., None]
        return np.ascontiguousarray(predicted.transpose(1, 0, 2)), dual


def prepare_experts(
    cells: dict[str, np.ndarray], relevance: np.ndarray, w: np.ndarray
) -> ExpertSystems:
    """Invert the systems of the experts."""
    root, rest = np.sqrt(w), w - left_out_weight(w)
    inverses, diagonals, nearest = [], [], []
    for expert in EXPERTS:
        kernel = kernel_of(expert, cells, cells, relevance)
        inverse: np.ndarray | tuple[np.ndarray, np.ndarray]
        inputs = _inputs_of_linear(expert, cells, relevance)
        if inputs is not None and inputs.shape[1] < _FEW_INPUTS * len(w):
            # Woodbury: (B B' + noise)^-1 = (1 - B (B' B + noise)^-1 B') / noise.
            rows = root[:, None] * inputs
            inner = np.linalg.inv(rows.T @ rows + expert.noise * np.eye(rows.shape[1]))
            inverse = rows, rows @ inner
            diagonal = (1 - (rows * inverse[1]).sum(1)) / expert.noise
        else:
            # The constant kernel 1 is an offset with the same penalty.
            system = (kernel + 1) * root * root[:, None]
            system[np.diag_indices(len(w))] += expert.noise
            inverse = _invert(system)
            diagonal = inverse.diagonal().copy()
        inverses.append(inverse)
        diagonals.append(diagonal)
        kernel[np.diag_indices(len(w))] *= rest > 0
        nearest.append(kernel.max(1))
    dtype = cells["value"].dtype
    return ExpertSystems(
        cells,
        relevance,
        w.astype(dtype),
        inverses,
        np.stack(diagonals).astype(dtype),
        np.stack(nearest, 1).astype(dtype),
    )


def _invert(system: np.ndarray) -> np.ndarray:
    """Return the inverse of a positive definite matrix."""
    factorise, invert = (spotrf, spotri) if system.dtype == np.float32 else (dpotrf, dpotri)
    # A symmetric matrix in C order is its own transpose in that of LAPACK.
    factor, failed = factorise(system.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("The kernel of an expert is not positive definite.")
    lower, _ = invert(factor, lower=1, overwrite_c=1)
    lower = np.tril(lower)
    inverse = lower + lower.T
    inverse[np.diag_indices(len(inverse))] *= 0.5
    return np.asarray(inverse)


def _times(
    inverse: np.ndarray | tuple[np.ndarray, np.ndarray], y: np.ndarray, noise: float
) -> np.ndarray:
    if isinstance(inverse, np.ndarray):
        return np.asarray(inverse @ y)
    rows, solved = inverse
    return np.asarray((y - rows @ (solved.T @ y)) / noise)


def _inputs_of_linear(
    expert: Expert, cells: dict[str, np.ndarray], relevance: np.ndarray
) -> np.ndarray | None:
    """Return inputs (n, p) in double precision whose products are a linear kernel plus 1."""
    if expert.kernel != "linear":
        return None
    rows = np.sqrt(_column_weight(expert, cells, relevance)) * cells[expert.cells].astype(float)
    return np.concatenate([rows, np.ones((len(rows), 1))], 1)


def _column_weight(
    expert: Expert, cells: dict[str, np.ndarray], relevance: np.ndarray
) -> np.ndarray:
    weight = relevance if expert.by_relevance else np.full_like(relevance, 1 / len(relevance))
    return weight.repeat(6) if expert.cells == "waves" else weight


def kernel_of(
    expert: Expert,
    rows: dict[str, np.ndarray],
    others: dict[str, np.ndarray],
    relevance: np.ndarray,
) -> np.ndarray:
    """Return the kernel (m, n) between rows and others."""
    a, b = rows[expert.cells], others[expert.cells]
    weight = _column_weight(expert, rows, relevance).astype(a.dtype)
    if expert.kernel == "linear":
        return np.asarray((weight * a) @ b.T)
    if expert.kernel == "equal":
        # In single precision, because ranks that should be equal may differ in their last digits.
        distance = cdist(a.astype(np.float32), b.astype(np.float32), "hamming")
    elif expert.kernel == "laplace":
        distance = cdist(weight * a, weight * b, "cityblock")
    else:
        root = np.sqrt(weight)
        a, b = root * a, root * b
        distance = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T)
        np.maximum(distance, 0.0, out=distance)
    distance = distance.astype(rows["value"].dtype, copy=False)
    distance *= -expert.scale
    return np.asarray(np.exp(distance, out=distance))


def predict_experts(kernels: list[np.ndarray], dual: np.ndarray) -> np.ndarray:
    """Return predictions (m, s, c) of query rows by kernels (m, n) and dual weights (s, n, c)."""
    parts = [kernel @ part + part.sum(0) for kernel, part in zip(kernels, dual, strict=True)]
    return np.stack(parts, 1)
