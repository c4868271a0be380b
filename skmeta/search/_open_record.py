"""The record of a search: opened before the first candidate, read, written, and learned from."""

import hashlib
import os
import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier

from skmeta._columns import frame_columns
from skmeta._sklearn_compat import printed
from skmeta._warnings import warn_caller
from skmeta.exceptions import FileFormatError, HistoryError, PriorError, SearchWarning
from skmeta.search._arguments import Arguments, Search
from skmeta.search._evaluate import FitData, Folds, Stage, check_same_folds
from skmeta.search._metrics import NUMBERS_OF_FOLDS
from skmeta.search._trials import Trial
from skmeta.search.history import SearchHistory, row_to_recorded
from skmeta.search.prior import PastSurfaces, SearchPrior, join, load_shipped
from skmeta.search.record import (
    CandidateRecord,
    SearchRecord,
    are_siblings,
    dataset_features,
    fingerprint_data,
    share_rows,
)
from skmeta.search.space import (
    CandidateDescriber,
    canonical_names,
    is_estimator,
    is_list_of_parts,
    predictor_name,
    signature,
)

if TYPE_CHECKING:
    from skmeta.search.history import Leases

# Most past searches of a history that a prior is learned from.
_MAX_SEARCHES = 150
# Halves of one table are searched within this time, as in nested cross-validation with two folds.
_SECONDS_OF_SIBLINGS = 2 * 24 * 3600.0
# Parameters of estimators that may change while a search has a name.
_NO_EFFECT = {"memory", "n_jobs", "verbose"}


def open_history(given: SearchHistory | str | os.PathLike[str] | None) -> SearchHistory | None:
    """Open the history that the parameter of a search means; None if it means none."""
    return given if given is None or isinstance(given, SearchHistory) else SearchHistory(given)


