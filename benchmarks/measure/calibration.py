"""Slopes of calibration: whether probabilities of known groups are as far apart as they should be.

    SKMETA_DATA=... python -m benchmarks.measure.calibration --half development

Classifications of ``groupbench`` with up to 9,000 rows, regime "known" of ``grouped.py``, the mean
of some divisions: the slope of one division has a standard error of 0.05 to 0.2. The slope is that
of the log probabilities in a logistic regression of the classes in the rows to predict, with an
intercept for each class: above 1, probabilities are too close to one another. Each division of a
table has one line in ``results/calibration.jsonl``.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from benchmarks.lib import group_tables
from benchmarks.lib.resumable import read_lines, read_options, run_cells
from benchmarks.measure.grouped import make_cases
from skmeta import GroupedClassifier

RESULTS = Path(__file__).parents[1] / "results" / "calibration.jsonl"
MAX_ROWS = 9_000


def calibrate(p: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Return the slope, the log loss, and the log loss with slope and intercepts."""
    logs, rows = np.log(np.clip(p, 1e-4, 1)), np.arange(len(y))

    def loss(values: np.ndarray) -> float:
        logits = values[0] * logs + np.append(0, values[1:])
        return float(-log_softmax(logits, 1)[rows, y].mean())

    fitted = minimize(loss, np.append(1, np.zeros(p.shape[1] - 1)), method="BFGS")
    return float(fitted.x[0]), float(-logs[rows, y].mean()), float(fitted.fun)


def run(cell: tuple) -> dict | None:
    name, _, division = cell
    table = group_tables.load(name)
    if table.task != "classification" or len(table.y) > MAX_ROWS:
        return None
    case = make_cases(name, division)["known"]
    X = table.X.copy()
    X.insert(0, "the group", table.groups)
    model = GroupedClassifier("the group").fit(X.iloc[case.train], table.y[case.train])
    slope, loss, best = calibrate(model.predict_proba(X.iloc[case.test]), table.y[case.test])
    return {"cell": cell, "slope": slope, "log_loss": loss, "log_loss_with_slope": best}


def main() -> None:
    halves = "development", "report"
    options = read_options(__doc__, half=halves, minutes=float("inf"), divisions=3)
    names = [n for n in group_tables.table_names() if group_tables.half_of(n) == options.half]
    cells = [(n, options.half, k) for k in range(options.divisions) for n in names]
    run_cells(cells, run, RESULTS, options.minutes)
    slopes: dict[str, list[float]] = {}
    for line in read_lines(RESULTS):
        name, half, _ = line["cell"]
        if half == options.half:
            slopes.setdefault(name, []).append(line["slope"])
    means = {name: float(np.mean(each)) for name, each in slopes.items()}
    for name, mean in sorted(means.items(), key=lambda item: item[1]):
        print(f"{name:28} {mean:.2f}  {np.round(slopes[name], 2).tolist()}")
    n_near = sum(0.9 <= mean <= 1.1 for mean in means.values())
    print(f"{n_near} of {len(means)} within .9 and 1.1")


if __name__ == "__main__":
    main()
