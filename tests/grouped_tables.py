"""Tables with groups."""

from typing import NamedTuple

import numpy as np
import pandas as pd


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
