"""A prior for any table, as functions on arrays.

Notation: n support rows, m query rows, d columns, c classes, q levels, e views.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from skmeta._tabular._rows import WeightedRows, arrange
from skmeta._tabular.table_prior._binned import binned_moments, binned_quantiles
from skmeta._tabular.table_prior._indicators import choose_indicators
from skmeta._tabular.table_prior._mixture import mix_bins, mix_classes
from skmeta._tabular.table_prior._network import Memory, TablePriorNetwork
from skmeta._tabular.table_prior._views import ViewedRows
from skmeta.priors import MetaPrior

# A table of more cells is read in single precision.
_MAX_EXACT_CELLS = 999
# Rows predicted at once: intermediate values of so many fit into the cache of a processor.
_ROWS_AT_ONCE = 512
_PARAMETER = "table."


class Distribution(NamedTuple):
    """Means and standard deviations (m,) of targets, and quantiles (m, q), in their units."""

    mean: np.ndarray
    std: np.ndarray
    quantiles: np.ndarray


class TablePrior:
    """A prior for any table: it reads labelled rows, and predicts others from them in one pass.

    Everything is deterministic, and does not depend on the order of rows, columns and classes.
    `n_views`, the number of views that predictions average, and `max_rows`, the largest number
    of support rows of a view, are by default those of the prior.
    """

    def __init__(
        self, prior: MetaPrior, n_views: int | str | None = None, max_rows: int | None = None
    ) -> None:
        settings = prior.learner_params
        self.prior = prior
        self.n_views: int | str = settings["n_views"]
        if n_views is not None:
            self.n_views = n_views
        self.max_rows = int(settings["max_rows"] if max_rows is None else max_rows)

    @classmethod
    def load(cls, kind: str) -> TablePrior:
        """Return the prior that ships for ``"classification"`` or ``"regression"``."""
        return cls(MetaPrior.load_shipped(kind))

    def condition(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None = None,
        *,
        categories: Sequence[int] = (),
        n_classes: int = 0,
    ) -> ConditionedPrior:
        """Read labelled rows once, so that many other rows can be predicted from them.

        X (n, d) holds numbers of any scale, codes of categories in the columns `categories`, and
        NaN for missing values; y (n,) targets of any units, or positions of classes below
        `n_classes`. A row of weight 2 counts twice, and one of weight 0 is left out.
        """
        rows = WeightedRows(
            np.asarray(X, float),
            np.asarray(y, int if n_classes else float),
            np.ones(len(X)) if weight is None else np.asarray(weight, float),
        )
        rows, columns = arrange(rows, n_classes)
        nominal = np.flatnonzero(np.isin(columns, list(categories)))
        return ConditionedPrior(self, rows, n_classes, tuple(nominal.tolist()), columns)


class ConditionedPrior:
    """A prior for any table that has read labelled rows, on the first use of them.

    `rows` have positive weights, and are in an order by content (:func:`arrange`); `nominal` are
    their columns of codes; `columns` (d,) are the positions of their columns in rows to predict;
    `precision` is by default ``"float64"`` for small tables, and ``"float32"`` for others.
    """

    def __init__(
        self,
        prior: TablePrior,
        rows: WeightedRows,
        n_classes: int = 0,
        nominal: Collection[int] = (),
        columns: np.ndarray | None = None,
        precision: str | None = None,
    ) -> None:
        self.prior, self.rows, self.n_classes, self.columns = prior, rows, n_classes, columns
        is_large = rows.X.size > _MAX_EXACT_CELLS
        self.precision = precision or ("float32" if is_large else "float64")
        self.indicators = (
            choose_indicators(rows.X, sorted(nominal), rows.weight) if nominal else None
        )

    def __getstate__(self) -> dict[str, Any]:
        # What was read is computed again, so that a pickle stays small.
        return {name: value for name, value in vars(self).items() if name != "_tables"}

    def read(self) -> None:
        """Read the rows now."""
        _ = self._tables

    @cached_property
    def _tables(self) -> list[ReadTable]:
        return self._read(self.rows)

    def _read(self, rows: WeightedRows) -> list[ReadTable]:
        """Read rows with codes and, where there are categories, with indicators in their place."""
        network = _network(self.prior.prior, self.precision)
        n_views, max_rows = self.prior.n_views, self.prior.max_rows
        return [
            ReadTable.read(network, rows._replace(X=x), self.n_classes, n_views, max_rows)
            for x in self._sights(rows.X)
        ]

    def _sights(self, X: np.ndarray) -> list[np.ndarray]:
        return [X] if self.indicators is None else [X, self.indicators(X)]

    def predict(self, X: np.ndarray, levels: np.ndarray | Sequence[float] = ()) -> Any:
        """Predict rows X (m, d): probabilities (m, c) of classes, or a `Distribution`.

        It has means (m,), standard deviations (m,), and quantiles (m, q) at `levels` (q,) strictly
        between 0 and 1, all in units of the targets.
        """
        X = np.asarray(X, float)
        if self.n_classes:
            return np.asarray(softmax(self.log_probability(X), axis=1))
        return self.distribution(X, np.asarray(levels, float))

    def log_probability(self, X: np.ndarray) -> np.ndarray:
        """Return log probabilities (m, c) of rows; not normalised with more than 10 classes."""
        parts = [self._log_probability(self._tables, part) for part in self._parts(X)]
        return np.concatenate(parts) if parts else np.empty((0, self.n_classes))

    def distribution(self, X: np.ndarray, levels: np.ndarray) -> Distribution:
        """Return the distributions of the targets of rows."""
        parts = [self._distribution(self._tables, part, levels) for part in self._parts(X)]
        empty = Distribution(np.empty(0), np.empty(0), np.empty((0, len(levels))))
        return Distribution(*map(np.concatenate, zip(*(parts or [empty]), strict=True)))

    def predict_quantiles(self, X: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Return quantiles (m, q) of the targets of rows (m, d)."""
        return self.distribution(X, levels).quantiles

    def predict_held_out(
        self, sets: Sequence[np.ndarray], levels: np.ndarray | Sequence[float] = ()
    ) -> list[Any]:
        """Predict sets of the support rows, given by their positions, each from all others."""
        rows, predicted = self.rows, list[Any]()
        for positions in sets:
            kept = np.ones(len(rows.y), bool)
            kept[positions] = False
            tables, X = self._read(rows.take(kept)), rows.X[positions]
            if self.n_classes:
                predicted.append(softmax(self._log_probability(tables, X), axis=1))
            else:
                predicted.append(self._distribution(tables, X, np.asarray(levels, float)))
        return predicted

    def _parts(self, X: np.ndarray) -> list[np.ndarray]:
        X = X if self.columns is None else X[:, self.columns]
        return [X[start : start + _ROWS_AT_ONCE] for start in range(0, len(X), _ROWS_AT_ONCE)]

    def _log_probability(self, tables: list[ReadTable], X: np.ndarray) -> np.ndarray:
        pairs = zip(tables, self._sights(X), strict=True)
        each = [table.log_probability(x) for table, x in pairs]
        return each[0] if len(each) == 1 else np.mean([log_softmax(p, 1) for p in each], 0)

    def _distribution(
        self, tables: list[ReadTable], X: np.ndarray, levels: np.ndarray
    ) -> Distribution:
        pairs = zip(tables, self._sights(X), strict=True)
        each = [table.distribution(x, levels) for table, x in pairs]
        return Distribution(*(np.mean(parts, 0) for parts in zip(*each, strict=True)))


