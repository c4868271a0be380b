"""The priors of LightGBM, XGBoost and CatBoost on data sets whose origin they leave out.

    SKMETA_DATA=... python benchmarks/boosting_priors.py results/boosting_searches.parquet

Searches on the recorded configurations of each set, those with early stopping and those with a
fixed number of rounds by themselves: the regret after 1, 3, 5 and 10 evaluations, over the
distance from the median to the best configuration (as far as there are more configurations than
evaluations), with the prior that is learned from the other
origins, without a prior (mean of three seeds), and of random search (exact). Intervals are of the
ratio with prior to without, by bootstrap over sets. For XGBoost and CatBoost there are two more
priors: one from searches of LightGBM with translated parameters (``boosting_transfer.py``), and
one from both kinds of searches. Written to ``results/boosting_priors.json``.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from boosting_transfer import source_of, transfer
from make_boosting_searches import BOOSTERS, EARLY
from make_search_priors import METRICS, open_history, own_searches
from origins import same_origin
from search_tables import random_regret
from tqdm import tqdm

from skmeta.search import SearchPrior, SearchStrategy

RESULTS = Path(__file__).parent / "results" / "boosting_priors.json"
AFTER = (1, 3, 5, 10)
N_SEEDS = 3
MIN_SETS = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("history")
    parser.add_argument("--estimators", nargs="*", default=[*BOOSTERS])
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with open_history(options.history) as history:
        for name in tqdm(options.estimators):
            for metric in METRICS:
                searches = own_searches(history, name, metric)
                if len(searches) >= MIN_SETS:
                    found |= compare(name, metric, searches, translated(history, name, metric))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def translated(history, name, metric):
    """Return searches of LightGBM that serve an estimator of another package."""
    source = source_of(name)
    return [] if source is None else transfer(name, own_searches(history, source, metric))


def compare(name, metric, searches, others):
    """Return regrets of one estimator and metric, by the kind of configurations."""
    priors = {"prior": searches}
    if others:
        priors |= {"prior of LightGBM": others, "prior of both": [*searches, *others]}
    priors = {key: SearchPrior.from_searches(past) for key, past in priors.items()}
    rounds = f"{name}.{'iterations' if 'Cat' in name else 'n_estimators'}"
    regrets = {"early stopping": [], "fixed rounds": []}
    # Each configuration is on record twice.
    n_kept = min(len(search.configurations) // 2 for search in searches)
    after = [n for n in AFTER if n < n_kept]
    for search in searches:
        names = same_origin(search.dataset)
        left = [prior.without(datasets=names) for prior in priors.values()]
        left = [prior.conditioned_on(search.dataset_features) for prior in left]
        for kind, rows in regrets.items():
            kept = [
                k
                for k, c in enumerate(search.configurations)
                if (c[rounds] == EARLY) == (kind == "early stopping")
                and np.isfinite(search.scores[k])
            ]
            scores = np.array(search.scores, dtype=float)[kept]
            spread = scores.max() - np.median(scores)
            if len(kept) < max(after) or spread < 1e-9:
                continue
            configurations = [search.configurations[k] for k in kept]
            regret = scores.max() - scores
            n = max(after)
            plain = [run(configurations, scores, None, seed, n) for seed in range(N_SEEDS)]
            by_method = [
                *(regret[run(configurations, scores, prior, 0, n)] for prior in left),
                np.mean([regret[one] for one in plain], axis=0),
            ]
            random = random_regret(scores)[:n] * np.ptp(scores)
            rows.append([np.array([*by_method, random])[:, k - 1] / spread for k in after])
    return {
        f"{name}, {metric}, {kind}": summarise(np.array(rows), [*priors, "plain", "random"], after)
        for kind, rows in regrets.items()
        if rows
    }


def run(configurations, scores, prior, seed, n):
    """Return, for each number of evaluations, which configuration is the best so far."""
    strategy = SearchStrategy(configurations, prior, rng=np.random.default_rng(seed))
    best = []
    for _ in range(n):
        index = strategy.ask()[0].index
        strategy.tell([index], [scores[index]])
        best.append(index if not best or scores[index] > scores[best[-1]] else best[-1])
    return best


def summarise(rows, methods, after):
    """Return mean regrets of arrays of shape (n_sets, n_after, n_methods)."""
    drawn = np.random.default_rng(0).integers(len(rows), size=(2000, len(rows)))
    plain = methods.index("plain")
    summary = {"sets": len(rows)}
    for position, n in enumerate(after):
        means = rows[:, position].mean(0)
        samples = rows[drawn, position].mean(1)
        found = dict(zip(methods, means.round(3).tolist(), strict=True))
        for method in range(plain):
            # Some samples have no regret.
            ratios = samples[:, method] / np.maximum(samples[:, plain], 1e-9)
            name = methods[method]
            found[f"{name} to plain"] = round(float(means[method] / means[plain]), 3)
            interval = np.percentile(ratios, [2.5, 97.5]).round(3).tolist()
            found["interval" if method == 0 else f"interval, {name}"] = interval
        summary[f"after {n}"] = found
    return summary


if __name__ == "__main__":
    main()
