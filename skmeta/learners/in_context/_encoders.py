"""Encoders of the labels, cells and expert predictions of a table, for a transformer.

Notation: b tables, n support rows, m query rows, d columns, f features of a cell, e width of a
cell, g soft bins of a column, v width of a label, D width of a row, s experts, c labels of a row.
``n_labels`` is the number of class slots, and None for targets.

References: Qu et al. (2025), TabICL (columns encoded before rows); Gorishniy et al. (2022), On
embeddings for numerical features in tabular deep learning (periodic and piecewise forms);
Katharopoulos et al. (2020), Transformers are RNNs (linear attention); Jacobs et al. (1991),
Adaptive mixtures of local experts.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skmeta._tabular.table_prior import (
    N_CELL_FEATURES,
    N_EXPERTS,
    ExpertSystems,
    cells_of_kernels,
    compare,
    find_relevance,
    predict_experts,
    prepare_experts,
)

# Labels this near to 0 have no sign. That of a sum that should be 0 depends on the order of terms.
_ZERO = 1e-6

Memory = dict[str, Any]
"""Values computed from a support set that predictions of query rows need."""


def full_precision(x: Tensor) -> torch.autocast:
    """Turn autocast off where sums over many rows are computed."""
    return torch.autocast(x.device.type, enabled=False)


class LabelEncoder(nn.Module):
    """Codes of class slots, or of standardised targets."""

    def __init__(self, n_labels: int | None, width: int) -> None:
        super().__init__()
        self.codes = None if n_labels is None else nn.Parameter(torch.empty(n_labels, width))
        if n_labels is None:
            self.first = nn.Linear(4, width)
            self.second = nn.Linear(width, width)

    def forward(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the codes (..., width) of labels (...)."""
        if self.codes is not None:
            return self.codes[y.long()]
        t = y.to(dtype)
        sign = torch.where(t.abs() > _ZERO, t.sign(), 0.0)
        features = torch.stack([t.clamp(-4, 4), torch.asinh(t), torch.tanh(2 * t), sign], -1)
        code: Tensor = self.second(F.gelu(self.first(features)))
        return code


