"""Open the record of a search, and learn from the past, before its first candidate."""

import hashlib
import os
import sys
from dataclasses import dataclass, replace
from typing import Any

from sklearn import get_config
from sklearn.base import is_classifier

from skmeta._sklearn_compat import is_routing_enabled
from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryWarning, PriorError
from skmeta.search._arguments import Arguments
from skmeta.search._evaluate import FitData, Folds, Stage, check_same_folds
from skmeta.search._trial_record import TrialRecord, find_disagreement
from skmeta.search._trials import FoldRace
from skmeta.search.history import VARIABLE, Leases, SearchHistory
from skmeta.search.prior import PastSurfaces, SearchPrior, join, load_shipped
from skmeta.search.record import (
    SearchRecord,
    dataset_features,
    features_at_rows,
    fingerprint_data,
    identify_data,
    name_at_rows,
)
from skmeta.search.space import (
    canonical_names,
    is_estimator,
    predictor_name,
    signature,
    stable_repr,
)

# Most past searches of a history that a prior is learned from.
_MAX_SEARCHES = 150


def open_history(
    given: SearchHistory | str | os.PathLike[str] | bool | None,
) -> SearchHistory | None:
    """Open the history that the parameter of a search means; None if it means none."""
    if given is None:
        given = os.environ.get(VARIABLE) or False
    if isinstance(given, bool):
        return None
    return given if isinstance(given, SearchHistory) else SearchHistory(given)


