"""The record of a search: opened before the first candidate, read, written, and learned from."""

import hashlib
import os
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier

from skmeta._identity import identify
from skmeta._sklearn_compat import is_routing_enabled
from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryError, HistoryWarning, PriorError
from skmeta.search._arguments import Arguments, Search
from skmeta.search._evaluate import FitData, Folds, Stage, check_same_folds
from skmeta.search._metrics import NUMBERS_OF_FOLDS
from skmeta.search._trials import FoldRace, Trial
from skmeta.search.history import VARIABLE, Leases, SearchHistory
from skmeta.search.prior import PastSurfaces, SearchPrior, join, load_shipped
from skmeta.search.record import (
    CandidateRecord,
    SearchRecord,
    dataset_features,
    features_at_rows,
    fingerprint_data,
    identify_data,
    name_at_rows,
)
from skmeta.search.space import CandidateDescriber, canonical_names, predictor_name, signature

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

    history: SearchHistory | None
    prior: PastSurfaces | None  # learned from the searches on record when this one began
    seed: int
    is_replayed: bool = False  # the record has this seed: the same candidates in order
    leases: Leases | None = None
    description: SearchRecord | None = None  # None if nothing needs it

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the search; empty if nothing is known of it."""
        return "" if self.description is None else self.description.fingerprint

    def on_sample(self, n_rows: int) -> "OpenRecord":
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
        fingerprint = self.history.begin(described)
        leases = None if self.leases is None else self.history.leases(fingerprint)
        return replace(self, prior=prior, leases=leases, description=described)


def open_record(search: Search, stage: Stage) -> OpenRecord:
    """Open the history, find the search of one estimator in it or enter it, and learn the prior.

    A resumed search keeps its seed and the past searches that it began with, so it goes on as
    before.
    """
    arguments, data, folds = stage.arguments, stage.data, stage.folds
    history = open_history(search.history)
    if history is not None and history.shared:
        check_same_folds(folds, data)
    if history is None and (arguments.walks_grid or search.prior is None):
        return OpenRecord(None, None, arguments.seed)
    record = describe_search(arguments, data.X, data.y)
    unseen: tuple[str, ...] = ()
    if history is not None or search.exclude_same_data:
        record, unseen = _describe_data(record, search, arguments, data, folds)
    seed, is_replayed = arguments.seed, False
    if history is not None:
        if unseen and not history.resume_unseen:
            record = _as_new(record, history, unseen)
        known = history.find(record.fingerprint)
        if known is None:
            record = replace(record, learned_until=history.position())
            if history.shared:
                # If several workers begin at the same time, one enters its seed and position.
                history.begin(record)
                known = history.find(record.fingerprint)
        if known is not None and known.seed is not None:
            seed, is_replayed = known.seed, True
            record = replace(record, seed=seed, learned_until=known.learned_until)
    given = None if arguments.walks_grid else search.prior
    prior = resolve_prior(given, record, history, exclude_same_data=search.exclude_same_data)
    leases = None
    if history is not None:
        history.begin(record)
        leases = history.leases(record.fingerprint) if history.shared else None
    return OpenRecord(history, prior, seed, is_replayed, leases, record)


def _as_new(record: SearchRecord, history: SearchHistory, unseen: tuple[str, ...]) -> SearchRecord:
    """Return a search that resumes no other; warn if one on record looks the same."""
    more = f" (and {len(unseen) - 1} more)" if len(unseen) > 1 else ""
    advice = "If it does not change, pass SearchHistory(..., resume_unseen=True)."
    if history.shared:
        raise HistoryError(
            "Workers of a shared search must know that they run the same one, but scores may "
            f"depend on what skmeta does not see: {unseen[0]}{more}. {advice}"
        )
    if history.find(record.fingerprint) is None:
        return record
    warn_caller(
        "The history has a search that looks the same as this one, but its scores may depend on "
        f"what skmeta does not see: {unseen[0]}{more}. So all candidates are evaluated again, and "
        f"the record counts as a past search. {advice}",
        HistoryWarning,
    )
    return replace(record, fingerprint=secrets.token_hex(12))


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
    record: SearchRecord, search: Search, arguments: Arguments, data: FitData, folds: Folds
) -> tuple[SearchRecord, tuple[str, ...]]:
    """Add the fields that are computed from the data; return also what is not seen."""
    estimator, space = arguments.estimator, arguments.space
    digested = fingerprint_data(data.X, data.y)
    names = canonical_names(estimator)
    given = dict(data.given)
    least = FoldRace(search.racing).min_probability
    data_digest, unseen_data = identify_data(digested.digest, data.X, data.y)
    search_identity = identify(
        estimator, space.spaces, search.scoring, dict(sorted(given.items())), search.early_stopping
    )
    parts = (
        data_digest,
        search_identity.text,
        search_identity.versions,
        # Whether transformers return data frames.
        repr(get_config().get("transform_output")),
        folds.text,
        # Which part asks for what was given.
        *([repr(search.get_metadata_routing())] if given and is_routing_enabled() else []),
        # Racing leaves out scores, so a search with it is not resumed without it.
        *([] if least is None else [f"racing {least!r}"]),
    )
    text = "\n".join(parts).encode("utf-8", "backslashreplace")
    described = replace(
        record,
        fingerprint=hashlib.sha256(text).hexdigest()[:24],
        dataset=search.dataset,
        data_digest=digested.digest,
        data_sketch=digested.sketch,
        signature=signature(estimator),
        space={names.get(name, name): text for name, text in space.describe().items()},
        cv=repr(folds.splitter),
    )
    return described, (*unseen_data, *search_identity.unseen)


# -- candidates ------------------------------------------------------------------------------------


class TrialRecord:
    """The trials of one search in a history, which must have train scores if they are returned."""

    def __init__(self, stage: Stage, history: SearchHistory | None, fingerprint: str) -> None:
        self._history, self._fingerprint = history, fingerprint
        self._space, self._metrics = stage.arguments.space, stage.arguments.metrics
        self._describe = CandidateDescriber(stage.arguments.estimator)
        self._stage = stage
        self._with_train_scores = stage.search.return_train_score
        self._known: dict[str, CandidateRecord] = {}
        self._unwritten: list[CandidateRecord] = []
        # Failed fits are kept back until one succeeds. If all fail, as without memory, the same
        # search evaluates them again. Workers of a shared search wait for each.
        self._may_write = history is not None and history.shared
        self._has_warned = False

    def read(self, keys: Collection[str] | None = None) -> None:
        """Read finished candidates, all or those of some keys."""
        if self._history is not None:
            candidates = self._history.candidates(self._fingerprint, keys)
            self._known |= {one.key: one for one in candidates if self._is_usable(one)}
            self._may_write |= any(one.error is None for one in self._known.values())

    def restore(self, trial: Trial) -> None:
        """Give a trial the results that are on record for it, if there are any."""
        known = self._known.get(trial.key)
        if known is None:
            return
        if not np.isnan(known.predicted_mean_score):
            trial.predicted_mean = known.predicted_mean_score
            trial.predicted_std = known.predicted_std_score
        n_folds = len(known.fit_times)
        trial.outputs = {fold: self._metrics.output_of(known, fold) for fold in range(n_folds)}
        if not self._with_train_scores:
            for output in trial.outputs.values():
                output.pop("train_scores", None)
        self._stage.finish(trial, n_folds)
        trial.is_on_record = True

    def others(self, trials: Iterable[Trial]) -> list[Trial]:
        """Return the candidates on record that are not among some trials, in order."""
        proposed = {trial.key for trial in trials}
        unknown = [one for key, one in self._known.items() if key not in proposed]
        others = [trial for trial in map(self.decode, unknown) if trial is not None]
        for trial in others:
            self.restore(trial)
        return others

    def decode(self, candidate: CandidateRecord) -> Trial | None:
        """Return the trial of a candidate, without results; None if the space has none."""
        params = self._space.decode(candidate.params)
        if params is None:
            return None
        predicted = candidate.predicted_mean_score, candidate.predicted_std_score
        trial = Trial(params, candidate.source, *predicted)
        return trial if trial.key == candidate.key else None

    def _is_usable(self, candidate: CandidateRecord) -> bool:
        n_folds = len(candidate.fit_times)
        n_splits = len(self._stage.folds.splits)
        return (1 if self._stage.race.is_on else n_splits) <= n_folds <= n_splits and (
            bool(candidate.train_scores) or not self._with_train_scores
        )

    def write(self, trial: Trial | None = None) -> None:
        """Write a finished trial, and those that could not be written before."""
        if self._history is None:
            return
        if trial is not None:
            self._unwritten.append(self.encode(trial))
            self._may_write |= self._unwritten[-1].error is None
        if not self._unwritten or not self._may_write:
            return
        try:
            self._history.record(self._fingerprint, *self._unwritten)
            self._unwritten.clear()
        except Exception as error:  # a failing history must not end the search
            if self._history.shared:
                raise
            if not self._has_warned:
                self._has_warned = True
                warn_caller(
                    f"The history could not be written: {error} The search continues, and tries "
                    "again after the next candidate. Candidates that are not on record are "
                    "evaluated again if the search is run again.",
                    HistoryWarning,
                )

    def encode(self, trial: Trial) -> CandidateRecord:
        """Return what the history keeps of a trial."""
        outputs = trial.results
        errors = [str(o["fit_error"]) for o in outputs if o.get("fit_error") is not None]
        trained = self._metrics.by_name(outputs, "train_scores") if self._with_train_scores else {}
        return CandidateRecord(
            configuration=self._describe([trial.params])[0],
            key=trial.key,
            params=self._space.encode(trial.params),
            scores=self._metrics.by_name(outputs, "test_scores"),
            train_scores=trained,
            error=errors[0].strip().splitlines()[-1] if errors else None,
            source=trial.source,
            predicted_mean_score=trial.predicted_mean,
            predicted_std_score=trial.predicted_std,
            **{
                name: tuple(output[key] for output in outputs if key in output)
                for name, key in NUMBERS_OF_FOLDS.items()
            },
        )


# -- the prior -------------------------------------------------------------------------------------


def resolve_prior(
    given: Any, record: SearchRecord, history: SearchHistory | None, *, exclude_same_data: bool
) -> PastSurfaces | None:
    """Return the prior of a search, None if nothing is known; raise for one of other estimators."""
    past: PastSurfaces | None = given
    if isinstance(given, str):
        own = _learn(history, record) if history is not None and given != "shipped" else None
        ships = given != "history"
        past = join(own, load_shipped(record.estimator, record.refit_metric) if ships else None)
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


def _learn(history: SearchHistory, record: SearchRecord) -> PastSurfaces | None:
    try:
        searches = history.searches(
            estimator=record.estimator,
            metric=record.refit_metric,
            exclude=record.fingerprint,
            until=record.learned_until,
            limit=_MAX_SEARCHES,
        )
        return SearchPrior.from_searches(searches)
    except Exception as error:  # a failing history must not end the search
        warn_caller(
            f"No prior could be learned from the history: {error} The search continues without it.",
            HistoryWarning,
        )
        return None
