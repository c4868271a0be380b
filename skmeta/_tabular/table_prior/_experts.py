"""Experts in closed form, whose predictions the transformer reads.

Each expert is a kernel regression on the labels (classes as zeros and ones), with w repetitions of
each row: f(x) = k(x, X) a with a = (K + noise / w)^-1 y. The prediction of a support row leaves
this row out, so predictions of support and query rows have the same distribution.

Arrays are of one table. Tensors have an axis of tables before the others, for meta-training; that
of cells and weights may be 1, for one table with several class orders.

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

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, spotrf, spotri
from scipy.spatial.distance import cdist

from skmeta._optional import module_of
from skmeta._tabular.table_prior._arithmetic import as_type, contiguous, in_double, like


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
_TINY = 1e-12


def cells_of_kernels(cell_features: Any) -> dict[str, Any]:
    """Return the cells that kernels compare: (m, d), and (m, 6 d) for waves."""
    xp, shape = module_of(cell_features), cell_features.shape[:-2]
    share = xp.sqrt(like(np.array([0.5, 0.3, 0.2] * 2), cell_features))
    return {
        "value": contiguous(cell_features[..., 1]),
        "rank": contiguous(cell_features[..., 2]),
        "waves": (cell_features[..., 5:11] * share).reshape(*shape, -1),
    }


def find_relevance(cells: dict[str, Any], y: Any, w: Any) -> Any:
    """Return how much more each column is related to the labels than by chance, (d,)."""
    value, rank, waves = cells.values()
    xp, shape = module_of(value), value.shape
    parts = [value[..., None], rank[..., None], waves.reshape(*shape, -1)]
    features = xp.concatenate(parts, -1).reshape(*shape[:-1], -1)
    total = w.sum(-1, keepdims=True).clip(1e-12)
    weight = as_type(w / total, y)[..., None, :]
    features = features - weight @ features
    power = (weight @ features**2)[..., 0, :]
    shared = features.swapaxes(-1, -2) @ (weight.swapaxes(-1, -2) * y)
    size = weight @ (y * y)
    # Squared correlation of each feature with the labels.
    share = (shared**2 / size.clip(1e-9)).sum(-1) / power.clip(1e-9)
    n_free = ((size[..., 0, :] > 1e-9).sum(-1, keepdims=True) - 1).clip(1)
    by_chance = as_type(n_free / (in_double(total) - 1).clip(1.0), y)
    largest = xp.amax(share.reshape(*shape[:-2], shape[-1], -1), -1)
    excess = (largest / by_chance - 1).clip(0.0) + _MIN_RELEVANCE
    return excess / excess.sum(-1, keepdims=True)


class ExpertSystems(NamedTuple):
    """The experts' systems S = R (K + 1) R + noise for a support set, with R the roots of weights.

    ``inverses`` are those of the systems, or two factors each; ``diagonals`` (s, n) are theirs.
    """

    cells: dict[str, Any]
    relevance: Any
    weight: Any
    inverses: list[Any]
    diagonals: Any
    nearest: Any  # (n, s)

    def solve(self, y: Any) -> tuple[Any, Any]:
        """Predict support rows from the others (n, s, c), and return dual weights (s, n, c)."""
        xp, w = module_of(y), self.weight
        root = xp.sqrt(w)[..., None]
        pairs = zip(self.inverses, EXPERTS, strict=True)
        each = [root * _times(inverse, root * y, e.noise) for inverse, e in pairs]
        dual = xp.stack([as_type(part, y) for part in each], -3)
        without = self.diagonals * w[..., None, :]
        predicted = y[..., None, :, :] - dual / without.clip(1e-6)[..., None]
        return contiguous(predicted.swapaxes(-3, -2)), dual


def prepare_experts(cells: dict[str, Any], relevance: Any, w: Any) -> ExpertSystems:
    """Invert the systems of the experts."""
    xp, n = module_of(w), w.shape[-1]
    root, itself = xp.sqrt(w), like(np.eye(n), w)
    is_other = (w > 0)[..., None, :] & (itself == 0)
    inverses, diagonals, nearest = list[Any](), [], []
    for expert in EXPERTS:
        kernel = kernel_of(expert, cells, cells, relevance)
        inputs = _inputs_of_linear(expert, cells, relevance)
        if inputs is not None and inputs.shape[-1] < _FEW_INPUTS * n:
            # Woodbury: (B B' + noise)^-1 = (1 - B (B' B + noise)^-1 B') / noise.
            rows = root[..., None] * inputs
            identity = like(np.eye(rows.shape[-1]), rows)
            inner = xp.linalg.inv(rows.swapaxes(-1, -2) @ rows + expert.noise * identity)
            inverses.append((rows, rows @ inner))
            diagonal = (1 - (rows * inverses[-1][1]).sum(-1)) / expert.noise
        else:
            # The constant kernel 1 is an offset with the same penalty.
            system = (kernel + 1) * root[..., None, :] * root[..., None]
            inverses.append(_invert(system + expert.noise * itself))
            diagonal = xp.diagonal(inverses[-1], 0, -2, -1)
        diagonals.append(as_type(diagonal, w))
        nearest.append(xp.amax(xp.where(is_other, kernel, 0.0), -1))
    parts = xp.stack(diagonals, -2), xp.stack(nearest, -1)
    return ExpertSystems(cells, relevance, w, inverses, *parts)


def _invert(system: Any) -> Any:
    """Return the inverse of a positive definite matrix."""
    if not isinstance(system, np.ndarray):
        torch = module_of(system)
        return torch.cholesky_inverse(torch.linalg.cholesky(system))
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


def _times(inverse: Any, y: Any, noise: float) -> Any:
    if not isinstance(inverse, tuple):
        return inverse @ y
    (rows, solved), y = inverse, in_double(y)
    return (y - rows @ (solved.swapaxes(-1, -2) @ y)) / noise


def _inputs_of_linear(expert: Expert, cells: dict[str, Any], relevance: Any) -> Any | None:
    """Return inputs (n, p) in double precision whose products are a linear kernel plus 1."""
    if expert.kernel != "linear":
        return None
    xp, weight = module_of(relevance), _column_weight(expert, relevance)
    rows = xp.sqrt(weight)[..., None, :] * in_double(cells[expert.cells])
    return xp.concatenate([rows, xp.ones_like(rows[..., :1])], -1)


def _column_weight(expert: Expert, relevance: Any) -> Any:
    xp, shape = module_of(relevance), relevance.shape
    weight = relevance if expert.by_relevance else xp.full_like(relevance, 1 / shape[-1])
    if expert.cells != "waves":
        return weight
    return xp.broadcast_to(weight[..., None], (*shape, 6)).reshape(*shape[:-1], -1)


def kernel_of(expert: Expert, rows: dict[str, Any], others: dict[str, Any], relevance: Any) -> Any:
    """Return the kernel (m, n) between rows and others."""
    xp, a, b = module_of(relevance), rows[expert.cells], others[expert.cells]
    weight = _column_weight(expert, relevance)[..., None, :]
    if expert.kernel == "linear":
        return (weight * a) @ b.swapaxes(-1, -2)
    if expert.kernel == "equal":
        distance = _share_of_different(a, b)
    elif expert.kernel == "laplace":
        distance = _sum_of_differences(weight * a, weight * b)
    else:
        root = xp.sqrt(weight)
        a, b = root * a, root * b
        squares = (a * a).sum(-1)[..., None] + (b * b).sum(-1)[..., None, :]
        distance = (squares - 2 * (a @ b.swapaxes(-1, -2))).clip(0.0)
    return xp.exp(-expert.scale * as_type(distance, a))


def _share_of_different(a: Any, b: Any) -> Any:
    """Return the share of columns in which rows (m, d) and others (n, d) differ."""
    # In single precision, because ranks that should be equal may differ in their last digits.
    if isinstance(a, np.ndarray):
        return cdist(a.astype(np.float32), b.astype(np.float32), "hamming")
    return module_of(a).cdist(a.float(), b.float(), p=0) / a.shape[-1]


def _sum_of_differences(a: Any, b: Any) -> Any:
    """Return the sums of absolute differences between rows (m, d) and others (n, d)."""
    return cdist(a, b, "cityblock") if isinstance(a, np.ndarray) else module_of(a).cdist(a, b, p=1)


def compare(systems: ExpertSystems, cell_features: Any) -> tuple[list[Any], Any]:
    """Return kernels (m, n) between rows and support rows, and `nearest` (m, s)."""
    xp, cells = module_of(cell_features), cells_of_kernels(cell_features)
    kernels = [kernel_of(e, cells, systems.cells, systems.relevance) for e in EXPERTS]
    known = (systems.weight > 0)[..., None, :]
    return kernels, xp.stack([xp.amax(xp.where(known, k, 0.0), -1) for k in kernels], -1)


def predict_experts(kernels: list[Any], dual: Any) -> Any:
    """Return predictions (m, s, c) of query rows by kernels (m, n) and dual weights (s, n, c)."""
    parts = [dual[..., k, :, :] for k in range(N_EXPERTS)]
    each = [k @ part + part.sum(-2, keepdims=True) for k, part in zip(kernels, parts, strict=True)]
    return module_of(dual).stack(each, -2)
