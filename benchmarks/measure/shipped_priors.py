"""Every shipped prior against none, on recorded searches whose origin it leaves out: no fit is run.

    SKMETA_DATA=... python -m benchmarks.measure.shipped_priors

A search chooses among the recorded configurations of a data set, with the prior that is learned
from other origins and conditioned on the data set, and without a prior. Boosting's
configurations with early stopping and those with a fixed number of rounds are searched by
themselves. Of other estimators, at most 24 data sets are searched, spread evenly over their names.
Regret is the distance to the best configuration over that of the median; scores further below the
median than twice that distance count as that. What random search is expected to reach is exact.
Intervals are of the ratio of mean regrets, by bootstrap over data sets.
``results/shipped_priors.json`` has the figures of each estimator and metric, and what is there is
not run again. A prior that is behind none beyond noise does not ship.
"""

import json

import numpy as np
from tqdm import tqdm

from benchmarks.lib.intervals import ratio_interval
from benchmarks.lib.origins import same_origin
from benchmarks.lib.resumable import RESULTS, read_options, read_records
from benchmarks.make.boosting_searches import BOOSTERS, EARLY, ROUNDS
from benchmarks.make.search_priors import BOUND, best_so_far, history_of, own_searches, read_cards
from benchmarks.measure.search_tables import random_regret
from skmeta.search.prior import load_shipped
from skmeta.search.surrogate import winsorize_scores

PATH = RESULTS / "shipped_priors.json"
AFTER = (1, 3, 5, 10)
MAX_SETS = 24  # of an estimator; more of boosting, whose priors have fewer
METHODS = ("with", "without", "random")


def main():
    options = read_options(__doc__, estimators=[])
    figures = read_records(PATH)
    pairs = [(name, metric) for name, card in read_cards()[0].items() for metric in card["metrics"]]
    pairs = [one for one in pairs if not options.estimators or one[0] in options.estimators]
    for name, metric in tqdm(pairs):
        if any(key.startswith(f"{name}, {metric}") for key in figures):
            continue
        searches = own_searches(history_of(name in BOOSTERS, at_sizes=False), name, metric)
        if name not in BOOSTERS:
            searches = searches[:: -(-len(searches) // MAX_SETS)]
        figures |= compare(name, metric, searches)
        PATH.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(summarise(figures), indent=1))


def compare(name, metric, searches):
    """Return regrets of one estimator and metric; of boosting, by the kind of configurations."""
    prior = load_shipped(name, metric)
    rounds = f"{name}.{ROUNDS[BOOSTERS[name][0]][0]}" if name in BOOSTERS else ""
    kinds = {", early stopping": [], ", fixed rounds": []} if name in BOOSTERS else {"": []}
    for search in searches:
        left = prior.without(datasets=same_origin(search.dataset))
        left = left.conditioned_on(search.dataset_features)
        for kind, rows in kinds.items():
            kept = [
                k
                for k, one in enumerate(search.configurations)
                if not kind or (one.get(rounds) == EARLY) == (kind == ", early stopping")
            ]
            scores = winsorize_scores(np.array(search.scores, dtype=float)[kept], BOUND)
            spread = scores.max() - np.median(scores)
            if len(kept) <= max(AFTER) or spread < 1e-9:
                continue
            tried = [search.configurations[k] for k in kept]
            best = [best_so_far(tried, scores, p, max(AFTER)) for p in (left, None)]
            regrets = [*(scores.max() - best), random_regret(scores) * np.ptp(scores)]
            rows.append([[regret[k - 1] / spread for k in AFTER] for regret in regrets])
    return {f"{name}, {metric}{kind}": describe(np.array(rows)) for kind, rows in kinds.items()}


def describe(regrets):
    """Return mean regrets and their ratio, of an array of shape (n_sets, n_methods, n_after)."""
    summary = {"sets": len(regrets), "after": list(AFTER)}
    summary |= dict(zip(METHODS, regrets.mean(0).round(3).tolist(), strict=True))
    ratio, *interval = ratio_interval(regrets[:, 0], regrets[:, 1], 1e-6)  # where none is left
    summary["with over without"] = ratio.round(2).tolist()
    return summary | {"interval": np.transpose(interval).round(2).tolist()}


def summarise(figures):
    """Return where a prior is behind none, and the geometric mean of all ratios."""
    ratios = np.array([one["with over without"] for one in figures.values()])
    return {
        "figures": ratios.size,
        "geometric mean": np.exp(np.log(np.maximum(ratios, 0.01)).mean(0)).round(3).tolist(),
        "behind none": {
            f"{key}, after {n}": (one["with over without"][k], one["interval"][k])
            for key, one in figures.items()
            for k, n in enumerate(AFTER)
            if one["with over without"][k] > 1
        },
    }


if __name__ == "__main__":
    main()
