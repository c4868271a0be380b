"""A transformer that reads a labelled table and predicts further rows of it.

Notation: b tables, n support rows, m query rows, d columns, f features of a cell, e width of a
cell, g soft bins of a column, D width of a row, s experts, c labels of a row, o outputs: one per
class, or one per bin of the target's distribution.

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
   Before meta-training, the network predicts a fixed combination of the experts.
6. A linear model in closed form is mixed in, by its evidence (``_linear_model``).

References: Mueller et al. (2022), Transformers can do Bayesian inference (support rows as
context); Hollmann et al. (2023), TabPFN (tables; classes and columns permuted); ``_encoders`` has
those of the encoders.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skmeta._tabular.table_prior import (
    N_BINS,
    N_EXPERTS,
    N_HEADS,
    bin_edges,
    describe_cells,
    like,
    measure_columns,
)
from skmeta.learners.in_context._encoders import (
    CellEncoder,
    ExpertEncoder,
    LabelEncoder,
    Memory,
    full_precision,
)
from skmeta.learners.in_context._linear_model import LinearEvidence

# How an untrained network combines the experts: factor of a class's label; width of a distribution
# before softplus; smallest probability of a bin.
_EXPERT_WEIGHT, _SPREAD, _FLOOR = 0.6, -1.0, 1e-6
_local = threading.local()


class TableTransformer(nn.Module):
    """Predict query rows of a table from its support rows, in one pass.

    `width` is D, a quarter of it e; `n_slots` is the maximum number of columns. Weights are not
    initialised before :meth:`draw`.
    """

    def __init__(
        self,
        n_labels: int | None,
        *,
        width: int = 128,
        n_layers: int = 4,
        n_slots: int = 64,
    ) -> None:
        super().__init__()
        self.n_labels, cell_width = n_labels, width // 4
        self.linear_model = LinearEvidence(n_labels)
        self.cells = CellEncoder(n_labels, cell_width)
        self.experts = ExpertEncoder(n_labels, cell_width // 2, width)
        self.label = LabelEncoder(n_labels, width)
        self.project = nn.Linear(2 * cell_width, width)
        self.slots = nn.Parameter(torch.empty(n_slots, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, width)
        # Outputs, then the weight of each expert and, for distributions, its width.
        n_outputs = N_BINS + 2 * N_EXPERTS if n_labels is None else n_labels + N_EXPERTS
        self.head = nn.Linear(width, n_outputs)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the initial weights."""
        for part in self.modules():
            if isinstance(part, nn.Linear):
                bound = 1 / math.sqrt(part.in_features)
                nn.init.uniform_(part.weight, -bound, bound, generator)
                nn.init.zeros_(part.bias)
            elif isinstance(part, LabelEncoder) and isinstance(part.codes, nn.Parameter):
                nn.init.normal_(part.codes, 0.0, 1.0, generator)
            elif isinstance(part, nn.LayerNorm):
                nn.init.ones_(part.weight)
                nn.init.zeros_(part.bias)
        nn.init.normal_(self.slots, 0.0, 1.0, generator)
        nn.init.zeros_(self.cells.smoothing)
        with torch.no_grad():
            for block in self._blocks():
                # The sum of the residual branches has the size of one (Radford et al. 2019, 2.3).
                for last in (block.output, block.feed_forward_out):
                    last.weight.div_(math.sqrt(len(self.blocks)))
            # Larger weights, so that bins separate neighbouring cells from the start.
            self.cells.bins.weight.mul_(4.0)
        self.linear_model.reset()
        # Before meta-training, the experts have equal weights.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.bias[-N_EXPERTS:] = _EXPERT_WEIGHT if self.n_labels else _SPREAD

    def forward(
        self, x: Tensor, y: Tensor, w: Tensor | None, slots: Tensor, query: Tensor
    ) -> Tensor:
        """Read support sets and predict query sets: logits (b, m, o).

        - x (b, n, d): support rows.
        - y (b, n): class slots, or targets in units of the support set's scale. If b is 1
          elsewhere, but not here or in `slots`, one table is seen in several ways, with the same
          classes in other slots; what does not depend on slots is computed once.
        - w (b, n): a row of weight 2 is as good as two rows; by default 1.
        - slots (b, d) or (1, d): int64, distinct within a table.
        - query (b, m, d): query rows.
        """
        return self._predict(self._read(x, y, w, slots), query)

    def _read(self, x: Tensor, y: Tensor, w: Tensor | None, slots: Tensor) -> Memory:
        weight = x.new_ones(x.shape[:2]) if w is None else w.to(x.dtype)
        with full_precision(x):
            columns = measure_columns(x, weight)
            # Ranks and means are exact; what follows has the precision of the weights.
            cell_features = describe_cells(columns, x, weight).to(self.project.weight.dtype)
            weight = weight.to(cell_features.dtype)
            label, present = self.experts.centred_labels(y, weight)
        h, memory = self.cells.read(cell_features, y, weight)
        embedding, predicted, fitted = self.experts.read(cell_features, label, weight)
        memory["columns"] = columns
        memory["experts"] = fitted
        with full_precision(x):
            memory["linear_model"] = self.linear_model.read(
                cell_features, label, weight, predicted, present
            )
        dtype = cell_features.dtype
        memory["row_weight"] = self._row_weight(slots)
        bias = None
        if w is not None:
            bias = torch.log(w.to(dtype))[:, None, None, :]
            memory["bias"] = bias
        token = self._rows(h, memory["row_weight"]) + embedding + self.label(y, dtype)
        for i, block in enumerate(self._blocks()):
            keys, values = block.keys_and_values(token)
            memory[f"keys.{i}"], memory[f"values.{i}"] = keys, values
            if i + 1 < len(self.blocks):  # Nothing reads the support rows after the last layer.
                token = block(token, keys, values, bias)
        return memory

    def _predict(self, memory: Memory, x: Tensor) -> Tensor:
        with full_precision(x):
            cell_features = describe_cells(memory["columns"], x).to(self.project.weight.dtype)
        h = self.cells.predict(memory, cell_features)
        embedding, predicted = self.experts.predict(memory["experts"], cell_features)
        token = self._rows(h, memory["row_weight"]) + embedding
        for i, block in enumerate(self._blocks()):
            keys, values = memory[f"keys.{i}"], memory[f"values.{i}"]
            token = block(token, keys, values, memory.get("bias"))
        outputs: Tensor = self.head(F.gelu(self.hidden(self.norm(token))))
        with full_precision(x):
            outputs = self._combine(outputs.to(predicted.dtype), predicted)
            mixed: Tensor = memory["linear_model"].mix(cell_features, outputs)
            return mixed

    def _combine(self, outputs: Tensor, predicted: Tensor) -> Tensor:
        """Combine outputs and the experts' predictions (b, m, s, c) to logits (b, m, o)."""
        if self.n_labels is not None:
            own, weight = outputs[..., : self.n_labels], outputs[..., self.n_labels :]
            return own + (weight[..., None] * predicted).sum(2)
        own, weight = outputs[..., :N_BINS], outputs[..., N_BINS:-N_EXPERTS]
        spread = outputs[..., -N_EXPERTS:]
        # A mixture of logistic distributions around the experts' predictions.
        at = (like(bin_edges(), predicted) - predicted) / (F.softplus(spread) + 0.01)[..., None]
        below = F.pad(F.pad(at.sigmoid(), (1, 0)), (0, 1), value=1.0)
        mixed = (weight.softmax(2)[..., None] * below.diff()).sum(2)
        return own + torch.log(mixed + _FLOOR)

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def _row_weight(self, slots: Tensor) -> Tensor:
        """Return the weight (b, d 2 e, D) that maps the concatenated cells of a row to a token.

        A cell c in slot s adds (1 + mark_s) * (W c): a part that is the same for all columns, and a
        part that depends on the column.
        """
        weight = (1 + self.slots[slots])[:, :, None, :] * self.project.weight.T
        return weight.flatten(1, 2)

    def _rows(self, cells: Tensor, weight: Tensor) -> Tensor:
        """Sum the cells (b, m, d, 2 e) of each row to a token (b, m, D)."""
        total = cells.flatten(2) @ weight.to(cells.dtype)
        return total.to(weight.dtype) / math.sqrt(cells.shape[2]) + self.project.bias


