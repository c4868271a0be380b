"""Draw figures/targets.svg: predictive distributions of a count, an amount and ordered classes.

python doc/draw_targets.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from skmeta import GroupedRegressor, MetaFewShotClassifier, MetaFewShotRegressor

HERE = Path(__file__).parent
OURS, GIVEN, TRUE = "#1f6f8b", "#d9803f", "#333333"
LEVELS = np.array([0.05, 0.5, 0.95])
CLASSES = ["none", "mild", "moderate", "severe"]


def draw_counts(axes: Axes, rng: np.random.Generator) -> None:
    """Visits of 60 patients by age: 90 % intervals with the kind, without it, and true ones."""
    age = np.sort(rng.uniform(20, 80, 60))

    def mean(at: np.ndarray) -> np.ndarray:
        return np.exp(-1.6 + 0.045 * at)

    visits = rng.negative_binomial(3, 3 / (3 + mean(age)))
    at = np.linspace(20, 80, 121)
    true = stats.nbinom(3, 3 / (3 + mean(at))[:, None]).ppf(LEVELS)
    fitted = MetaFewShotRegressor(device="cpu").fit(age[:, None], visits)
    given = MetaFewShotRegressor(device="cpu", target_type="real").fit(age[:, None], visits)
    low, middle, high = fitted.predict_quantiles(at[:, None], LEVELS).T
    axes.fill_between(at, low, high, step="mid", color=OURS, alpha=0.25, lw=0)
    axes.step(at, middle, where="mid", color=OURS, lw=1.8, label=f'"{fitted.target_type_}"')
    for k, line in enumerate(given.predict_quantiles(at[:, None], LEVELS).T):
        style = "-" if k == 1 else "--"
        axes.plot(at, line, style, color=GIVEN, lw=1.2, label='"real"' if k == 1 else None)
    for k, line in enumerate(true.T):
        axes.step(at, line, ":", color=TRUE, lw=1, where="mid", label="true" if k == 1 else None)
    axes.plot(age, visits, "o", color=TRUE, ms=3.5)
    axes.axhline(0, color="#bbbbbb", lw=0.8, zorder=0)
    axes.set(title="Visits of 60 patients", xlabel="age", ylabel="visits: median, 90 % interval")
    axes.legend(frameon=False, loc="upper left")


def draw_amounts(axes: Axes, rng: np.random.Generator) -> None:
    """A charge of a clinic without known rows, in a table of 30 others."""
    clinic = np.repeat(np.arange(30), 12)
    level = rng.normal(0, 0.8, 30)
    severity = rng.normal(size=len(clinic))
    log_mean = 6 + level[clinic] + 0.5 * severity
    charge = np.exp(log_mean + 0.6 * rng.normal(size=len(clinic)))
    table = pd.DataFrame({"clinic": clinic, "severity": severity})
    at = pd.DataFrame({"clinic": [30], "severity": [0.0]})
    levels = np.linspace(0.01, 0.99, 99)
    for kind, color in (("auto", OURS), ("real", GIVEN)):
        model = GroupedRegressor("clinic", target_type=kind)
        model.fit(table, charge)
        name = f'"{model.target_type_}"'
        axes.plot(model.predict_quantiles(at, levels)[0], levels, color=color, lw=1.8, label=name)
    true = stats.lognorm(1.0, scale=np.exp(6)).ppf(levels)
    axes.plot(true, levels, ":", color=TRUE, lw=1.2, label="true")
    axes.axvline(0, color="#bbbbbb", lw=0.8, zorder=0)
    axes.set(title="A charge in a new clinic", xlabel="charge", ylim=(0, 1))
    axes.set(ylabel="probability of less")
    axes.legend(frameon=False, loc="lower right")


def draw_classes(axes: Axes, rng: np.random.Generator) -> None:
    """Severity of 60 patients: probabilities of ordered classes by dose, and the true ones."""
    cuts = np.array([-1.0, 0.3, 1.5])

    def below(at: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(cuts[None] - 1.3 * at[:, None]) * 1.4))

    dose = rng.uniform(-2, 2, 60)
    code = (rng.random((60, 1)) > below(dose)).sum(1)
    severity = pd.Series(pd.Categorical.from_codes(code, CLASSES, ordered=True))
    model = MetaFewShotClassifier(device="cpu").fit(dose[:, None], severity)
    at = np.linspace(-2, 2, 101)
    proba = pd.DataFrame(model.predict_proba(at[:, None]), columns=model.classes_)[CLASSES]
    edges = np.column_stack([np.zeros(len(at)), np.cumsum(proba.to_numpy(), axis=1)])
    for k, name in enumerate(CLASSES):
        color = plt.get_cmap("BuGn")(0.25 + 0.2 * k)
        axes.fill_between(at, edges[:, k], edges[:, k + 1], color=color, lw=0)
        middle = (edges[:, k] + edges[:, k + 1])[[20, 45, 65, 85][k]] / 2
        axes.text(at[[20, 45, 65, 85][k]], middle, name, ha="center", va="center")
    axes.plot(at, below(at), ":", color=TRUE, lw=1.2, label="true")
    axes.set(title="Severity of 60 patients", xlabel="dose", ylabel="probability", ylim=(0, 1))
    axes.set(xlim=(-2, 2))


def main() -> None:
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "skmeta", "axes.spines.top": False})
    plt.rcParams["axes.spines.right"] = False
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    for k, draw in enumerate((draw_counts, draw_amounts, draw_classes)):
        draw(axes[k], np.random.default_rng(k + 1))
    figure.savefig(HERE / "figures" / "targets.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
