"""Open the record of a search before its first candidate, and close it after the last."""

import hashlib
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from skmeta._sklearn_compat import is_routing_enabled
from skmeta.search._arguments import Arguments
from skmeta.search._evaluate import Folds, check_same_folds
from skmeta.search._fit_params import FitData
from skmeta.search._priors import Prior, resolve_prior
from skmeta.search._stopping import resolve_racing
from skmeta.search.history import Leases, open_history
from skmeta.search.record import (
    SearchRecord,
    dataset_features,
    features_at_rows,
    fingerprint_data,
    name_at_rows,
)
from skmeta.search.space import canonical_names, predictor_name, signature, stable_repr


@dataclass(frozen=True)
class OpenRecord:
    """The record of a search, open for reading and writing.

    Attributes
    ----------
    history : history or None
        Where candidates are read from and written to.
    search_id : int or None
        The search's number in the history.
    prior : prior or None
        What was learned from the searches that were on record when this one began.
    seed : int
        Determines the candidates.
    is_replayed : bool
        Whether the record has the seed of this very search, so that the same candidates are
        proposed again, in the same order.
    leases : Leases or None
        Leases of this process, if the search is shared with others.
    description : SearchRecord or None
        What the history has of the search besides its candidates; None if nothing needs it.
    """

    history: Any
    search_id: int | None
    prior: Prior | None
    seed: int
    is_replayed: bool
    leases: Leases | None = None
    description: SearchRecord | None = None

    def on_sample(self, n_rows: int) -> "OpenRecord":
        """Open the record of the search on a sample of the rows.

        It is a search of its own, so that later searches learn from it, and is resumed as such.

        Parameters
        ----------
        n_rows : int
        """
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
        search_id = self.history.begin(described)
        leases = None if self.leases is None else self.history.leases(search_id)
        return replace(self, search_id=search_id, prior=prior, leases=leases)


@contextmanager
def open_record(
    search: Any, arguments: Arguments, data: FitData, folds: Folds
) -> Iterator[OpenRecord]:
    """Open the history, find the search in it or enter it, and learn the prior.

    A search that is on record already keeps its seed, and learns only from the searches that were
    on record when it began. So it proposes the same candidates as without the interruption.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        With one estimator.
    arguments : Arguments
    data : FitData
    folds : Folds

    Yields
    ------
    OpenRecord
        A history that this function opened is closed afterwards, also if a later step fails.
    """
    with ExitStack() as opened:
        history = open_history(search.history)
        if history is not None and history is not search.history:
            opened.callback(history.close)
        is_shared = history is not None and history.shared
        if is_shared:
            check_same_folds(folds, data)
        if history is None and (arguments.walks_grid or search.prior is None):
            yield OpenRecord(None, None, None, arguments.seed, False)
            return
        record = _describe(arguments, data)
        if history is not None or search.exclude_same_data:
            record = _describe_data(record, search, arguments, data, folds)
        is_replayed = False
        if history is not None:
            known = history.find(record.fingerprint)
            if known is None and is_shared:
                # If several workers begin at the same time, one enters its seed and position.
                history.begin(replace(record, learned_until=history.position()))
                known = history.find(record.fingerprint)
            if known is None:
                record = replace(record, learned_until=history.position())
            elif known.seed is not None:
                is_replayed = True
                record = replace(record, seed=known.seed, learned_until=known.learned_until)
        prior = None
        if not arguments.walks_grid:
            prior = resolve_prior(
                search.prior, record, history, exclude_same_data=search.exclude_same_data
            )
        search_id = None if history is None else history.begin(record)
        assert record.seed is not None
        leases = None
        if is_shared:
            assert history is not None
            assert search_id is not None
            leases = history.leases(search_id)
        yield OpenRecord(history, search_id, prior, record.seed, is_replayed, leases, record)


def _describe(arguments: Arguments, data: FitData) -> SearchRecord:
    metrics = arguments.metrics
    choices = arguments.space.part_choices(arguments.estimator)
    return SearchRecord(
        fingerprint="",
        estimator=predictor_name(arguments.estimator, choices),
        metrics=dict.fromkeys(metrics.names.values(), 1),
        refit_metric=metrics.refit_metric,
        seed=arguments.seed,
        dataset_features=dataset_features(
            data.X, data.y, is_classification=is_classifier(arguments.estimator)
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
    early = [] if search.early_stopping is None else [stable_repr(search.early_stopping)]
    given = {name: value for name, value in data.given.items() if name != "groups"}
    least = resolve_racing(search.racing)
    parts = (
        digested.digest,
        stable_repr(estimator),
        space.stable_repr(),
        stable_repr([list(map(np.asarray, split)) for split in folds.splits]),
        stable_repr(search.scoring),
        stable_repr(given),
        # Which part asks for what was given.
        *([repr(search.get_metadata_routing())] if given and is_routing_enabled() else []),
        # Racing leaves out scores, so a search with it is not resumed without it.
        *([] if least is None else [f"racing {least!r}"]),
        *early,
    )
    return replace(
        record,
        fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24],
        dataset=search.dataset,
        data_digest=digested.digest,
        data_sketch=digested.sketch,
        signature=signature(estimator),
        space={names.get(name, name): text for name, text in space.describe().items()},
        cv=repr(folds.splitter),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("skmeta", "scikit-learn", "numpy")},
        },
    )
