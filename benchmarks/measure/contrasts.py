"""Whether 95 % intervals of contrasts hold the truth, in simulated trials.

    python -m benchmarks.measure.contrasts --seeds 60 --minutes 30

Each trial has four columns, a treatment of two levels and groups that differ in the intercept and,
where groups have rows of both levels, in the effect. The right model is the mixed model with the
columns that made the data, and no others. Lines have

``held``    whether the intervals of the difference and of the ratio hold the truth
``right``   the same of the right model
``width``   widths of the intervals of the difference, of both
``groups``  of every tenth trial: the share of intervals of single groups that hold their difference
"""

import itertools
import time

import numpy as np
from scipy.special import expit

from benchmarks.lib.resumable import RESULTS, run_or_summarize
from skmeta._mixed import Classes, NegativeBinomial, Normal
from skmeta._reporting._effect import TreatmentRows, averaged, fit_effect

PATH = RESULTS / "contrasts.jsonl.gz"
SCENARIOS = "linear", "interactions", "confounded", "non-linear", "by group"
KINDS = {"counts": NegativeBinomial(), "real": Normal(), "classes": Classes(2)}
SIZES = {8: 24, 20: 16, 100: 8}  # rows by number of groups
EFFECT, INTERCEPT_STD, EFFECT_STD = 0.5, 0.5, 0.2
BLOCK, EVERY = 10, 10  # draws
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)


def draw(scenario, kind, n_groups, rng):
    """Return a sample, columns that made it, its products, the true means, and those of groups."""
    size = SIZES[n_groups]
    groups = np.repeat(np.arange(n_groups), size)
    W = rng.normal(size=(len(groups), 4))
    chance = np.full(len(W), 0.5)
    if scenario in ("confounded", "non-linear"):
        chance = expit(W[:, :2] @ ([1.0, 0.5] if scenario == "confounded" else [0.5, 0.0]))
    treated = (rng.random(len(W)) < chance) * 1.0
    if scenario == "by group":
        treated = (rng.permutation(n_groups) < n_groups // 2)[groups] * 1.0
    slopes, made, products = np.full(len(W), EFFECT), W[:, :2], ()
    base = 0.5 * W[:, 0] - 0.3 * W[:, 1]
    if scenario == "non-linear":
        made = np.column_stack([np.sin(2 * W[:, 0]), np.abs(W[:, 1])])
        base = made @ [0.7, 0.5]
    if scenario == "interactions":
        slopes, products = slopes + 0.4 * W[:, 0], ((0, 1),)
    effect_std = 0.0 if scenario == "by group" else EFFECT_STD
    own = rng.normal(size=(n_groups, 2)) * [INTERCEPT_STD, effect_std]

    def mean(at, nodes, effects):
        eta = base + slopes * at + nodes + effects * (at - 0.5)
        return {"real": eta, "counts": np.exp(eta), "classes": expit(eta)}[kind]

    y = mean(treated, *own[groups].T)
    if kind == "real":
        y = y + rng.normal(size=len(W))
    else:
        y = rng.poisson(y) if kind == "counts" else (rng.random(len(W)) < y).astype(int)
    # Over groups, a sum of two normal deviations is one.
    spread = np.hypot(INTERCEPT_STD, effect_std / 2)
    parts = zip(_NODES * spread, _WEIGHTS / _WEIGHTS.sum(), strict=True)
    truth = sum(w * np.array([mean(at, node, 0.0).mean() for at in (1, 0)]) for node, w in parts)
    of_groups = [np.bincount(groups, mean(at, *own[groups].T)) / size for at in (1, 0)]
    rest = (np.ones(len(W)), groups[:, None], np.zeros(len(W)))
    samples = (TreatmentRows(treated[:, None], columns, y, *rest) for columns in (W, made))
    return *samples, products, truth, np.stack(of_groups, 1)


def run(cell):
    """Return the line of a trial."""
    scenario, kind, n_groups, k = cell
    places = SCENARIOS.index(scenario), list(KINDS).index(kind)
    rng = np.random.default_rng([0, k, n_groups, *places])
    sample, right, products, (a, b), of_groups = draw(scenario, kind, n_groups, rng)
    start = time.process_time()
    found = fit_effect(sample, KINDS[kind])
    one = found.compare(*ends(found, sample))
    seconds = time.process_time() - start
    best = fit_effect(right, KINDS[kind], products)
    other = best.compare(*ends(best, right))
    odds = (a / (1 - a)) / (b / (1 - b)) if kind == "classes" else a / b
    ratio = np.log(max(odds, 1e-300))  # Real numbers have none.
    held = []
    for estimate in (one, other):
        (low, high), (r_low, r_high) = (part.interval() for part in estimate)
        both = low <= a - b <= high, r_low <= ratio <= r_high
        held.append([int(inside) for inside in both[: 1 + (kind != "real")]])
    line = {"cell": cell, "held": held[0], "right": held[1]}
    line["width"] = [round(float(np.ptp(part[0].interval())), 4) for part in (one, other)]
    line["seconds"] = round(seconds, 2)
    if len(found.model.columns[0]) > 1 and k % EVERY == 0:
        line["groups"] = round(float(np.mean(list(of_each(found, sample, of_groups)))), 3)
    return line


def ends(found, sample):
    """Return the columns of rows that are all treated, and of rows that are not."""
    return found.rows(np.array([[1.0], [0.0]]), sample.others, sample.codes)


def of_each(found, sample, of_groups):
    """Yield whether the interval of each group holds."""
    (weights, models), (to, versus) = found.by_group(0), ends(found, sample)
    for code, (a, b) in enumerate(of_groups):
        rows = sample.codes[:, 0] == code
        parts = to[rows], versus[rows], np.array([code])
        low, high = averaged(weights, [model.compare(*parts)[0] for model in models]).interval()
        yield low <= a - b <= high


def cells(seeds):
    """Yield the trials: a few of all settings, then more."""
    for first in seeds[::BLOCK]:
        for n_groups, kind, scenario in itertools.product(SIZES, KINDS, SCENARIOS):
            for k in range(first, min(first + BLOCK, seeds.stop)):
                yield scenario, kind, n_groups, k


def summarize(lines):
    """Return figures by kind and trial, and by kind and number of groups."""
    parts = {}
    for (scenario, kind, n_groups, _), line in lines.items():
        for of in (scenario, f"{n_groups} groups"):
            parts.setdefault((kind, of), []).append(line)
    order = [*SCENARIOS, *(f"{n_groups} groups" for n_groups in SIZES)]
    keys = sorted(parts, key=lambda key: (key[0], order.index(key[1])))
    return {", ".join(key): figures(parts[key]) for key in keys}


def figures(lines):
    """Return the figures of trials of one setting."""
    ours, right = np.transpose([line["width"] for line in lines])
    found = {"trials": len(lines)}
    for name in ("held", "right"):
        found[name] = np.mean([line[name] for line in lines], 0).round(3).tolist()
    found["width"] = round(np.median(ours / right), 2)
    groups = [line["groups"] for line in lines if "groups" in line]
    found["groups"] = round(np.mean(groups), 3) if groups else None
    return found


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, PATH)
