"""A data set that is cut to fewer rows: its name, and its features."""

from collections.abc import Mapping

import numpy as np


def name_at_rows(dataset: str, n_rows: int) -> str:
    """Return the name of a data set that is cut to a number of rows."""
    return f"{dataset} ({n_rows} rows)"


def features_at_rows(features: Mapping[str, float], n_rows: int) -> dict[str, float]:
    """Return the features of a data set that is cut to a number of rows."""
    changed = dict(features)
    if changed:
        changed["log_rows"] = float(np.log(n_rows))
        changed["log_rows_per_column"] = changed["log_rows"] - changed["log_columns"]
    return changed
