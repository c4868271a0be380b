"""Whether 95 % intervals of contrasts hold the truth beside a non-linear confounder.

    python -m benchmarks.measure.confounders --seeds 200

One function of a column decides the treatment and the outcome, and the treatment has no effect.
Two more columns are noise. Tables have no groups, 10 groups with rows of both levels, or 20, 40 or
80 groups, of two rows or more, that are treated as a whole by a column of the group. The right
model is the mixed model with the function as its only column. Lines have whether the interval of
the difference holds 0, and its width, of ``contrast`` and of the right model.
"""

import itertools

import numpy as np
from scipy.special import expit

from benchmarks.lib.resumable import RESULTS, group_lines, run_or_summarize
from benchmarks.measure.contrasts import KINDS, ends
from skmeta._reporting._effect import TreatmentRows, fit_effect

PATH = RESULTS / "confounders.jsonl.gz"
SHAPES = {
    "straight": lambda w: 1.5 * w,
    "step": lambda w: 2.0 * (w > 0),
    "later step": lambda w: 2.0 * (w > 0.43),
    "absolute value": lambda w: 1.5 * np.abs(w),
    "square": lambda w: w**2,
}
N_GROUPS = {"no groups": 1, "10 groups": 10}
N_GROUPS |= {f"{n} treated groups": n for n in (20, 40, 80)}
SIZES = {"real": (40, 80, 160), "counts": (160,), "classes": (160,)}
NOISE, INTERCEPT_STD = 0.5, 0.5


def draw(shape, groups, kind, n, rng):
    """Return a sample, and one that has the confounding function as its only column."""
    of_group = np.arange(n) % N_GROUPS[groups]
    W = rng.normal(size=(n, 3))
    is_whole = "treated" in groups
    if is_whole:
        W[:, 0] = W[of_group, 0]
    f = SHAPES[shape](W[:, 0])
    n_units = N_GROUPS[groups] if is_whole else n  # the first rows are of different groups
    treated = np.zeros(n_units)
    while not 1 < treated.sum() < n_units - 1:
        treated = (rng.random(n_units) < expit(2 * (f - np.median(f)))[:n_units]) * 1.0
    treated = treated[of_group] if is_whole else treated
    own = INTERCEPT_STD * (len(np.unique(of_group)) > 1) * rng.normal(size=n)[of_group]
    if kind == "real":
        y = f + own + NOISE * rng.normal(size=n)
    else:
        eta = own + (f / 2 if kind == "counts" else f - np.median(f))
        y = rng.poisson(np.exp(eta)) if kind == "counts" else (rng.random(n) < expit(eta)) * 1
    rest = y, np.ones(n), of_group[:, None], np.zeros(n)
    return TreatmentRows(treated[:, None], W, *rest), TreatmentRows(
        treated[:, None], f[:, None], *rest
    )


def run(cell):
    """Return the line of a trial."""
    shape, groups, kind, n, seed = cell
    rng = np.random.default_rng([seed, n, *f"{shape} {groups} {kind}".encode()])
    sample, right = draw(shape, groups, kind, n, rng)
    fits = (fit_effect(sample, KINDS[kind]), sample), (fit_effect(right, KINDS[kind], ()), right)
    bounds = [found.compare(*ends(found, given))[0].interval() for found, given in fits]
    return {
        "cell": cell,
        "held": [int(low <= 0 <= high) for low, high in bounds],
        "width": [round(high - low, 4) for low, high in bounds],
    }


def cells(seeds):
    """Yield the trials."""
    for kind, sizes in SIZES.items():
        for seed, n, groups, shape in itertools.product(seeds, sizes, N_GROUPS, SHAPES):
            if n >= 2 * N_GROUPS[groups]:
                yield shape, groups, kind, n, seed


def summarize(lines):
    """Return figures by setting."""
    settings = group_lines(lines, lambda cell: ", ".join(map(str, cell[:-1])))
    return {setting: figures(own) for setting, own in settings.items()}


def figures(lines):
    """Return the figures of trials of one setting."""
    ours, right = np.transpose([line["width"] for line in lines])
    return {
        "trials": len(lines),
        "held": np.mean([line["held"] for line in lines], 0).round(3).tolist(),
        "width": round(float(np.median(ours / right)), 2),
    }


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, PATH)