@lru_cache(maxsize=4)
def _network(prior: MetaPrior, precision: str) -> TablePriorNetwork:
    return TablePriorNetwork(_weights(prior.tensors), np.dtype(precision).type)


def _weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(_PARAMETER): value
        for name, value in tensors.items()
        if name.startswith(_PARAMETER)
    }


class ReadTable(NamedTuple):
    """A support set that a network has read in one or several views."""

    network: TablePriorNetwork
    support: ViewedRows
    memories: list[tuple[np.ndarray, Memory]]  # of columns, by one or several views

    @classmethod
    def read(
        cls,
        network: TablePriorNetwork,
        rows: WeightedRows,
        n_classes: int,
        n_views: int | str,
        max_rows: int,
    ) -> ReadTable:
        """Read a support set of positive weights in its views."""
        support = ViewedRows.choose(rows, n_classes, n_views, max_rows)
        views, memories = support.views, []
        x = views.widen(rows.X)
        for group in support.tables():
            columns, at = (each[group[0] % len(each)] for each in (views.columns, views.rows))
            labels, slots = (
                [part[k] for k in group] for part in (support.labels[:, at], views.slots)
            )
            memories.append(
                (columns, network.read(x[np.ix_(at, columns)], labels, rows.weight[at], slots))
            )
        return cls(network, support, memories)

    def _outputs(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs (e, m, o) of the network for rows (m, d)."""
        x = self.support.views.widen(x)
        parts = [self.network.predict(memory, x[:, columns]) for columns, memory in self.memories]
        return np.concatenate(parts).astype(float)

    def log_probability(self, x: np.ndarray) -> np.ndarray:
        """Return log probabilities (m, c) of rows; not normalised with more than 10 classes."""
        views, _, present, seen, *_ = self.support
        is_wide = views.components is not None
        return np.asarray(mix_classes(self._outputs(x), views.codes, present, seen, is_wide))

    def distribution(self, x: np.ndarray, levels: np.ndarray) -> Distribution:
        """Return the distributions of targets, in their units."""
        support = self.support
        probability = np.exp(mix_bins(self._outputs(x), support.is_constant))
        mean, variance = binned_moments(probability)
        quantiles = binned_quantiles(probability, levels)
        return Distribution(
            mean * support.scale + support.location,
            np.sqrt(variance) * support.scale,
            quantiles * support.scale + support.location,
        )
