"""Draw the four pictures of the page "Benchmarks" from the results in ``benchmarks/results``.

    python -m benchmarks.measure.plot_summary

Nothing is run. Bands are 95% intervals of the paired difference from our method, by a bootstrap
over data sets or tasks; in the picture of groups, bars are intervals of a ratio. The pictures are
legible in black and white: methods differ in marks and lines, not in colour alone. They are written
to ``doc/figures/summary-*.svg``, three of them side by side to ``doc/figures/summary.svg``, the
picture of README.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.lib.comparison import read_results
from benchmarks.lib.intervals import bootstrap_interval
from benchmarks.lib.resumable import RESULTS, read_lines
from benchmarks.measure.search_day_one import by_pair, regret_curves

FIGURES = RESULTS.parents[1] / "doc" / "figures"
OURS, PEER, PLAIN, GREY = "#1d6fb8", "#c2410c", "#3f7d3a", "#6b7280"
STYLES = {
    0: {"color": OURS, "marker": "o", "linestyle": "-"},
    1: {"color": PEER, "marker": "s", "linestyle": "--"},
    2: {"color": PLAIN, "marker": "^", "linestyle": "-."},
    3: {"color": GREY, "marker": "D", "linestyle": ":"},
}
SCIKIT_LEARN = {
    "logistic": "logistic regression",
    "svc": "SVC",
    "forest": "random forest",
    "boosting": "gradient boosting",
    "5-nn": "5 nearest neighbours",
    "bayes": "naive Bayes",
    "process": "Gaussian process",
    "ridge": "ridge",
}


def draw_curves(ax, x, values):
    """Draw the mean of each method; the first is ours, from which the differences are taken."""
    ours = np.asarray(next(iter(values.values())))
    for k, (label, each) in enumerate(values.items()):
        _, low, high = bootstrap_interval(np.asarray(each) - ours)
        style, mean = STYLES[k], ours.mean(axis=0)
        ax.plot(x, np.mean(each, axis=0), **style, label=label, markersize=5, linewidth=1.8)
        if k:
            ax.fill_between(
                x, mean + low, mean + high, color=style["color"], alpha=0.15, linewidth=0
            )


def draw_search(ax):
    """Regret by the number of candidates, all estimators with all methods."""
    lines = by_pair()
    labels = {
        "shipped": "MetaLearnedSearchCV",
        "plain": "the same without a prior",
        "random": "random search",
    }
    pairs = [k[1:] for k in lines if k[0] == "random" and all((m, *k[1:]) in lines for m in labels)]
    curves = {m: each[:, :20] for m, each in regret_curves(pairs, lines).items()}
    draw_curves(ax, np.arange(1, 21), {label: curves[m] for m, label in labels.items()})
    ax.set_xticks([1, 5, 10, 15, 20])
    ax.set(xlabel="candidates", ylabel="regret", ylim=(0, None))
    ax.set_title(f"Tuning on day one ({len(curves['shipped'])} searches)")


def draw_small_tables(ax, kind, measure, title):
    """Our estimator and the three best of scikit-learn, by the number of known rows.

    Means are over the draws that all methods have. The prior is the one that was measured last. For
    classifications it is a pair like the one that ships, each of which was trained on other sets
    than it is measured on.
    """
    results = read_results(RESULTS / f"small_tables-{kind}.jsonl.gz")
    last = [method for method, _, _ in results if method.startswith("prior-")][-1]
    rows = []
    for (method, *cell), scores in results.items():
        if (last, *cell) in results:
            n_draws = len(results[last, *cell])
            mean = np.mean([score[measure] for score in scores[:n_draws]])
            rows.append(("prior" if method == last else method, *cell, mean))
    frame = pd.DataFrame(rows, columns=["method", "name", "size", measure])
    table = frame.pivot_table(index=["size", "name"], columns="method", values=measure)
    peers = [m for m in SCIKIT_LEARN if m in table]
    table = table[["prior", *peers]].dropna()
    order = table[peers].mean().sort_values(ascending=measure == "error").index[:3]
    sizes = sorted(table.index.unique("size"))
    labels = {"prior": "prior for tables"} | {m: SCIKIT_LEARN[m] for m in order}
    wide = {label: table[method].unstack("size").dropna() for method, label in labels.items()}
    draw_curves(ax, sizes, wide)
    ax.set(xscale="log", xlabel="known rows" + (" of each class" if kind[0] == "c" else ""))
    ax.set_xticks(sizes, [str(s) for s in sizes])
    ax.minorticks_off()
    ax.set(ylabel=measure if kind[0] == "r" else "balanced accuracy", title=title)


def draw_groups(ax):
    """The error of each method over that of a random-intercept model, by task and known rows."""
    rows = [
        {"task": line["task"], "set": line["cell"][0], "method": line["cell"][2]}
        | {"error": line["error"]["new 5"]}
        for line in read_lines(RESULTS / "grouped.jsonl")
    ]
    table = pd.DataFrame(rows)
    labels = {
        "grouped": "Grouped estimator",
        "boosted_target": "boosted, group target-encoded",
        "lightgbm": "LightGBM, group as category",
        "boosted": "boosted, without group",
        "pooled": "one linear model",
    }
    places = {}
    for k, task in enumerate(("regression", "classification")):
        part = table[table["task"] == task]
        wide = part.pivot_table(index="set", columns="method", values="error")
        present = [m for m in labels if m in wide and wide[m].notna().all()]
        whole = wide[["gp_intercepts", *present]].dropna()
        for method in present:
            ratios = np.log2(whole[method] / whole["gp_intercepts"])
            mean, low, high = bootstrap_interval(ratios)
            y = places.setdefault(method, len(places)) + 0.16 * (2 * k - 1)
            style = STYLES[k]
            ax.plot([low, high], [y, y], color=style["color"], linewidth=1.8)
            label = f"{task} ({len(whole)} sets)" if method == present[0] else None
            ax.plot(mean, y, style["marker"], color=style["color"], label=label)
    ax.axvline(0, color=GREY, linewidth=1)
    ax.set_yticks(list(places.values()), [labels[m] for m in places])
    ax.invert_yaxis()
    ticks = [-1, -0.5, 0, 0.5, 1]
    ax.set_xticks(ticks, [f"{2.0**t:.2g}" for t in ticks])
    ax.set(xlabel="error over that of a random-intercept model", title="New groups, 5 known rows")


CLASSES = ("classification", "accuracy", "Small tables: classes")
NUMBERS = ("regression", "error", "Small tables: numbers")
PICTURES = {
    "search": draw_search,
    "classification": lambda ax: draw_small_tables(ax, *CLASSES),
    "regression": lambda ax: draw_small_tables(ax, *NUMBERS),
    "groups": draw_groups,
}


def draw_overview():
    """Draw the picture of README: tuning, small tables and groups side by side."""
    figure, axes = plt.subplots(1, 3, figsize=(13.5, 3.7), layout="constrained")
    for ax, name in zip(axes, ("classification", "groups", "search"), strict=True):
        PICTURES[name](ax)
        ax.legend(frameon=False, fontsize=9)
    axes[1].legend(
        frameon=False, fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.4, -0.16)
    )
    figure.savefig(FIGURES / "summary.svg", metadata={"Date": None}, facecolor="white")
    plt.close(figure)


def main():
    plt.rcParams.update(
        {"font.size": 11, "svg.fonttype": "none", "svg.hashsalt": "skmeta", "axes.grid": True,
         "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False}
    )  # fmt: skip
    for name, draw in PICTURES.items():
        figure, ax = plt.subplots(figsize=(5.6, 3.7), layout="constrained")
        draw(ax)
        if name == "groups":
            figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=10)
        else:
            ax.legend(frameon=False, fontsize=10)
        path = FIGURES / f"summary-{name}.svg"
        figure.savefig(path, metadata={"Date": None}, facecolor="white")
        plt.close(figure)
        print(path.name)
    draw_overview()


if __name__ == "__main__":
    main()
