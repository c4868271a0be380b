"""Find, load and describe the priors that ship with the package.

A file holds the prior of one estimator and metric. ``benchmarks/make/search_priors.py`` learned
it, and it is loaded when a search first needs it. ``cards.json`` describes the origin of each
prior. ``datasets.json`` holds, for each data set, the sketch that finds near duplicates and the
features that find similar data sets.
"""

import json
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from skmeta.search.prior._combined import AlgorithmSelectionPrior
from skmeta.search.prior._past_surfaces import PastSurfaces
from skmeta.search.prior._prior import SearchPrior

_FOLDER = Path(__file__).parent / "data"
_CARDS = "cards.json"
_DATASETS = "datasets.json"

# Pattern of a metric -> the most similar metrics, best first; the last line is for all others.
_SUBSTITUTES = (
    ("roc_auc*", ("roc_auc", "neg_log_loss", "accuracy")),
    ("average_precision", ("roc_auc", "neg_log_loss", "balanced_accuracy", "accuracy")),
    ("*log_loss*", ("neg_log_loss", "roc_auc", "accuracy")),
    ("*brier*", ("neg_log_loss", "roc_auc", "accuracy")),
    ("accuracy", ("accuracy",)),
    ("top_k_accuracy", ("accuracy",)),
    ("f1_micro", ("accuracy",)),
    ("neg_mean_absolute*", ("neg_mean_absolute_error", "r2")),
    ("neg_median_absolute*", ("neg_mean_absolute_error", "r2")),
    ("*", ("balanced_accuracy", "r2", "accuracy")),
)


def shipped_priors() -> dict[str, str]:
    """Describe the priors that ship with the package, by the name of their estimator.

    Returns
    -------
    descriptions : dict of str to str
        For each class, such as ``"RandomForestClassifier"``: sources, versions
        and licence. For each metric, the numbers of data sets and configurations, and the regret of
        searches with the prior on held-out data sets. The last line names the data sets.

    Examples
    --------
    >>> print(shipped_priors()["SVC"])  # doctest: +ELLIPSIS
    Prior of SVC...
    """
    return {name: _describe(name, _cards()[name]) for name in sorted(_cards())}


def _describe(estimator: str, card: dict[str, Any]) -> str:
    lines = [
        f"Prior of {estimator}",
        f"  made on {card['date']} with "
        + ", ".join(f"{name} {version}" for name, version in card["versions"].items()),
        f"  licence {card['licence']}; no rows of data are in it",
        *(f"  from {source}" for source in card["sources"]),
    ]
    for metric, figures in card["metrics"].items():
        regret, random = figures["regret at 10"], figures["regret at 10, random search"]
        lines += [
            f"  {metric}: {figures['n_evaluations']:,} configurations on "
            f"{len(figures['datasets'])} data sets",
            f"    regret after 10 evaluations, origin left out: {regret:.3f}; random search "
            f"{random:.3f}, which needs {figures['evaluations random search needs']:.0f} "
            f"for the same (of {figures['evaluations on record']} on record)",
        ]
    names = {name for figures in card["metrics"].values() for name in figures["datasets"]}
    return "\n".join([*lines, f"  data sets: {', '.join(sorted(names))}"])


def load_shipped(estimator: str, metric: str) -> PastSurfaces | None:
    """Load the shipped prior of estimators (joined by ``"|"``) for the most similar metric."""
    return _fitting(frozenset(estimator.split("|")), metric)


@cache
def _fitting(estimators: frozenset[str], metric: str) -> PastSurfaces | None:
    known = sorted(estimators & _cards().keys())
    if len(known) < min(2, len(estimators)):
        return None
    # Scores of several estimators are comparable in one metric only.
    available = set.intersection(*(set(_cards()[name]["metrics"]) for name in known))
    similar = next(names for pattern, names in _SUBSTITUTES if fnmatchcase(metric, pattern))
    chosen = [name for name in (metric, *similar, *sorted(available)) if name in available]
    if not chosen:
        return None
    priors = {name: _load(name, chosen[0]) for name in known}
    return AlgorithmSelectionPrior(priors) if len(estimators) > 1 else priors[known[0]]


@cache
def _load(estimator: str, metric: str) -> SearchPrior:
    path = _FOLDER / _file_name(estimator, metric)
    sketches = {name: about["sketch"] for name, about in _datasets().items()}
    features = {name: about["features"] for name, about in _datasets().items()}
    prior = SearchPrior.load(path).with_datasets(sketches, features)
    card = _cards()[estimator]["metrics"][metric]
    return prior.with_promise_offset(card.get("promise offset", 0.0))


@cache
def _cards() -> dict[str, Any]:
    """Return the card of each estimator."""
    return dict(json.loads((_FOLDER / _CARDS).read_text()))


@cache
def _datasets() -> dict[str, Any]:
    """Return the sketch and the features of each data set."""
    return dict(json.loads((_FOLDER / _DATASETS).read_text()))


def _file_name(estimator: str, metric: str) -> str:
    return f"{estimator}.{metric}.safetensors"
