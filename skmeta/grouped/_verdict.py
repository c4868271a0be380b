"""Whether groups matter: a test of what the same model leaves when it knows no group.

The member that has effects of groups predicts each row as one of a new group. If groups make no
difference, residuals are exchangeable, and so are their products with the columns: their sums
within groups are no larger than those of products dealt to the rows at random. This compares like
with like, where trees without a linear part would be behind a mixture for other reasons than
groups. Products are dealt, not residuals, since these may be larger where a column is.

The population that predicts a fold was fitted to the others, so folds differ. Means of groups are
balanced over folds: residuals are centred in each fold, and dealt over all. Slopes are not
balanced: products are dealt within folds. With few groups in a fold, little would be left to test,
and all folds are taken as one.

Notation: n rows, g groups, d columns with a leading 1, c outputs, p permutations.

References: Good (2005), Permutation, parametric and bootstrap tests of hypotheses, chapter 3;
Phipson and Smyth (2010), Permutation p-values should never be zero.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from skmeta.grouped._model import FittedModel

# A difference is claimed below this probability of one as large by chance.
LEVEL = 0.05
# Of the level, for means of groups; the rest is for slopes (Bonferroni's correction).
_SHARE_OF_MEANS = 0.8
_N_PERMUTATIONS, _N_OF_LARGE, _LARGE = 499, 99, 20_000
# Values of permuted residuals at once.
_MAX_VALUES = 2**22
_MAX_COLUMNS = 20
# Groups in a fold, on average, from which folds are told apart.
_MIN_IN_FOLD = 4


def chance_of_groups(model: FittedModel) -> float | None:
    """Return the probability that groups of chance differ as much; None without their effects."""
    effects = model.mixed_member
    if effects is None or effects.keeps_rows:
        return None
    table = model.known.take(np.flatnonzero(model.known.place >= 0))
    as_new_groups = table._replace(codes=np.full_like(table.codes, -1))
    predicted = effects.condition(table).predict(as_new_groups, {}).mean
    y = np.eye(model.n_classes)[table.y.astype(int)] if model.n_classes else table.y
    residuals = (y - predicted).reshape(len(table.y), -1) * np.sqrt(table.weight)[:, None]
    if np.ptp(residuals, axis=0).max(initial=0.0) < 1e-9:
        return 1.0
    columns = effects.units.with_intercept(effects.design(table))[:, : 1 + _MAX_COLUMNS]
    one, folds = np.zeros(len(table.y), np.int64), np.unique(table.fold, return_inverse=True)[1]
    if len(np.unique(table.group)) < _MIN_IN_FOLD * (folds.max() + 1):
        folds = one
    to_folds = csr_array((np.ones(len(folds)), (folds, np.arange(len(folds)))))
    centred = residuals - (to_folds @ residuals / np.bincount(folds)[:, None])[folds]
    means = permutation_test(columns[:, :1], table.group, centred, one)
    slopes = permutation_test(columns[:, 1:], table.group, residuals, folds)
    return min(1.0, means / _SHARE_OF_MEANS, slopes / (1 - _SHARE_OF_MEANS))


def permutation_test(
    columns: np.ndarray, codes: np.ndarray, residuals: np.ndarray, folds: np.ndarray
) -> float:
    """Return the share of permutations within folds whose sums in groups are at least as large."""
    products = (columns[:, :, None] * residuals[:, None]).reshape(len(codes), -1)
    size = np.sqrt((products**2).mean(0))
    products = products[:, size > 0] / size[size > 0]
    if not products.size:
        return 1.0
    n, by_fold = len(codes), np.argsort(folds, kind="stable")
    weight = 1 / np.sqrt(np.bincount(codes)[codes])
    sums = csr_array((weight, (codes, np.arange(n))))
    rng = np.random.default_rng(0)
    observed = float(((sums @ products) ** 2).sum())
    n_left = n_permutations = _N_PERMUTATIONS if n <= _LARGE else _N_OF_LARGE
    n_as_large = 0
    while n_left:
        n_dealt = min(n_left, max(1, _MAX_VALUES // products.size))
        dealt = np.empty((n, n_dealt * products.shape[1]))
        orders = [np.lexsort((rng.random(n), folds)) for _ in range(n_dealt)]
        dealt[by_fold] = np.hstack([products[order] for order in orders])
        by_permutation = ((sums @ dealt) ** 2).sum(0).reshape(n_dealt, -1).sum(1)
        n_as_large += int((by_permutation >= observed * (1 - 1e-12)).sum())
        n_left -= n_dealt
    return (1 + n_as_large) / (1 + n_permutations)
