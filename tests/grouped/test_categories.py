"""Columns of categories in small tables, and what few groups know of those held out."""

import numpy as np
import pandas as pd
import pytest
from marks import slow

from skmeta import GroupedRegressor

pytestmark = pytest.mark.filterwarnings("ignore:Column .* has fewer")


def roasts(n_groups=6, levels=("0", "1", "2", "4", "9", "18"), seed=0):
    """A row of each level in each group: the level says nearly all."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        [(f"g{g}", level) for g in range(n_groups) for level in levels], columns=["group", "level"]
    )
    means = dict(zip(levels, 10.0 * np.arange(len(levels)), strict=True))
    return frame, frame["level"].map(means).to_numpy() + rng.normal(size=len(frame))


def test_levels_with_few_rows_keep_their_own_means():
    X, y = roasts()
    is_test = np.arange(len(X)) % 7 == 0
    model = GroupedRegressor("group").fit(X[~is_test], y[~is_test])
    error = np.mean((model.predict(X[is_test]) - y[is_test]) ** 2)
    # The noise has variance 1, and a level some five rows.
    assert error < 3.0
    assert list(model.feature_names_in_) == ["group", "level"]


def test_larger_tables_ask_for_more_rows_per_level():
    rng = np.random.default_rng(1)
    level = np.r_[np.repeat("rare", 4), np.repeat(["a", "b"], 298)]
    X = pd.DataFrame({"group": rng.integers(0, 20, 600).astype(str), "level": level})
    model = GroupedRegressor("group", model="mixed").fit(X, rng.normal(size=600))
    assert {"level (b - a)", "level (other - a)"} < set(model.effects_)
    assert "level (rare - a)" not in model.effects_


@pytest.mark.parametrize("kind", [slow("mixture"), "mixed"])
def test_few_groups_do_not_tell_those_that_are_held_out(kind):
    # The targets of one group of four follow from the means of the others, which predict them.
    rng = np.random.default_rng(2)
    levels = list("abcde")
    frame = pd.DataFrame([(f"g{g}", v) for g in range(4) for v in levels], columns=["group", "v"])
    y = np.repeat([0.0, 10, -5, 30], 5) + rng.normal(size=20)
    model = GroupedRegressor("group", model=kind).fit(frame, y)
    new = frame.head(3).assign(group="new")
    model.partial_fit(new, np.full(3, 50.0))
    asked = frame.iloc[[3, 4]].assign(group="new")
    # Nothing says that the new group is like the others.
    assert (abs(model.predict(asked) - 50) < 10).all()
    # The variance of all targets is 1, and without known rows nothing tells a group from others.
    assert model.losses_.iloc[0].min() > 0.5


@pytest.mark.slow
def test_groups_within_a_new_group_are_new_with_it():
    # A new laboratory has new batches, but the specimens are known.
    rng = np.random.default_rng(0)
    rows = [(f"L{a}", f"S{s}", f"L{a}/B{b}") for a in range(6) for s in range(7) for b in "12"]
    X = pd.DataFrame(rows, columns=["lab", "specimen", "batch"])
    specimens = dict(zip("0123456", [0, 1, 2, 4, 6, 9, 14], strict=True))
    y = X["specimen"].str[1].map(specimens).to_numpy() + 0.2 * rng.normal(size=len(X))
    is_new = X["lab"].isin(["L0", "L1"]).to_numpy()
    model = GroupedRegressor(["lab", "specimen", "batch"]).fit(X[~is_new], y[~is_new])
    error = np.mean((model.predict(X[is_new]) - y[is_new]) ** 2)
    assert error < 0.1
