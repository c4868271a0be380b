"""A prior for any table, as functions on arrays.

Notation: n support rows, m query rows, d columns, c classes, q levels, e views.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax

from skmeta.priors import MetaPrior, load_table_prior
from skmeta.tabular._rows import WeightedRows, arrange, location_and_scale
from skmeta.tabular.table_prior._binned import binned_moments, binned_quantiles
from skmeta.tabular.table_prior._cells import N_CODES
from skmeta.tabular.table_prior._indicators import choose_indicators
from skmeta.tabular.table_prior._linear_model import NEVER
from skmeta.tabular.table_prior._network import Memory, Network
from skmeta.tabular.table_prior._views import Components, choose_views

# A table of more cells is read in single precision.
_MAX_EXACT_CELLS = 999
# Rows predicted at once: intermediate values of so many fit into the cache of a processor.
_ROWS_AT_ONCE = 512
# The least log probability of a view that counts.
_MIN_LOG_PROBABILITY = -20.0
_PARAMETER = "table."


class Distribution(NamedTuple):
    """Means and standard deviations (m,) of targets, and quantiles (m, q), in their units."""

    mean: np.ndarray
    std: np.ndarray
    quantiles: np.ndarray


class TablePrior:
    """A prior for any table: it reads labelled rows, and predicts others from them in one pass.

    Everything is deterministic, and does not depend on the order of rows, columns and classes.
    `n_estimators`, the number of views that predictions average, and `max_rows`, the largest number
    of support rows of a view, are by default those of the prior.
    """

    def __init__(
        self, prior: MetaPrior, n_estimators: int | str | None = None, max_rows: int | None = None
    ) -> None:
        settings = prior.learner_params
        self.prior = prior
        self.n_estimators: int | str = settings["n_estimators"]
        if n_estimators is not None:
            self.n_estimators = n_estimators
        self.max_rows = int(settings["max_rows"] if max_rows is None else max_rows)

    @classmethod
    def load(cls, kind: str) -> TablePrior:
        """Return the prior that ships for ``"classification"`` or ``"regression"``."""
        return cls(load_table_prior(kind))

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
        `n_classes`. A row of weight 2 is as good as two rows, and one of weight 0 is left out.
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
        self._tables  # noqa: B018

    @cached_property
    def _tables(self) -> list[ReadTable]:
        return self._read(self.rows)

    def _read(self, rows: WeightedRows) -> list[ReadTable]:
        """Read rows with codes and, where there are categories, with indicators in their place."""
        network = _network(self.prior.prior, self.precision)
        n_estimators, max_rows = self.prior.n_estimators, self.prior.max_rows
        return [
            ReadTable.read(network, rows._replace(X=x), self.n_classes, n_estimators, max_rows)
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
        rows, found = self.rows, list[Any]()
        for positions in sets:
            kept = np.ones(len(rows.y), bool)
            kept[positions] = False
            tables, X = self._read(rows.take(kept)), rows.X[positions]
            if self.n_classes:
                found.append(softmax(self._log_probability(tables, X), axis=1))
            else:
                found.append(self._distribution(tables, X, np.asarray(levels, float)))
        return found

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
def _network(prior: MetaPrior, precision: str) -> Network:
    return Network(
        _weights(prior.tensors), prior.learner_params["n_heads"], np.dtype(precision).type
    )


def _weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(_PARAMETER): value
        for name, value in tensors.items()
        if name.startswith(_PARAMETER)
    }


class ReadTable(NamedTuple):
    """A support set that a network has read in one or several views."""

    network: Network
    components: Components | None
    memories: list[tuple[np.ndarray, Memory]]  # of columns, by one or several views
    # Of classes: codes (e, c), which codes occur in a view (e, 10), which classes have rows (c,).
    codes: np.ndarray
    present: np.ndarray
    seen: np.ndarray
    # Of targets: their mean, deviation, and whether all are equal.
    location: float
    scale: float
    is_constant: bool

    @classmethod
    def read(
        cls,
        network: Network,
        rows: WeightedRows,
        n_classes: int,
        n_estimators: int | str,
        max_rows: int,
    ) -> ReadTable:
        """Read a support set of positive weights in its views."""
        components = Components.fit(rows.X, rows.weight)
        n_components = 0 if components is None else components.loadings.shape[1]
        views = choose_views(rows, n_classes, n_estimators, max_rows, n_components)
        x = rows.X if components is None else components.add(rows.X)
        e, location, scale = len(views.slots), 0.0, 1.0
        if n_classes:
            labels = [codes[rows.y] for codes in views.codes]
        else:
            location, scale = map(float, location_and_scale(rows.y, rows.weight))
            labels = [(rows.y - location) / scale] * e
        # Views of the same cells are read at once; with more than 10 classes, each has its own.
        is_one = len(views.columns) == len(views.rows) == 1 and n_classes <= N_CODES
        present = np.zeros((e, N_CODES), bool)
        memories = []
        for group in [range(e)] if is_one else [range(k, k + 1) for k in range(e)]:
            columns, at = (each[group[0] % len(each)] for each in (views.columns, views.rows))
            seen_labels = [labels[k][at] for k in group]
            if n_classes:
                present[group, :] = [np.bincount(y, minlength=N_CODES) > 0 for y in seen_labels]
            slots = [views.slots[k] for k in group]
            read = network.read(x[np.ix_(at, columns)], seen_labels, rows.weight[at], slots)
            memories.append((columns, read))
        return cls(
            network,
            components,
            memories,
            views.codes,
            present,
            np.bincount(rows.y, minlength=n_classes) > 0 if n_classes else np.empty(0, bool),
            location,
            scale,
            bool(rows.y.min() == rows.y.max()),
        )

    def _outputs(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs (e, m, o) of the network for rows (m, d)."""
        x = x if self.components is None else self.components.add(x)
        parts = [self.network.predict(memory, x[:, columns]) for columns, memory in self.memories]
        return np.concatenate(parts).astype(float)

    def log_probability(self, x: np.ndarray) -> np.ndarray:
        """Return log probabilities (m, c) of classes, averaged over views.

        They are not normalised if there are more than 10 classes.
        """
        outputs, (e, c) = self._outputs(x), self.codes.shape
        code_log_p = log_softmax(np.where(self.present[:, None], outputs, NEVER), axis=2)
        if c > N_CODES:
            # Each view predicts one digit of a class; a class has log c / log 10 digits.
            total = np.zeros((len(x), c))
            for log_p, codes in zip(code_log_p, self.codes, strict=True):
                total += log_p[:, codes]
            mean = total * (np.log(c) / np.log(N_CODES) / e)
        else:
            class_log_p = np.take_along_axis(code_log_p, self.codes[:, None], 2)
            if self.components is not None:
                # Views have different columns, so that each adds to what the others know.
                mean = np.maximum(class_log_p, _MIN_LOG_PROBABILITY).mean(0)
                return np.asarray(log_softmax(np.where(self.seen, mean, NEVER), axis=1))
            mean = logsumexp(class_log_p, axis=0) - np.log(e)
        return np.where(self.seen, mean, NEVER)

    def distribution(self, x: np.ndarray, levels: np.ndarray) -> Distribution:
        """Return the distributions of targets, in their units."""
        outputs = self._outputs(x)
        log_p = logsumexp(log_softmax(outputs, axis=2), axis=0) - np.log(len(outputs))
        probability = np.exp(log_p)
        if self.is_constant:
            # Nothing says whether other targets are above or below the known ones.
            probability = (probability + probability[:, ::-1]) / 2
        mean, variance = binned_moments(probability)
        quantiles = binned_quantiles(probability, levels)
        return Distribution(
            mean * self.scale + self.location,
            np.sqrt(variance) * self.scale,
            quantiles * self.scale + self.location,
        )
