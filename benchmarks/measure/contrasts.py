"""Whether 95 % intervals of contrasts hold the truth, in simulated trials.

    python -m benchmarks.measure.contrasts --draws 40

Each trial has four columns, a treatment of two levels and groups that differ in the intercept and,
where groups have rows of both levels, in the effect. `width` is over that of the mixed model with
the columns that made the data, and no others.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from scipy.special import expit

from skmeta.mixed import Classes, NegativeBinomial
from skmeta.reporting._effect import Sample, fit_effect

SCENARIOS = "linear", "interactions", "confounded", "non-linear", "by group"
KINDS = {"real": None, "counts": NegativeBinomial(), "classes": Classes(2)}
SIZES = {8: 24, 20: 16, 100: 8}  # rows by number of groups
EFFECT, INTERCEPT_STD, EFFECT_STD = 0.5, 0.5, 0.2
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)


def draw(scenario, kind, n_groups, rng):
    """Return a sample, columns that made it, its products, and the true contrast."""
    size = SIZES[n_groups]
    groups = np.repeat(np.arange(n_groups), size)
    W = rng.normal(size=(len(groups), 4))
    chance = np.full(len(W), 0.5)
    if scenario == "confounded":
        chance = expit(W[:, 0] + 0.5 * W[:, 1])
    if scenario == "non-linear":
        chance = expit(0.5 * W[:, 0])
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
    truth = sum(
        w * np.array([mean(at, node, 0.0).mean() for at in (1.0, 0.0)]) for node, w in parts
    )
    rest = (np.ones(len(W)), groups[:, None], np.zeros(len(W)))
    return (
        Sample(treated[:, None], W, y, *rest),
        Sample(treated[:, None], made, y, *rest),
        products,
        truth,
    )


def measure(scenario, kind, n_groups, n_draws, seed=0):
    """Return the shares of intervals that hold, and the widths over the right model's."""
    held, right_held, ratios, wide, seconds = [], [], [], [], 0.0
    for k in range(n_draws):
        rng = np.random.default_rng([seed, k, n_groups, SCENARIOS.index(scenario)])
        sample, right, products, (a, b) = draw(scenario, kind, n_groups, rng)
        start = time.process_time()
        found = fit_effect(sample, KINDS[kind])
        one = found.compare(np.ones(1), np.zeros(1), sample.others, found.extra)[0]
        seconds += time.process_time() - start
        best = fit_effect(right, KINDS[kind], products)
        other = best.compare(np.ones(1), np.zeros(1), right.others, best.extra)[0]
        ratio = np.log(a / b) if kind != "classes" else np.log(a / (1 - a)) - np.log(b / (1 - b))
        for estimate, store in ((one, held), (other, right_held)):
            (low, high), (r_low, r_high) = (part.interval() for part in estimate)
            holds = [low <= a - b <= high]
            store.append([*holds, *([r_low <= ratio <= r_high] if kind != "real" else [])])
        widths = [np.ptp(part[0].interval()) for part in (one, other)]
        ratios.append(widths)
        wide.append(len(found.learned) + len(found.design.products))
    mean_widths = np.median(ratios, 0)
    return (
        np.mean(held, 0),
        np.mean(right_held, 0),
        mean_widths[0] / mean_widths[1],
        np.mean(wide),
        seconds / n_draws,
    )


def main():
    """Print a line per setting."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--groups", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--scenarios", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("target,trial,groups,difference,ratio,right difference,right ratio,width,columns,seconds")
    for kind in given.kinds:
        for scenario in given.scenarios:
            for n_groups in given.groups:
                held, right, width, wide, s = measure(
                    scenario, kind, n_groups, given.draws, given.seed
                )
                held, right = (
                    ",".join(f"{x:.3f}" for x in np.append(one, [np.nan])[:2])
                    for one in (held, right)
                )
                print(f"{kind},{scenario},{n_groups},{held},{right},{width:.2f},{wide:.1f},{s:.2f}")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
