"""How often a season is found in whole numbers, and how often is warned of a cycle that is left.

    python -m benchmarks.measure.seasons_found

Families of ``groups`` series of ``steps`` steps each: white noise, random walks, walks that share
shocks of the same size (or mostly shared ones), second-order autoregressions with cycles of about
twelve steps that wander, and walks with a season of 12 steps, or a cycle of 9, whose phases deviate
like a step. Printed are the shares of families with any season, with one of 12 steps, and with a
warning of a cycle that is left, of 200 draws. Two minutes on one core.
"""

import warnings

import numpy as np

from benchmarks.lib.resumable import read_options
from skmeta.exceptions import UnusedDataWarning
from skmeta.grouped.longitudinal._seasons import learn_calendar

SIZES = ((1, 60), (5, 26), (10, 40), (17, 63), (10, 120))
KINDS = (
    "white noise",
    "walks",
    "walks with shared shocks",
    "walks with mostly shared shocks",
    "wandering cycles",
    "walks with a season",
    "walks with shared shocks and a season",
    "walks with shared shocks and a cycle of 9",
)
N_DRAWS, SEASON, CYCLE = 200, 12, 9


def draw(kind: str, groups: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return series (groups, steps)."""
    shared = np.cumsum(rng.normal(size=steps))
    own = np.cumsum(rng.normal(size=(groups, steps)), 1)
    length = CYCLE if "cycle of" in kind else SEASON
    season = rng.normal(size=length)[np.arange(steps) % length]
    if kind == "white noise":
        return rng.normal(size=(groups, steps))
    if kind == "wandering cycles":
        shocks = rng.normal(size=(groups, steps + 50))
        values = np.zeros_like(shocks)
        for k in range(2, steps + 50):
            values[:, k] = 1.6 * values[:, k - 1] - 0.85 * values[:, k - 2] + shocks[:, k]
        return values[:, 50:]
    series = own
    if "mostly" in kind:
        series = shared + 0.2 * own
    elif "shared" in kind:
        series = shared + own
    if "season" in kind or "cycle of" in kind:
        series = series + season * np.diff(series).std()
    return series


def main() -> None:
    """Draw, and print."""
    n_draws = read_options(__doc__, draws=N_DRAWS).draws
    rng = np.random.default_rng(0)
    for kind in KINDS:
        print(kind)
        for groups, steps in SIZES:
            codes = np.repeat(np.arange(groups), steps)
            times = np.tile(np.arange(float(steps)), groups)
            n_any = n_right = n_warned = 0
            for _ in range(n_draws):
                y = draw(kind, groups, steps, rng).ravel()
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", UnusedDataWarning)
                    seasons = learn_calendar(times, y, codes, "auto", False, 0.0, 1.0).seasons
                n_warned += bool(caught)
                n_any += bool(seasons)
                n_right += any(season.n_phases == SEASON for season in seasons)
            print(
                f"  {groups} x {steps}: any {n_any / n_draws:.3f}, "
                f"of {SEASON} steps {n_right / n_draws:.3f}, warned {n_warned / n_draws:.3f}"
            )


if __name__ == "__main__":
    main()
