"""Series of several columns of groups, such as animals and states: ``order`` with all, or with one.

    python -m benchmarks.measure.crossed_series

Panels are those of ``panels.py`` whose series have several keys. Of three quarters of the series,
20 steps are known, and the next ones are predicted (*later*). The other series are new ones of
groups that are mostly known: their last 4 steps are given to ``partial_fit``, or none. Compared are
GroupedRegressor with all keys as groups, with the series as the only groups (its keys are
categories), and the values of a season before. Printed are mean absolute errors over those of a
season before in the known steps (MASE), and what 90 % intervals hold.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings

import numpy as np
import pandas as pd

from benchmarks.measure.panels import PANELS, _scale, load
from skmeta import GroupedRegressor

KEYS = {
    "livestock": ["Animal", "State"],
    "prison": ["State", "Gender", "Legal"],
    "retail": ["State", "Industry"],
    "tourism purposes": ["Region", "Purpose"],
}
N_KNOWN, N_FEW = 20, 4


def run(name: str, half: str, n_series: int) -> None:
    """Fit and predict one panel, and print a line for each method."""
    panel, frame = PANELS[name], load(name, half, n_series)
    left = frame.groupby("series").cumcount(ascending=False)
    frame = frame[left < N_KNOWN + panel.ahead].reset_index(drop=True)
    is_later = frame.groupby("series").cumcount(ascending=False) < panel.ahead
    series = np.random.default_rng(0).permutation(frame["series"].unique())
    is_new = frame["series"].isin(series[: len(series) // 4])
    first = {one: part["y"][: -panel.ahead] for one, part in frame.groupby("series")}
    scale = frame["series"].map({one: _scale(y, panel.season) for one, y in first.items()})
    is_used = scale > 0
    rank = frame.groupby("series").cumcount()
    few = is_new & ~is_later & (rank >= N_KNOWN - N_FEW)
    for label, groups in (("all keys", KEYS[name]), ("series", ["series"])):
        own = list(dict.fromkeys([*groups, *KEYS[name]]))
        X, y = frame[["date", *own]], frame["y"]
        began = time.process_time()
        known = ~is_new & ~is_later
        model = GroupedRegressor(groups, order="date").fit(X[known], y[known])
        seconds = time.process_time() - began
        given = copy.deepcopy(model).partial_fit(X[few], y[few])
        parts = []
        for regime, one, at in (
            ("later", model, ~is_new & is_later & is_used),
            ("new 0", model, is_new & is_later & is_used),
            (f"new {N_FEW}", given, is_new & is_later & is_used),
        ):
            error = (one.predict(X[at]) - y[at]).abs() / scale[at]
            low, high = one.predict_quantiles(X[at], (0.05, 0.95)).T
            inside = np.mean((low <= y[at]) & (y[at] <= high))
            parts.append(f"{regime} {error.mean():.2f} ({inside:.0%})")
        print(f"{name}, {label}: {', '.join(parts)}; {seconds:.0f} s", flush=True)
    last = pd.concat([y.tail(panel.season) for y in first.values()])
    typical = frame.loc[last.index].assign(y=last)
    step = typical.groupby("series").cumcount()
    before = dict(zip(zip(typical["series"], step, strict=True), typical["y"], strict=True))
    at = is_later & is_used & ~is_new
    steps = frame[is_later].groupby("series").cumcount().reindex(frame.index)
    naive = np.array(
        [
            before[one, k % panel.season]
            for one, k in zip(frame["series"][at], steps[at], strict=True)
        ]
    )
    error = np.abs(naive - frame["y"][at]) / scale[at]
    print(f"{name}, a season before: later {error.mean():.2f}", flush=True)


def main() -> None:
    """Run the panels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panels", nargs="*", default=list(KEYS))
    parser.add_argument("--half", choices=("development", "report"), default="report")
    parser.add_argument("--series", type=int, default=24)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in options.panels:
        run(name, options.half, options.series)


if __name__ == "__main__":
    main()
