"""What each mechanism of a search's models buys: searches without it, on recorded scores.

    SKMETA_DATA=... python -m benchmarks.measure.search_ablations

A search chooses among the recorded configurations of a data set (``make/searches.py``). Its prior
leaves out the origin of the data set, and the estimator as given is at latest the fifth candidate.
Data sets are those of the development half (or ``--half report``), one of an origin, by a hash of
its name; no fit is run. Regret is the distance to the best configuration over that of the median;
scores further below the median than twice that distance count as that. For each mechanism that is
off, mean regrets are printed, and in how many standard errors they differ from those with all
mechanisms, pair by pair. ``misled`` has past scores with their signs changed: a mechanism may be
worth its lines there only. Two lines say what is left to gain: random order, and the order by what
a Gaussian process predicts of each candidate from the scores of all others.
"""

import hashlib
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.lib.origins import origin, same_origin
from benchmarks.lib.recorded import open_history
from benchmarks.lib.resumable import read_options
from benchmarks.make import search_priors
from benchmarks.make.searches_at_sizes import make_any
from benchmarks.measure.search_tables import random_regret
from skmeta.search.prior import _shipped, load_shipped
from skmeta.search.space import Encoding, canonical_configurations, relative_configuration
from skmeta.search.surrogate import SearchStrategy, _models, _strategy, winsorize_scores
from skmeta.search.surrogate._gp import fit_kernel, group_distances, matern, scale_columns

HISTORY = Path(__file__).parents[1] / "results" / "searches.parquet"
CLASSIFIERS = {
    "LogisticRegression": "roc_auc",
    "LinearSVC": "balanced_accuracy",
    "KNeighborsClassifier": "balanced_accuracy",
    "DecisionTreeClassifier": "accuracy",
    "SVC": "balanced_accuracy",
    "RandomForestClassifier": "roc_auc",
    "HistGradientBoostingClassifier": "balanced_accuracy",
    "MLPClassifier": "accuracy",
}
REGRESSORS = ("ElasticNet", "Lasso", "Ridge", "KNeighborsRegressor", "DecisionTreeRegressor")
REGRESSORS += ("SVR", "ExtraTreesRegressor", "HistGradientBoostingRegressor")
PAIRS = (CLASSIFIERS | dict.fromkeys(REGRESSORS, "r2")).items()
N_SETS, GIVEN_AT, SHOWN = 14, 5, (1, 3, 5, 10, 20)
# Mechanism -> module, name of the constant and the value that switches it off.
OFF = {
    "all mechanisms": (),
    "costs of rounds and leaves": (_strategy, "log_cost", lambda configuration: 0.0),
    "second design candidate": (_strategy, "_N_INITIAL", 1),
    "models without the past's mean": (_models, "_LOG_WEIGHT_WITHOUT_MEAN", -1e3),
    "models with the past's mean": (_models, "_LOG_WEIGHT_WITHOUT_MEAN", 1e3),
    "several remainders": (_strategy, "_REMAINDERS", (0.2,)),
    "the model without the past": (_strategy, "_PLAIN_LOG_WEIGHT", -1e3),
    "the models of the past": (_strategy, "_PLAIN_LOG_WEIGHT", 1e3),
    "floor of past surfaces": (_models, "_FLOOR", -1e9),
    "resemblance of data sets": (),
    "prior": (),
}
RANDOM, OTHERS_KNOWN = "random order", "order by all other scores"


