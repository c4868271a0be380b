"""Tables that a prior for any table takes, and those for which it is not the best choice."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning
from skmeta.learners._core import TaskLimits
from skmeta.priors import MetaPrior

# A table of more cells is read by the network in single precision.
_MAX_EXACT_CELLS = 999
# Sizes that a prior for any table is made for, and what to try beyond. It was compared with other
# estimators on up to 2,000 rows, 784 columns and 26 classes.
_LIMITS = {
    "rows": (1000, "A random forest or HistGradientBoosting learns more from so many rows."),
    "columns": (1000, "LogisticRegression or Ridge is faster, or put TruncatedSVD in front."),
    "classes": (100, "LogisticRegression is faster, or meta-train a ProtoNet on similar classes."),
}


class TableLimits(TaskLimits):
    """Limits of a learner whose network reads the support set."""

    def check_size(
        self, learner: Any, prior: MetaPrior, n_rows: int, n_columns: int, n_classes: int
    ) -> None:
        """Warn once of everything about a table that is larger than a prior was made for.

        Parameters
        ----------
        learner, prior, n_rows, n_columns, n_classes
            As of the base class.
        """
        messages = []
        n_used = learner.n_rows_used(n_rows, n_classes)
        if n_used < n_rows:
            messages.append(
                f"X has {n_rows:,} rows, but the views of the prior have {n_used:,} rows in all "
                f"({learner.max_rows} each), so that it does not see some rows. Raise n_estimators "
                "for more views."
            )
        # A prior of a family of tasks was made for the columns and classes that it has.
        if prior.n_features_in is None:
            for what, size in (("rows", n_rows), ("columns", n_columns), ("classes", n_classes)):
                limit, alternative = _LIMITS[what]
                if size > limit:
                    messages.append(
                        f"{size:,} {what} are more than the {limit:,} that the prior is made for. "
                        f"{alternative}"
                    )
        if messages:
            warn_caller(
                f"{' '.join(messages)} Pass fewer of them to silence this warning.",
                UnusedDataWarning,
            )

    def network_precision(self, precision: str, n_cells: int) -> str:
        return "float32" if n_cells > _MAX_EXACT_CELLS else precision

    def is_sound(self, name: str, value: Tensor) -> bool:
        # The memory of a support set holds infinity where a row or value is missing.
        return (
            not value.isnan().any() if name.startswith("memory.") else super().is_sound(name, value)
        )
