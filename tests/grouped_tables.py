"""Tables with groups."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from skmeta._tabular import Table

# One member and no choice between members, where the choice does not matter.
QUICK = {"population": LinearRegression(), "model": "mixed", "n_folds": 2}


class Grouped(NamedTuple):
    """A table with the group as a column, its target, and the effects of the groups."""

    X: pd.DataFrame
    y: np.ndarray
    effects: np.ndarray


def make_table(n_groups=24, n_rows=10, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), n_rows)
    x, colour = rng.normal(size=len(group)), rng.choice(["red", "blue"], len(group))
    effects = rng.normal(size=n_groups)
    y = x + (colour == "red") + effects[group] + noise * rng.normal(size=len(group))
    names = np.array([f"g{k}" for k in range(n_groups)])
    return Grouped(pd.DataFrame({"school": names[group], "x": x, "colour": colour}), y, effects)


def rows_of(group, n=1, x=0.0):
    """Equal rows of one group of `make_table`."""
    return pd.DataFrame({"school": [group] * n, "x": [x] * n, "colour": ["blue"] * n})


def timed_rows(times, y, codes, features=None):
    """Rows of groups in time; without features, these are the times."""
    times = np.asarray(times, float)
    features = times[:, None] if features is None else features
    n, none, codes = len(y), np.zeros(len(y), int), np.asarray(codes)[:, None]
    return Table(features, np.zeros(n), y, np.ones(n), codes, none, none, times, features)