@dataclass(frozen=True)
class OpenRecord:
    """The record of a search, open for reading and writing."""

    history: SearchHistory | None
    prior: PastSurfaces | None  # learned from the searches on record when this one began
    seed: int
    is_replayed: bool = False  # the record has this seed: the same candidates in order
    leases: "Leases | None" = None
    description: SearchRecord | None = None  # None if nothing needs it

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the search; empty if nothing is known of it."""
        return "" if self.description is None else self.description.fingerprint


def open_record(search: Search, stage: Stage) -> OpenRecord:
    """Open the history, find the search of one estimator in it or enter it, and learn the prior.

    A resumed search keeps its seed and the past searches that it began with, so it goes on as
    before.
    """
    arguments, data, folds = stage.arguments, stage.data, stage.folds
    history = open_history(search.history)
    if history is not None and history.mode == "share":
        check_same_folds(folds, data)
    if history is None and (arguments.walks_grid or search.prior is None):
        return OpenRecord(None, None, arguments.seed)
    record, started = describe_search(arguments, data.X, data.y), time.time()
    digest, sketch, columns = fingerprint_data(data.X, data.y)
    record = replace(record, data_digest=digest, data_sketch=sketch, data_columns=columns)
    is_replayed = False
    if history is not None:
        record = _describe(record, search, arguments, data, folds)
        known = None if search.name is None else history._find(record.fingerprint)
        if known is None:
            record = replace(record, learned_until=history._position())
            if history.mode == "share":
                # If several workers begin at the same time, one enters its seed and position.
                history._begin(record)
                known = history._find(record.fingerprint)
        if known is not None:
            _check_same(known.record, record)
            is_replayed, started = True, known.started
            learned_until = known.record.learned_until
            record = replace(record, seed=known.record.seed, learned_until=learned_until)
    given = None if arguments.walks_grid else search.prior
    prior = resolve_prior(
        given, record, history, started, learn_from_same_data=search.learn_from_same_data
    )
    leases = None
    if history is not None:
        history._begin(record)
        leases = history._leases(record.fingerprint) if history.mode == "share" else None
    assert record.seed is not None
    return OpenRecord(history, prior, record.seed, is_replayed, leases, record)


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


def _describe(
    record: SearchRecord, search: Search, arguments: Arguments, data: FitData, folds: Folds
) -> SearchRecord:
    """Add what a history keeps of a search."""
    estimator, space = arguments.estimator, arguments.space
    names = canonical_names(estimator)
    settings, fingerprint = {}, secrets.token_hex(12)
    if search.name is not None:
        settings = _settings(search, arguments, data, folds, record.data_digest)
        fingerprint = _digest(f"named {search.name}")
    return replace(
        record,
        fingerprint=fingerprint,
        dataset=search.name,
        settings=settings,
        signature=signature(estimator),
        space={names.get(name, name): text for name, text in space.describe().items()},
        cv=repr(folds.splitter),
    )


def _settings(
    search: Search, arguments: Arguments, data: FitData, folds: Folds, data_digest: str
) -> dict[str, str]:
    """Return digests of what must not change while a search has a name."""
    params = arguments.estimator.get_params(deep=True)
    texts = {
        # Data that can be neither compared nor pickled are not known to be the same.
        "X and y": data_digest or secrets.token_hex(),
        "the columns of X": [(str(c.name), str(c.dtype)) for c in frame_columns(data.X) or ()],
        **{name: fingerprint_data(given).digest for name, given in data.given.items()},
        "the folds": folds.digest,
        "the metrics": [*arguments.metrics.names.items()],
        "racing": search.racing,
        "the search space": arguments.space.text(),
        "the parts of the estimator": signature(arguments.estimator),
        **{
            f"{name} of the estimator": printed(value)
            for name, value in params.items()
            if not (is_estimator(value) or is_list_of_parts(value))
            and name.rpartition("__")[2] not in _NO_EFFECT
        },
    }
    return {name: _digest(str(text)) for name, text in texts.items()}


def _check_same(known: SearchRecord, record: SearchRecord) -> None:
    """Raise if the search on record under a name is another one."""
    names = [*{**known.settings, **record.settings}]
    differing = [n for n in names if known.settings.get(n) != record.settings.get(n)]
    if differing:
        raise HistoryError(
            f"The history has another search under the name {record.dataset!r}. It differs in "
            f"{', '.join(differing)}. Give this search another name, or delete the one on record "
            f"with SearchHistory(...).remove({record.dataset!r})."
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]


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
        self._may_write = history is not None and history.mode == "share"
        self._has_warned = False

    def read(self, keys: Collection[str] | None = None) -> None:
        """Read finished candidates, all or those of some keys."""
        if self._history is not None:
            candidates = self._history._candidates(self._fingerprint, keys)
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
        trial = Trial(params, self._space.key(params), candidate.source, *predicted)
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
            self._history._record(self._fingerprint, *self._unwritten)
            self._unwritten.clear()
        except Exception as error:  # a failing history must not end the search
            if self._history.mode == "share":
                raise
            if not self._has_warned:
                self._has_warned = True
                warn_caller(
                    f"The history could not be written: {error} The search continues, and tries "
                    "again after the next candidate. Candidates that are not on record are "
                    "evaluated again if the search is run again.",
                    SearchWarning,
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
    given: Any,
    record: SearchRecord,
    history: SearchHistory | None,
    started: float = 0.0,
    *,
    learn_from_same_data: bool,
) -> PastSurfaces | None:
    """Return the prior of a search, None if nothing is known; raise for one of other estimators."""
    past: PastSurfaces | None = given
    if isinstance(given, str):
        own = None
        if history is not None and given != "shipped":
            own = _learn(history, record, started, learn_from_same_data)
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
    if past and not learn_from_same_data:
        past = past.without(data_digests=[record.data_digest], data_sketch=record.data_sketch)
    return past.conditioned_on(record.dataset_features) if past else None


def _learn(
    history: SearchHistory, record: SearchRecord, started: float, learn_from_same_data: bool
) -> PastSurfaces | None:
    """Learn from the latest searches on record, those on the same data or parts of it left out."""

    def is_kept(row: dict[str, Any]) -> bool:
        if row["fingerprint"] == record.fingerprint:
            return False
        if learn_from_same_data:
            return True
        try:
            known = row_to_recorded(row)
        except FileFormatError:  # a warning names it when it is read
            return True
        is_near = abs(known.started - started) < _SECONDS_OF_SIBLINGS
        past = known.record
        return not (
            (past.data_digest and past.data_digest == record.data_digest)
            or share_rows(past.data_sketch, record.data_sketch)
            or (is_near and are_siblings(past.data_columns, record.data_columns))
        )

    try:
        searches = history._past_searches(
            [record.estimator], record.refit_metric, is_kept, record.learned_until, _MAX_SEARCHES
        )
        return SearchPrior.from_searches(searches)
    except Exception as error:  # a failing history must not end the search
        warn_caller(
            f"No prior could be learned from the history: {error} The search continues without it.",
            SearchWarning,
        )
        return None
