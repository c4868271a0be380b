"""What a sample says of more rows: recorded searches at several sizes, replayed.

    SKMETA_DATA=... python -m benchmarks.measure.search_samples

``make/searches_at_sizes.py`` has scored the same configurations on 1,000 rows of a table and on
more. A search tries five of them on 1,000 rows, carries that over, and goes on among all of them on
more rows; the others begin there. ``prior`` is the one that ships, without the origin of the table.
Regret is the distance from the best configuration, as a share of the range of scores, where scores
further below the median than twice the best one's distance from it count as that. Two
constants of ``skmeta/search/prior/_combined.py`` were chosen on the first 56 pairs that were
on record.
"""

from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.lib.large_tables import RECORDED, load_table
from benchmarks.lib.origins import ROWS, SIZES, same_origin
from benchmarks.lib.recorded import open_history, short_key
from benchmarks.lib.resumable import read_options, report
from benchmarks.make.searches_at_sizes import MAX_TEST_ROWS
from benchmarks.measure.search_tables import tried_rows
from skmeta.search.prior import carry_over, load_shipped
from skmeta.search.record import dataset_features, features_at_rows
from skmeta.search.space import relative_configuration
from skmeta.search.surrogate import winsorize_scores

RESULTS = Path(__file__).parents[1] / "results"
FEW, N_SAMPLED, N_WHOLE, MIN_KEYS = 1_000, 5, 10, 15
SHOWN = (1, 3, 5, 10)
BOUND = 2.0
METRICS = ("neg_log_loss", "r2", "accuracy")
N_BOOTSTRAP = 1000


def main():
    options = read_options(__doc__, history=RESULTS / "searches_at_sizes.parquet")
    replayed = [replay(*pair) for pair in tqdm(list(pairs(options.history)))]
    report(summarise([one for one in replayed if one is not None]), RESULTS / "search_samples.json")


def pairs(path):
    """Yield estimator, table, rows, configurations, and their scores on few and on more rows."""
    by_table = defaultdict(dict)
    with open_history(path) as history:
        for one in history:
            name = one.record.dataset
            n_rows = int(ROWS.search(name)[0][2:].split()[0])
            metric = next(metric for metric in METRICS if metric in one.record.metrics)
            scores = {c.key: (c.configuration, np.mean(c.scores[metric])) for c in one.candidates}
            by_table[one.record.estimator, ROWS.sub("", name), metric][n_rows] = scores
    for (estimator, name, metric), sizes in by_table.items():
        for n_rows in SIZES:
            if n_rows > FEW and FEW in sizes and n_rows in sizes:
                keys = [key for key in sizes[FEW] if key in sizes[n_rows]]
                if len(keys) >= MIN_KEYS:
                    few, many = ([sizes[n][key][1] for key in keys] for n in (FEW, n_rows))
                    tried = [sizes[n_rows][key][0] for key in keys]
                    given = keys.index(short_key({}))
                    scores = np.array(few), np.array(many)
                    yield estimator, name, metric, n_rows, tried, *scores, given


@cache
def facts(name):
    """Return the features of a table, and the deviation of its targets."""
    [table] = [one for one in RECORDED if one.name == name]
    X, y = load_table(table, SIZES[-1] * 2 // 3 + MAX_TEST_ROWS)
    scale = 1.0 if table.is_classification else float(np.std(y))
    return dataset_features(X, y, is_classification=table.is_classification), scale


def replay(estimator, name, metric, n_rows, tried, few, many, given):
    """Return the candidates that each search tries on more rows, in their order."""
    prior = load_shipped(estimator, metric)
    if prior is None or np.ptp(many) < 1e-9:
        return None
    features, scale = facts(name)
    tried = [relative_configuration(one, scale) for one in tried]
    prior = prior.without(datasets=same_origin(name))
    on_few, on_many = (prior.conditioned_on(features_at_rows(features, n)) for n in (FEW, n_rows))
    orders = {}
    for label, before, after in (("prior", on_few, on_many), ("no prior", None, None)):
        sampled = tried_rows(tried, few, before, N_SAMPLED)
        carried = carry_over(after, [tried[k] for k in sampled], few[sampled])
        orders[f"{label}, sample"] = tried_rows(tried, many, carried, N_WHOLE)
        orders[label] = tried_rows(tried, many, after, N_WHOLE)
    return {"table": name, "rows": n_rows, "scores": many, "given": given, "orders": orders}


def summarise(replayed):
    summary = {
        "pairs": len(replayed),
        "tables": len({one["table"] for one in replayed}),
        "after": SHOWN,
    }
    curves = {}
    for label in replayed[0]["orders"]:
        curves[label] = np.array([regret(one["scores"], one["orders"][label]) for one in replayed])
        firsts = [(one["scores"], one["orders"][label][0], one["given"]) for one in replayed]
        at_least = [s[k] >= s[given] for s, k, given in firsts]
        summary[label] = {
            "regret": curves[label].mean(0).round(3).tolist(),
            "first at least as good as given": round(float(np.mean(at_least)), 3),
        }
    both, prior = curves["prior, sample"], curves["prior"]
    ratios = [
        both[rows].mean(0) / np.maximum(prior[rows].mean(0), 1e-9)
        for rows in resamples([one["table"] for one in replayed])
    ]
    summary["prior, sample over prior"] = {
        "ratio": (both.mean(0) / prior.mean(0)).round(2).tolist(),
        "interval": np.percentile(ratios, [2.5, 97.5], axis=0).T.round(2).tolist(),
    }
    return summary


def regret(scores, order):
    scores = winsorize_scores(scores, BOUND)
    best = np.maximum.accumulate(scores[order])
    return (scores.max() - best[[min(k, len(best)) - 1 for k in SHOWN]]) / np.ptp(scores)


def resamples(tables):
    """Yield rows of tables that are drawn with replacement."""
    rng, names = np.random.default_rng(0), np.unique(tables)
    rows = {name: np.flatnonzero(np.array(tables) == name) for name in names}
    for _ in range(N_BOOTSTRAP):
        yield np.concatenate([rows[name] for name in rng.choice(names, len(names))])


if __name__ == "__main__":
    main()