@dataclass(frozen=True)
class OpenRecord:
    """The record of a search, open for reading and writing."""

    history: Any
    prior: PastSurfaces | None  # learned from the searches on record when this one began
    seed: int
    is_replayed: bool = False  # the record has this seed: the same candidates in order
    is_verified: bool = False  # whether scores on record were evaluated again
    leases: Leases | None = None
    description: SearchRecord | None = None  # None if nothing needs it

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the search; empty if nothing is known of it."""
        return "" if self.description is None else self.description.fingerprint

    def on_sample(self, n_rows: int, stage: Stage) -> "OpenRecord":
        """Open the record on a sample of the rows: a search of its own, which can resume."""
        known = self.description
        if known is None:
            return self
        features = features_at_rows(known.dataset_features, n_rows)
        prior = None if self.prior is None else self.prior.conditioned_on(features)
        if self.history is None:
            return replace(self, prior=prior)
        text = f"{known.fingerprint} {n_rows} rows"
        described = replace(
            known,
            fingerprint=hashlib.sha256(text.encode()).hexdigest()[:24],
            dataset=name_at_rows(known.dataset_label, n_rows),
            dataset_features=features,
        )
        if not self.is_verified:
            described, _, _ = _find_record(self.history, described, stage)
        fingerprint = self.history.begin(described)
        leases = None if self.leases is None else self.history.leases(fingerprint)
        return replace(self, prior=prior, leases=leases, description=described)


def open_record(search: Any, stage: Stage) -> OpenRecord:
    """Open the history, find the search of one estimator in it or enter it, and learn the prior.

    A resumed search keeps its seed and the past searches that it began with, so it goes on as
    before.
    """
    arguments, data, folds = stage.arguments, stage.data, stage.folds
    history: Any = open_history(search.history)
    is_shared = history is not None and history.shared
    if is_shared:
        check_same_folds(folds, data)
    if history is None and (arguments.walks_grid or search.prior is None):
        return OpenRecord(None, None, arguments.seed)
    record = describe_search(arguments, data.X, data.y)
    if history is not None or search.exclude_same_data:
        record = _describe_data(record, search, arguments, data, folds)
    seed, is_replayed, is_verified = arguments.seed, False, False
    if history is not None:
        record, known, is_verified = _find_record(history, record, stage)
        if known is None:
            record = replace(record, learned_until=history.position())
            if is_shared:
                # If several workers begin at the same time, one enters its seed and position.
                history.begin(record)
                known = history.find(record.fingerprint)
        if known is not None and known.seed is not None:
            seed, is_replayed = known.seed, True
            record = replace(record, seed=seed, learned_until=known.learned_until)
    given = None if arguments.walks_grid else search.prior
    prior = resolve_prior(given, record, history, exclude_same_data=search.exclude_same_data)
    if history is not None:
        history.begin(record)
    leases = history.leases(record.fingerprint) if is_shared else None
    return OpenRecord(history, prior, seed, is_replayed, is_verified, leases, record)


def _find_record(
    history: Any, record: SearchRecord, stage: Stage
) -> tuple[SearchRecord, SearchRecord | None, bool]:
    """Return a search as to be recorded, as on record (None if new), and whether it was verified.

    If the scores on record are wrong now, it begins anew, with a fingerprint derived from its own.
    """

    def version(n: int) -> SearchRecord:
        text = f"{record.fingerprint} {n}"
        named = hashlib.sha256(text.encode()).hexdigest()[:24] if n else record.fingerprint
        return replace(record, fingerprint=named)

    known = history.find(record.fingerprint)
    if not history.verify:
        return record, known, False
    n, latest = 0, known
    while latest is not None and (latest := history.find(version(n + 1).fingerprint)) is not None:
        n, known = n + 1, latest
    found = TrialRecord(stage, history, version(n).fingerprint)
    found.read()
    trials = found.others([])
    if not trials or (history.shared and history.leases(version(n).fingerprint).read().running):
        return version(n), known, False
    difference = find_disagreement(stage, trials)
    if difference is None:
        return version(n), known, True
    warn_caller(
        f"The history has a search that looks the same as this one, but {difference}. Nothing of "
        "it is resumed; it counts as a past search. What has changed is nothing that skmeta sees, "
        "such as a file that is read, or the record was altered. To resume it all the same, pass "
        "SearchHistory(..., verify=False).",
        HistoryWarning,
    )
    return version(n + 1), None, True


def describe_search(arguments: Arguments, X: Any, y: Any) -> SearchRecord:
    """Return what is on record of a search without a history."""
    metrics = arguments.metrics
    choices = arguments.space.part_choices(arguments.estimator)
    return SearchRecord(
        fingerprint="",
        estimator=predictor_name(arguments.estimator, choices),
        metrics=dict.fromkeys(metrics.names.values(), 1),
        refit_metric=metrics.refit_metric,
        seed=arguments.seed,
        dataset_features=dataset_features(
            X, y, is_classification=is_classifier(arguments.estimator)
        ),
        target_scale=arguments.target_scale,
    )


def _describe_data(
    record: SearchRecord, search: Any, arguments: Arguments, data: FitData, folds: Folds
) -> SearchRecord:
    """Add the fields that are computed from the data."""
    estimator, space = arguments.estimator, arguments.space
    digested = fingerprint_data(data.X, data.y)
    names = canonical_names(estimator)
    given = dict(data.given)
    least = FoldRace(search.racing).min_probability
    parts = (
        identify_data(digested.digest, data.X, data.y),
        *_versions(estimator, space.spaces),
        # Whether transformers return data frames.
        repr(get_config().get("transform_output")),
        stable_repr(estimator),
        stable_repr(space.spaces),
        folds.text,
        stable_repr(search.scoring),
        stable_repr(given),
        # Which part asks for what was given.
        *([repr(search.get_metadata_routing())] if given and is_routing_enabled() else []),
        # Racing leaves out scores, so a search with it is not resumed without it.
        *([] if least is None else [f"racing {least!r}"]),
        *([] if search.early_stopping is None else [stable_repr(search.early_stopping)]),
    )
    text = "\n".join(parts).encode("utf-8", "backslashreplace")
    return replace(
        record,
        fingerprint=hashlib.sha256(text).hexdigest()[:24],
        dataset=search.dataset,
        data_digest=digested.digest,
        data_sketch=digested.sketch,
        signature=signature(estimator),
        space={names.get(name, name): text for name, text in space.describe().items()},
        cv=repr(folds.splitter),
    )


def _versions(estimator: Any, spaces: Any) -> list[str]:
    """Return the versions of the packages that an estimator and the values of a space are from."""
    chosen = [
        v for space in spaces for s in space.values() for v in ([] if hasattr(s, "rvs") else s)
    ]
    values = [estimator, *chosen]
    values += [v for e in values if is_estimator(e) for v in e.get_params(deep=True).values()]
    names = {type(value).__module__.partition(".")[0] for value in values}
    known = {name: getattr(sys.modules.get(name), "__version__", None) for name in sorted(names)}
    return [f"{name} {version}" for name, version in known.items() if version is not None]


# -- the prior -------------------------------------------------------------------------------------


def resolve_prior(
    given: Any, record: SearchRecord, history: Any, *, exclude_same_data: bool
) -> PastSurfaces | None:
    """Return the prior of a search, None if nothing is known; raise for one of other estimators."""
    past: PastSurfaces | None = given
    if isinstance(given, str):
        learns, ships = given != "shipped" and history is not None, given != "history"
        past = join(
            _learn(history, record) if learns else None,
            load_shipped(record.estimator, record.refit_metric) if ships else None,
        )
    elif past is not None:
        wanted = set(record.estimator.split("|"))
        learned = {name for text in past.estimators for name in text.split("|") if name}
        if learned and learned.isdisjoint(wanted):
            theirs, ours = (" or ".join(sorted(names)) for names in (learned, wanted))
            raise PriorError(
                f"prior was learned from searches of {theirs}, but this search is of {ours}. Pass "
                f"a prior of {ours}, or prior='auto'."
            )
    if past and exclude_same_data:
        past = past.without(data_digests=[record.data_digest], data_sketch=record.data_sketch)
    return past.conditioned_on(record.dataset_features) if past else None


def _learn(history: Any, record: SearchRecord) -> PastSurfaces | None:
    try:
        searches = history.searches(
            estimator=record.estimator,
            metric=record.refit_metric,
            exclude=record.fingerprint,
            until=record.learned_until,
            limit=_MAX_SEARCHES,
            like=record.dataset_features,
        )
        return SearchPrior.from_searches(searches)
    except Exception as error:  # a failing history must not end the search
        warn_caller(
            f"No prior could be learned from the history: {error} The search continues without it.",
            HistoryWarning,
        )
        return None
