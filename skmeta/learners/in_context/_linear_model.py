"""How much a linear model counts that is mixed into the predictions: two learned parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skmeta._tabular.table_prior import LinearModel, SupportRows, fit_linear_model

# Values before meta-training, chosen on the development sets of benchmarks/measure/small_tables.py.
_EVIDENCE_WEIGHT_OF_CLASSES, _NETWORK_EVIDENCE_OF_CLASSES = 1.0, 1.0
_EVIDENCE_WEIGHT_OF_TARGETS, _NETWORK_EVIDENCE_OF_TARGETS = 0.35, 2.0


class LinearEvidence(nn.Module):
    """The evidence for the linear model of tables of one kind.

    ``evidence_weight`` is how much the likelihoods count. ``network_evidence`` is the prior
    evidence for the network with 10 rows, because the network is better than its best expert. It
    shrinks with more rows, where the likelihoods are a better guide.
    """

    def __init__(self, n_labels: int | None) -> None:
        super().__init__()
        self.n_labels = n_labels
        self.evidence_weight, self.network_evidence = (
            nn.Parameter(torch.empty(())) for _ in range(2)
        )

    def reset(self) -> None:
        """Set the parameters to their values before meta-training."""
        nn.init.constant_(
            self.evidence_weight,
            _EVIDENCE_WEIGHT_OF_CLASSES if self.n_labels else _EVIDENCE_WEIGHT_OF_TARGETS,
        )
        nn.init.constant_(
            self.network_evidence,
            _NETWORK_EVIDENCE_OF_CLASSES if self.n_labels else _NETWORK_EVIDENCE_OF_TARGETS,
        )

    def read(
        self, cell_features: Tensor, y: Tensor, w: Tensor, expert: Tensor, present: Tensor | None
    ) -> LinearModel:
        """Fit the linear model to a support set."""
        rows = SupportRows.of(cell_features, w)
        evidence = self.evidence_weight, self.network_evidence
        return fit_linear_model(rows, y, expert, present, *evidence)