class Block(nn.Module):
    """A layer of the transformer of width D: rows attend to support rows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        self.norm_hidden = nn.LayerNorm(width)
        self.feed_forward_in = nn.Linear(width, 2 * width)
        self.feed_forward_out = nn.Linear(2 * width, width)

    def keys_and_values(self, token: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values, each (b, heads, n, D / heads), of support tokens (b, n, D)."""
        joined = self.key_value(self.norm_attention(token)).unflatten(2, (2, N_HEADS, -1))
        keys, values = joined.permute(2, 0, 3, 1, 4)
        return keys, values

    def forward(self, token: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        """Return the tokens (b, m, D) after the layer."""
        queries = self.query(self.norm_attention(token))
        queries = queries.unflatten(2, (N_HEADS, -1)).transpose(1, 2)
        # Not scaled_dot_product_attention: it is slower with gradients, and under vmap on a CPU.
        logits = queries @ keys.mT / math.sqrt(keys.shape[3])
        weight = (logits if bias is None else logits + bias).softmax(3)
        attended = weight.to(values.dtype) @ values
        token = token + self.output(attended.transpose(1, 2).flatten(2))
        hidden = F.gelu(self.feed_forward_in(self.norm_hidden(token)))
        out: Tensor = token + self.feed_forward_out(hidden)
        return out


def call_transformer(
    make: Callable[[], TableTransformer],
    key: Hashable,
    weights: Mapping[str, Tensor],
    *args: Any,
    **kw: Any,
) -> Any:
    """Call the forward pass of a transformer with given weights.

    A transformer is built once per `key` and thread, because a call sets the weights of the module.
    """
    modules = _local.__dict__.setdefault("modules", {})
    if key not in modules:
        # In another thread, because modules cannot draw weights under vmap.
        with ThreadPoolExecutor(1) as elsewhere:
            modules[key] = elsewhere.submit(_without_weights, make).result()
    return torch.func.functional_call(modules[key], dict(weights), args, kw)


def _without_weights(make: Callable[[], TableTransformer]) -> TableTransformer:
    with torch.device("meta"):
        return make()
