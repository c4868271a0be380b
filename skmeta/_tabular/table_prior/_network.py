"""The network of a prior for any table: it reads a labelled table and predicts further rows.

1. Each cell is described by f features, relative to its column in the support set (``_cells``). A
   small network, shared by all columns, encodes them.
2. Each column has g soft bins. The mean label of a bin over the support rows is a prediction from
   this column alone, and it is added to the code of the cell. A support row is left out of its
   own bins. The agreement of these predictions with the support labels is added, too.
3. Simple learners with a closed form predict each row (``_experts``).
4. The token of a row is the sum of its cells, each modulated by its column's slot, and of the
   encoded predictions of the experts.
5. The tokens pass through a transformer in which all rows attend to the support rows. No row
   attends to a query row. The outputs are a weight of each expert at a row, and a correction.
6. A linear model in closed form is mixed in, by its evidence (``_linear_model``).

A table may be seen in several ways: with the same classes in other slots of labels, and columns in
other slots. What does not depend on slots is then computed once.

Notation: n support rows, m rows of either set, d columns, f features of a cell, e width of a cell,
h bin heads, g soft bins of a column, v width of a label, D width of a row, s experts, c labels of a
row, o outputs: one per class, or one per bin of the target's distribution.

References: Mueller et al. (2022), Transformers can do Bayesian inference (support rows as
context); Hollmann et al. (2023), TabPFN (tables; classes and columns permuted); Qu et al. (2025),
TabICL (columns encoded before rows); Gorishniy et al. (2022), On embeddings for numerical features
in tabular deep learning; Katharopoulos et al. (2020), Transformers are RNNs (linear attention);
Jacobs et al. (1991), Adaptive mixtures of local experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from skmeta._tabular.table_prior._arithmetic import gelu, layer_norm, linear, sigmoid, softplus
from skmeta._tabular.table_prior._binned import N_BINS, bin_edges
from skmeta._tabular.table_prior._cells import (
    N_CODES,
    Columns,
    describe_cells,
    measure_columns,
)
from skmeta._tabular.table_prior._experts import (
    N_EXPERTS,
    ExpertSystems,
    cells_of_kernels,
    compare,
    find_relevance,
    predict_experts,
    prepare_experts,
)
from skmeta._tabular.table_prior._linear_model import LinearModel, SupportRows, fit_linear_model

# Heads of the attention.
N_HEADS = 4
# Labels this near to 0 have no sign. That of a sum that should be 0 depends on the order of terms.
_ZERO = 1e-6
# Smallest probability of a bin.
_FLOOR = 1e-6
# Attention values that are computed at once, so that they fit into the cache of a processor.
_MAX_ATTENTION = 2**17


class EncodedCells(NamedTuple):
    """What cells (m, d) are encoded to before labels are known."""

    features: np.ndarray  # (m, d, f)
    codes: np.ndarray  # (m, d, e)
    bins: np.ndarray  # share of each cell in each bin (d, h, m, g)


class View(NamedTuple):
    """What one view of a support set keeps for predictions."""

    sums: np.ndarray  # labels (d, h, g, v) of bins
    counts: np.ndarray  # weight (d, h, g, 1) of bins
    agreement: np.ndarray  # (d, 2 e)
    dual: np.ndarray  # of the experts (s, n, c)
    linear_model: LinearModel
    row_weight: np.ndarray  # (d 2 e, D)
    # Of each layer: keys (heads, D / heads + 1, n), the last of which are log weights of rows, and
    # values (heads, n, D / heads + 1), the last of which are 1.
    keys: list[np.ndarray]
    values: list[np.ndarray]


class Memory(NamedTuple):
    """A support set as predictions need it: what all views share, and the views."""

    columns: Columns
    experts: ExpertSystems
    views: list[View]


class TablePriorNetwork:
    """The forward pass with the weights of a prior, by name, in a precision."""

    def __init__(self, weights: Mapping[str, np.ndarray], dtype: type) -> None:
        self.dtype = dtype
        self._weights: dict[str, np.ndarray] = {
            n: np.array(v, dtype, order="C") for n, v in weights.items()
        }
        self.is_classifier = "label.codes" in weights
        self.n_layers = sum(n.endswith("norm_hidden.bias") for n in weights)
        self._n_bin_heads = len(weights["cells.smoothing"])
        self._width_of_cell = len(weights["cells.second.bias"])

    # ------------------------------------------------------------------------------ support set

    def read(
        self,
        x: np.ndarray,
        labels: list[np.ndarray],
        w: np.ndarray,
        slots: list[np.ndarray],
    ) -> Memory:
        """Read a support set x (n, d) with positive weights w (n,).

        For each view, there are `labels` (n,), which are class slots, or targets in units of the
        support set, and `slots` (d,) of the columns.
        """
        columns = measure_columns(x, w)
        cells = self._encode(describe_cells(columns, x, w))
        w = w.astype(self.dtype)
        kernel_cells, rows = cells_of_kernels(cells.features), SupportRows.of(cells.features, w)
        centred = [self._centred_labels(y) for y in labels]
        # Views of one table that differ in their class order have the same relevance.
        relevance = find_relevance(kernel_cells, centred[0][0], w)
        experts, views = prepare_experts(kernel_cells, relevance, w), list[View]()
        for y, (label, present), places in zip(labels, centred, slots, strict=True):
            views.append(self._read_view(cells, rows, experts, y, label, present, w, places))
        # Labels are known, so that inverses are not needed any more.
        return Memory(columns, experts._replace(inverses=[]), views)

    def _read_view(
        self,
        cells: EncodedCells,
        rows: SupportRows,
        experts: ExpertSystems,
        y: np.ndarray,
        label: np.ndarray,
        present: np.ndarray | None,
        w: np.ndarray,
        slots: np.ndarray,
    ) -> View:
        predicted, dual = experts.solve(label)
        linear_model = fit_linear_model(
            rows,
            label,
            predicted,
            present,
            float(self._weights["linear_model.evidence_weight"]),
            float(self._weights["linear_model.network_evidence"]),
        )
        prediction, sums, counts, agreement = self._read_bins(cells.bins, y, w)
        row_weight = self._row_weight(slots)
        token = self._rows(self._join(cells.codes, prediction, agreement), row_weight)
        token += self._join_experts(predicted, experts.nearest)
        token += self._encode_labels("label.", y)
        all_keys, all_values, log_weight = [], [], np.log(w)
        for k in range(self.n_layers):
            keys, values = self._keys_and_values(k, token, log_weight)
            all_keys.append(keys)
            all_values.append(values)
            if k + 1 < self.n_layers:  # Nothing reads the support rows after the last layer.
                self._layer(k, token, keys, values)
        return View(sums, counts, agreement, dual, linear_model, row_weight, all_keys, all_values)

    def _centred_labels(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return centred labels (n, c), and which classes have rows (c,).

        Labels are targets, or indicators minus uniform probabilities of the classes that have rows.
        """
        if not self.is_classifier:
            return y[:, None].astype(self.dtype), None
        label = (y[:, None] == np.arange(N_CODES)).astype(self.dtype)
        present = label.any(0)
        return label - present.astype(self.dtype) / max(int(present.sum()), 1), present

    # ------------------------------------------------------------------------------- query rows

    def predict(self, memory: Memory, x: np.ndarray) -> np.ndarray:
        """Return logits (views, m, o) of rows x (m, d)."""
        cells = self._encode(describe_cells(memory.columns, x))
        kernels, nearest = compare(memory.experts, cells.features)
        return np.stack(
            [self._predict_view(view, cells, kernels, nearest) for view in memory.views]
        )

    def _predict_view(
        self, view: View, cells: EncodedCells, kernels: list[np.ndarray], nearest: np.ndarray
    ) -> np.ndarray:
        predicted = predict_experts(kernels, view.dual)
        prediction = self._predict_from_bins(cells.bins, view.sums, view.counts)
        token = self._rows(self._join(cells.codes, prediction, view.agreement), view.row_weight)
        token += self._join_experts(predicted, nearest)
        for k in range(self.n_layers):
            self._layer(k, token, view.keys[k], view.values[k])
        hidden = gelu(self._linear("hidden", self._norm("norm", token)))
        outputs = self._combine(self._linear("head", hidden), predicted)
        return np.asarray(view.linear_model.mix(cells.features, outputs))

    def _combine(self, outputs: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Combine outputs and the experts' predictions (m, s, c) to logits (m, o)."""
        if self.is_classifier:
            own, weight = outputs[:, :N_CODES], outputs[:, N_CODES:]
            return np.asarray(own + (weight[:, None] @ predicted)[:, 0])
        # In double precision, because single precision loses the upper tail.
        outputs, predicted = outputs.astype(float), predicted.astype(float)
        own, weight = outputs[:, :N_BINS], outputs[:, N_BINS:-N_EXPERTS]
        spread = softplus(outputs[:, -N_EXPERTS:]) + 0.01
        # A mixture of logistic distributions around the experts' predictions.
        at = bin_edges() / spread[..., None]
        at -= predicted / spread[..., None]
        share = softmax(weight, axis=1)
        below = (share[:, None] @ sigmoid(at))[:, 0]
        mixed = np.diff(below, axis=1, prepend=0.0, append=1.0)
        return np.asarray(own + np.log(mixed + _FLOOR))

    # --------------------------------------------------------------------------------- encoders

    def _encode(self, features: np.ndarray) -> EncodedCells:
        features, (m, d, _) = features.astype(self.dtype, copy=False), features.shape
        hidden = gelu(self._linear("cells.first", features.reshape(m * d, -1)))
        codes = self._linear("cells.second", hidden)
        logits = self._linear("cells.bins", codes).reshape(m, d, self._n_bin_heads, -1)
        # Columns first, because each is multiplied with its own sums.
        bins = np.ascontiguousarray(logits.transpose(1, 2, 0, 3))
        bins -= bins.max(3, keepdims=True)
        np.exp(bins, out=bins)
        bins /= bins.sum(3, keepdims=True)
        return EncodedCells(features, codes.reshape(m, d, -1), bins)

    def _read_bins(
        self, bins: np.ndarray, y: np.ndarray, w: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return predictions (d, h, n, v) of support cells from bins, sums, counts and agreement.

        The agreement is that of a column's predictions with the labels of rows left out.
        """
        code = self._encode_labels("cells.label.", y)
        share = w / max(float(w.sum()), 1e-12)
        code = code - share @ code
        weighted = (bins * w[:, None]).swapaxes(2, 3)
        sums, counts = weighted @ code, weighted.sum(3)[..., None]
        overlap = np.einsum("dhng,dhng->dhn", bins, bins)[..., None] * w[:, None]
        prediction = self._predict_from_bins(bins, sums, counts, overlap, code)
        shared = share[:, None] * code
        agreed = np.concatenate(
            [
                np.einsum("dhnv,nv->dhv", prediction, shared).reshape(len(bins), -1),
                np.einsum("dhnv,dhnv,n->dhv", prediction, prediction, share).reshape(len(bins), -1),
            ],
            1,
        )
        return prediction, sums, counts, self._linear("cells.agreement", agreed)

    def _predict_from_bins(
        self,
        bins: np.ndarray,
        sums: np.ndarray,
        counts: np.ndarray,
        overlap: np.ndarray | None = None,
        code: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the mean label code of each cell's bins, (d, h, m, v)."""
        weight = bins @ counts
        if overlap is not None:
            weight = np.maximum(weight - overlap, 0.0)
        # Shrink towards zero where few rows fall into the bin.
        weight += (softplus(self._weights["cells.smoothing"]) + self.dtype(1e-3))[:, None, None]
        prediction = bins @ sums
        if overlap is not None and code is not None:
            prediction -= overlap * code
        prediction /= weight
        return np.asarray(prediction)

    def _join(self, codes: np.ndarray, prediction: np.ndarray, agreement: np.ndarray) -> np.ndarray:
        """Return encoded cells (m, d, 2 e)."""
        weight, e = self._weights["cells.join.weight"], self._width_of_cell
        m, d, _ = codes.shape
        prediction = prediction.transpose(2, 0, 1, 3).reshape(m * d, -1)
        joined = prediction @ weight[:, e:].T
        joined += codes.reshape(m * d, -1) @ weight[:, :e].T
        joined = joined.reshape(m, d, -1)
        joined += agreement + self._weights["cells.join.bias"]
        return gelu(joined)

    def _join_experts(self, predicted: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """Return the parts (m, D) of tokens that encode the experts' predictions (m, s, c)."""
        if self.is_classifier:
            code = predicted @ self._weights["experts.label.codes"]
        else:
            code = self._encode_labels("experts.label.", predicted[..., 0])
        return self._linear(
            "experts.join", np.concatenate([code.reshape(len(code), -1), nearest], 1)
        )

    def _encode_labels(self, prefix: str, y: np.ndarray) -> np.ndarray:
        """Return the codes (..., width) of labels (...)."""
        if self.is_classifier:
            return np.asarray(self._weights[f"{prefix}codes"][y])
        t: np.ndarray = y.astype(self.dtype)
        sign = np.where(np.abs(t) > _ZERO, np.sign(t), self.dtype(0))
        features = np.stack([t.clip(-4, 4), np.arcsinh(t), np.tanh(2 * t), sign], -1)
        hidden = gelu(self._linear(f"{prefix}first", features.reshape(t.size, -1)))
        return self._linear(f"{prefix}second", hidden).reshape(*t.shape, -1)

    def _row_weight(self, slots: np.ndarray) -> np.ndarray:
        """Return the weight (d 2 e, D) that maps the concatenated cells of a row to a token.

        A cell c in slot s adds (1 + mark_s) * (W c): a part that is the same for all columns, and a
        part that depends on the column.
        """
        mark, weight = self._weights["slots"][slots], self._weights["project.weight"].T
        joined = (1 + mark)[:, None] * weight
        joined /= np.sqrt(self.dtype(len(slots)))
        return np.asarray(joined.reshape(-1, joined.shape[2]))

    def _rows(self, cells: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Sum the cells (m, d, 2 e) of each row to a token (m, D)."""
        token = cells.reshape(len(cells), -1) @ weight
        token += self._weights["project.bias"]
        return np.asarray(token)

    # -------------------------------------------------------------------------------- transformer

    def _keys_and_values(
        self, k: int, token: np.ndarray, log_weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys and values of support tokens (n, D) in layer k."""
        n, heads = len(token), N_HEADS
        joined = self._linear(
            f"blocks.{k}.key_value", self._norm(f"blocks.{k}.norm_attention", token)
        ).reshape(n, 2, heads, -1)
        size = joined.shape[3]
        keys: np.ndarray = np.empty((heads, size + 1, n), self.dtype)
        keys[:, :-1] = joined[:, 0].transpose(1, 2, 0)
        keys[:, -1] = log_weight
        values: np.ndarray = np.ones((heads, n, size + 1), self.dtype)
        values[..., :-1] = joined[:, 1].transpose(1, 0, 2)
        return keys, values

    def _layer(self, k: int, token: np.ndarray, keys: np.ndarray, values: np.ndarray) -> None:
        """Change tokens (m, D) in place to those after layer k: rows attend to support rows."""
        name, heads = f"blocks.{k}", N_HEADS
        m, size, n = len(token), keys.shape[1] - 1, keys.shape[2]
        query = self._linear(f"{name}.query", self._norm(f"{name}.norm_attention", token))
        query /= np.sqrt(self.dtype(size))
        # The last query is 1, because the last key is the log weight of a row.
        queries: np.ndarray = np.ones((heads, m, size + 1), self.dtype)
        queries[..., :-1] = query.reshape(m, heads, size).transpose(1, 0, 2)
        attended: np.ndarray = np.empty((m, heads, size), self.dtype)
        at_once = max(1, _MAX_ATTENTION // n)
        for head in range(heads):
            for start in range(0, m, at_once):
                rows = slice(start, start + at_once)
                weight = queries[head, rows] @ keys[head]
                weight -= weight.max(1, keepdims=True)
                np.exp(weight, out=weight)
                # The last value is 1, so that its sum is that of the weights.
                total = weight @ values[head]
                np.divide(total[:, :-1], total[:, -1:], out=attended[rows, head])
        token += self._linear(f"{name}.output", attended.reshape(m, -1))
        hidden = gelu(
            self._linear(f"{name}.feed_forward_in", self._norm(f"{name}.norm_hidden", token))
        )
        token += self._linear(f"{name}.feed_forward_out", hidden)

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, x: np.ndarray) -> np.ndarray:
        return layer_norm(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])
