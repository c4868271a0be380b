"""Seconds and memory of GroupedRegressor and GroupedClassifier on drawn tables.

    python -m benchmarks.measure.grouped_speed
    python -m benchmarks.measure.grouped_speed --groups 10000 --rows 10 --columns 20

Intercepts and the slope of one column differ between groups, and another column has an effect that
is not linear. Seconds are those of ``fit`` and of a prediction of all rows, by the clock and by the
processor; memory is the most that the process has held.
"""

import resource
import time

import numpy as np
import pandas as pd

from benchmarks.lib.resumable import read_options
from skmeta import GroupedClassifier, GroupedRegressor


def draw(n_groups: int, n_rows: int, n_columns: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of groups with their targets."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(n_groups), n_rows)
    X = rng.normal(size=(len(group), n_columns))
    effects = rng.normal(size=(n_groups, 2))[group]
    y = X[:, 0] + np.sin(2 * X[:, 1]) + effects[:, 0] + effects[:, 1] * X[:, 2] / 2
    frame = pd.DataFrame(X, columns=[f"x{k}" for k in range(n_columns)]).assign(group=group)
    return frame, y + rng.normal(size=len(group)) / 2


def main() -> None:
    """Measure and print."""
    options = read_options(__doc__, groups=1000, rows=12, columns=5)
    X, y = draw(options.groups, options.rows, options.columns)
    for kind, target in ((GroupedRegressor, y), (GroupedClassifier, y > 0)):
        model = kind(groups="group")
        for name, call in (
            ("fit", lambda m, t: m.fit(X, t)),
            ("predict", lambda m, _: m.predict(X)),
            (
                "predict of one row, 100 times",
                lambda m, t: [m.predict(X[k : k + 1]) for k in range(100)],
            ),
        ):
            clock, processor = time.perf_counter(), time.process_time()
            call(model, target)
            seconds = time.perf_counter() - clock, time.process_time() - processor
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(
                f"{kind.__name__}.{name}: {seconds[0]:.2f} s, {seconds[1]:.2f} s CPU, {held:.1f} GB"
            )


if __name__ == "__main__":
    main()