class ExpertEncoder(nn.Module):
    """Encode the predictions of the experts (width v) as a part of the rows' tokens (width D)."""

    def __init__(self, n_labels: int | None, width: int, token_width: int) -> None:
        super().__init__()
        self.n_labels = n_labels
        self.label = LabelEncoder(n_labels, width)
        self.join = nn.Linear(N_EXPERTS * (width + 1), token_width)

    def read(
        self, cell_features: Tensor, label: Tensor, w: Tensor
    ) -> tuple[Tensor, Tensor, tuple[ExpertSystems, Tensor]]:
        """Return parts (b, n, D) of the tokens, predictions (b, n, s, c), and fitted experts."""
        with full_precision(cell_features):
            cells = cells_of_kernels(cell_features)
            # Views of one table that differ in their class order have the same relevance.
            systems = prepare_experts(cells, find_relevance(cells, label[: len(w)], w), w)
            predicted, dual = systems.solve(label)
        return self._join(predicted, systems.nearest), predicted, (systems, dual)

    def predict(
        self, fitted: tuple[ExpertSystems, Tensor], cell_features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return parts (b, m, D) of the tokens of query rows, and predictions (b, m, s, c)."""
        with full_precision(cell_features):
            kernels, nearest = compare(fitted[0], cell_features)
            predicted: Tensor = predict_experts(kernels, fitted[1])
        predicted = predicted.to(self.join.weight.dtype)
        return self._join(predicted, nearest), predicted

    def centred_labels(self, y: Tensor, w: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return centred labels (b, n, c), and which classes have rows (b, c).

        Labels are targets, or indicators minus uniform probabilities of the classes that have rows.
        """
        if self.n_labels is None:
            return y[..., None].to(w.dtype), None
        label = (y[..., None] == torch.arange(self.n_labels, device=y.device)).to(w.dtype)
        present = (label * (w > 0)[..., None]).amax(1, keepdim=True)
        centre = present / present.sum(2, keepdim=True).clamp_min(1.0)
        return label - centre, present[:, 0] > 0

    def _join(self, predicted: Tensor, nearest: Tensor) -> Tensor:
        dtype = self.join.weight.dtype
        predicted, nearest = predicted.to(dtype), nearest.to(dtype)
        nearest = nearest.expand(len(predicted), -1, -1)
        codes = self.label.codes
        prediction = self.label(predicted[..., 0], dtype) if codes is None else predicted @ codes
        token: Tensor = self.join(torch.cat([prediction.flatten(2), nearest], 2))
        return token


class CellEncoder(nn.Module):
    """Encode cells by their own features and by the labels of similar cells in their column.

    Each of `n_heads` divides a column into g = `n_bins` bins. The output has twice the width e.
    """

    def __init__(
        self, n_labels: int | None, width: int, n_heads: int = 2, n_bins: int = 16
    ) -> None:
        super().__init__()
        self.n_heads, self.n_bins = n_heads, n_bins
        self.n_label = width // 2
        self.first = nn.Linear(N_CELL_FEATURES, 2 * width)
        self.second = nn.Linear(2 * width, width)
        self.label = LabelEncoder(n_labels, self.n_label)
        self.bins = nn.Linear(width, n_heads * n_bins)
        self.smoothing = nn.Parameter(torch.empty(n_heads))
        prediction = n_heads * self.n_label
        self.join = nn.Linear(width + prediction, 2 * width)
        self.agreement = nn.Linear(2 * prediction, 2 * width)

    def read(self, cell_features: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Memory]:
        """Encode support cells to (b, n, d, 2 e), and compute the memory for query cells."""
        cells = self._encode(cell_features)
        bins = self._bins(cells)
        with full_precision(cell_features):
            prediction, memory = self._read_bins(bins, y, w.to(bins.dtype))
        agreement = self.agreement(memory.pop("agreed"))
        memory["agreement"] = agreement
        return self._join(cells, prediction, agreement), memory

    def _read_bins(self, bins: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Memory]:
        """Return predictions of support cells from their bins, and the memory of the bins."""
        code = self.label(y, bins.dtype)
        share = w / w.sum(1, keepdim=True).clamp_min(1e-12)
        code = code - (share[:, :, None] * code).sum(1, keepdim=True)
        weighted = bins * w[:, :, None, None, None]
        # Sums over support rows: labels (b, d, heads, g, v) and weights (b, d, heads, g) of bins.
        sums = torch.einsum("bndhg,bnv->bdhgv", weighted, code)
        counts = weighted.sum(1)
        overlap = (bins * bins).sum(4) * w[:, :, None, None]
        prediction = self._predict_from_bins(sums, counts, bins, overlap, code)
        # Agreement of a column's predictions with the labels of rows left out of its bins.
        agreed = (share[:, :, None, None, None] * prediction * code[:, :, None, None, :]).sum(1)
        power = (share[:, :, None, None, None] * prediction * prediction).sum(1)
        agreed = torch.cat([agreed.flatten(2), power.flatten(2)], 2)
        return prediction, {"sums": sums, "counts": counts, "agreed": agreed}

    def predict(self, memory: Memory, cell_features: Tensor) -> Tensor:
        """Encode query cells (b, m, d, f) to (b, m, d, 2 e)."""
        cells = self._encode(cell_features)
        bins = self._bins(cells)
        with full_precision(cell_features):
            prediction = self._predict_from_bins(memory["sums"], memory["counts"], bins)
        return self._join(cells, prediction, memory["agreement"])

    def _encode(self, cell_features: Tensor) -> Tensor:
        cells: Tensor = self.second(F.gelu(self.first(cell_features.to(self.first.weight.dtype))))
        return cells

    def _bins(self, cells: Tensor) -> Tensor:
        """Return the share of each cell in each bin, (b, m, d, heads, g)."""
        logits = self.bins(cells).to(self.smoothing.dtype)
        share: Tensor = logits.unflatten(3, (self.n_heads, self.n_bins)).softmax(4)
        return share

    def _predict_from_bins(
        self,
        sums: Tensor,
        counts: Tensor,
        bins: Tensor,
        overlap: Tensor | None = None,
        code: Tensor | None = None,
    ) -> Tensor:
        """Return the mean label code of each cell's bins, (b, m, d, heads, v)."""
        bins = bins.to(sums.dtype)
        weight = torch.einsum("bmdhg,bdhg->bmdh", bins, counts)
        if overlap is not None:
            weight = (weight - overlap).clamp_min(0)
        # Shrink towards zero where few rows fall into the bin.
        weight = weight + F.softplus(self.smoothing) + 1e-3
        prediction = torch.einsum("bmdhg,bdhgv->bmdhv", bins / weight[..., None], sums)
        if overlap is not None and code is not None:
            prediction = prediction - (overlap / weight)[..., None] * code[:, :, None, None, :]
        return prediction

    def _join(self, cells: Tensor, prediction: Tensor, agreement: Tensor) -> Tensor:
        # Two products: several tables of predictions may share the cells of one table.
        cell_weight, prediction_weight = self.join.weight.split(
            [cells.shape[3], self.n_heads * self.n_label], 1
        )
        joined = F.linear(prediction.flatten(3), prediction_weight)
        # In place, because these are the largest tensors.
        joined += F.linear(cells, cell_weight, self.join.bias)
        joined += agreement[:, None]
        return F.gelu(joined)