def main():
    halves = "development", "report"
    options = read_options(
        __doc__, mechanisms=[*OFF, RANDOM, OTHERS_KNOWN], misled=False, half=halves
    )
    # Those of the shipped priors are the same, and computing them takes minutes.
    known = {name: about["features"] for name, about in _shipped._datasets().items()}
    search_priors.features = lambda dataset, is_classification: known.get(dataset, {})
    cells = find_cells(options.half)
    priors = [conditioned(*cell[:2], options.misled) for cell in cells]
    whole = None
    for name in dict.fromkeys(["all mechanisms", *options.mechanisms]):
        used = priors
        if name == "resemblance of data sets":
            used = [prior.conditioned_on({}) for prior in priors]
        elif name == "prior":
            used = [None] * len(priors)
        if name == RANDOM:
            curves = np.array([expected(scores) for _, _, scores, _ in cells])
        elif name == OTHERS_KNOWN:
            curves = np.array(
                [curve(scores, rank(search, scores)) for _, search, scores, _ in cells]
            )
        else:
            with patch.object(*OFF[name]) if OFF[name] else patch.dict({}):
                curves = np.array([play(*cell, p) for cell, p in zip(cells, used, strict=True)])
        whole = curves if whole is None else whole
        difference = curves - whole
        error = difference.std(0) / np.sqrt(len(curves))
        steps = difference.mean(0) / np.maximum(error, 1e-12)
        regrets, in_errors = (
            " ".join(form.format(values[k - 1]) for k in SHOWN)
            for form, values in (("{:.3f}", curves.mean(0)), ("{:+.1f}", steps))
        )
        print(f"{name:32}{len(curves):4} searches, regret {regrets}; {in_errors}", flush=True)


def find_cells(half):
    """Return estimator and search, scores, and the position of the estimator as given."""
    history, cells = open_history(str(HISTORY)), []
    for name, metric in PAIRS:
        one_an_origin = {
            origin(s.dataset): s for s in search_priors.own_searches(history, name, metric)
        }
        chosen = [s for key, s in one_an_origin.items() if half_of(key) == half][:N_SETS]
        defaults = relative_configuration(canonical_configurations(make_any(name), [{}])[0], 1.0)
        for search in chosen:
            scores = winsorize_scores(np.array(search.scores, dtype=float), search_priors.BOUND)
            given = [
                k
                for k, one in enumerate(search.configurations)
                if all(repr(value) == repr(defaults.get(key, value)) for key, value in one.items())
            ]
            if len(given) == 1 and scores.max() > np.median(scores) and len(scores) > max(SHOWN):
                cells.append((name, search, scores, given[0]))
    return cells


def half_of(key):
    return ("development", "report")[hashlib.sha256(key.encode()).digest()[0] % 2]


def conditioned(name, search, is_misled):
    """Return the shipped prior without the origin of a search, as it is for its data set."""
    prior = load_shipped(name, search.metric).without(datasets=same_origin(search.dataset))
    prior = prior.conditioned_on(search.dataset_features)
    if not is_misled:
        return prior
    signs = {name: -prior._tensors[name] for name in ("weights", "offsets")}
    arguments = prior._encoding, prior._tasks, prior._tensors | signs
    return type(prior)(*arguments, prior.task_weights, prior.distance)


def play(name, search, scores, given, prior):
    """Return the regret after each candidate of a search among the recorded configurations."""
    rng, rows = np.random.default_rng(0), []
    strategy = SearchStrategy(search.configurations, prior, rng=rng, given=given)
    while len(rows) < max(SHOWN):
        is_due = given not in rows and len(rows) == GIVEN_AT - 1
        rows.append(given if is_due else strategy.ask()[0].index)
        strategy.tell(rows[-1:], scores[rows[-1:]])
    return curve(scores, rows)


def curve(scores, rows):
    best = np.maximum.accumulate(scores[rows])
    return (scores.max() - best) / (scores.max() - np.median(scores))


def expected(scores):
    """Return the expected regrets of random order."""
    unit = np.ptp(scores) / (scores.max() - np.median(scores))
    return unit * random_regret(scores)[: max(SHOWN)]


def rank(search, scores):
    """Return the first rows by leave-one-out means (Rasmussen and Williams, 2006, eq. 5.12)."""
    encoding = Encoding.from_configurations(search.configurations)
    X, groups = encoding.transform(search.configurations), encoding.groups
    y, n_groups = (scores - scores.mean()) / scores.std(), int(groups.max()) + 1
    theta = fit_kernel([group_distances(X, groups, n_groups)], [y])
    Z = scale_columns(X, groups, np.exp(theta[:n_groups]))
    amplitude, noise = np.exp(theta[n_groups:])
    inverse = np.linalg.inv(amplitude * matern(Z, Z) + noise * np.eye(len(y)))
    return np.argsort(inverse @ y / inverse.diagonal() - y)[: max(SHOWN)]


if __name__ == "__main__":
    main()
