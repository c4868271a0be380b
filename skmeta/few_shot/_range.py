"""Warn of tables that are larger than those that a prior for any table was made for."""

from __future__ import annotations

from typing import Any

from skmeta._warnings import warn_caller
from skmeta.exceptions import UnusedDataWarning
from skmeta.priors import MetaPrior

# Sizes that a prior for any table is made for, and what to try beyond. It was compared with other
# estimators on up to 2,000 rows, 784 columns and 26 classes.
_LIMITS = {
    "rows": (1000, "A random forest or HistGradientBoosting learns more from so many rows."),
    "columns": (1000, "LogisticRegression or Ridge is faster, or put TruncatedSVD in front."),
    "classes": (100, "LogisticRegression is faster, or meta-train a ProtoNet on similar classes."),
}


def warn_of_size(
    prior: MetaPrior, learner: Any, n_rows: int, n_columns: int, n_classes: int
) -> None:
    """Warn once of everything about a table that is larger than a prior was made for.

    Parameters
    ----------
    prior : MetaPrior
        The prior.
    learner : MetaLearner
        Its learner. Only learners with ``n_rows_used`` limit the size of a table.
    n_rows, n_columns, n_classes : int
        Size of the table; no classes for a regression.
    """
    if not hasattr(learner, "n_rows_used"):
        return
    found = []
    n_used = learner.n_rows_used(n_rows, n_classes)
    if n_used < n_rows:
        found.append(
            f"X has {n_rows:,} rows, but the views of the prior have {n_used:,} rows in all "
            f"({learner.max_rows} each), so that some rows are not used. Raise n_estimators for "
            "more views."
        )
    # A prior of a family of tasks was made for the columns and classes that it has.
    if prior.n_features_in is None:
        for what, size in (("rows", n_rows), ("columns", n_columns), ("classes", n_classes)):
            limit, alternative = _LIMITS[what]
            if size > limit:
                found.append(
                    f"{size:,} {what} are more than the {limit:,} that the prior is made for. "
                    f"{alternative}"
                )
    if found:
        warn_caller(
            f"{' '.join(found)} Pass a smaller table to silence this warning.",
            UnusedDataWarning,
        )
