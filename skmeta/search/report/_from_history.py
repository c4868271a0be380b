"""Summary of a search of a history."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from skmeta.search.record import (
    Configuration,
    Evaluation,
    RecordedSearch,
    SearchRecord,
    Value,
)
from skmeta.search.report._code import code_of_configuration
from skmeta.search.report._summary import CandidateSummary, SearchSummary

__all__ = ["summarise_recorded"]


def summarise_recorded(search: RecordedSearch) -> SearchSummary:
    """Return what a report shows of a search of a history.

    Parameters
    ----------
    search : RecordedSearch

    Returns
    -------
    SearchSummary
    """
    record = search.record
    names = _searched(search)
    labels = _labels(names)
    candidates = [_candidate(evaluation, record, labels) for evaluation in search.evaluations]
    scores = np.array([c.score for c in candidates])
    best = int(np.nanargmax(scores)) if np.isfinite(scores).any() else None
    code = "# The search has no candidate with a score."
    if best is not None:
        configuration = search.evaluations[best].configuration
        code = code_of_configuration({n: configuration[n] for n in names if n in configuration})
    return SearchSummary(
        estimator=_estimator_text(record),
        dataset=record.dataset_label or None,
        metric=record.refit_metric,
        candidates=candidates,
        best=best,
        code=code,
        facts=_facts(search),
        versions=dict(record.versions),
    )


def _estimator_text(record: SearchRecord) -> str:
    if "|" in record.estimator:  # the signature has the first of them only
        return record.estimator.replace("|", " or ")
    return record.signature or record.estimator


def _searched(search: RecordedSearch) -> list[str]:
    """Return the parameters that the search varied, under canonical names."""
    values: dict[str, set[str]] = {}
    for evaluation in search.evaluations:
        for name, value in evaluation.configuration.items():
            values.setdefault(name, set()).add(repr(value))
    # A search over pipelines' steps knows its parameters by other names, so those that vary count.
    return [n for n, found in values.items() if n in search.record.space or len(found) > 1]


def _labels(names: Sequence[str]) -> dict[str, str]:
    """Return the parameters' names without their class, if that is unambiguous."""
    leaves = [name.rpartition(".")[2] for name in names]
    return {
        name: leaf if leaves.count(leaf) == 1 else name
        for name, leaf in zip(names, leaves, strict=True)
    }


def _candidate(
    evaluation: Evaluation, record: SearchRecord, labels: Mapping[str, str]
) -> CandidateSummary:
    metric = record.refit_metric
    folds = evaluation.scores.get(metric, ())
    mean = _mean(folds) * record.metrics.get(metric, 1)
    return CandidateSummary(
        params=_shown(evaluation.configuration, labels),
        score=mean if math.isfinite(mean) else math.nan,
        std=float(np.std(folds)) if len(folds) > 1 else math.nan,
        source=evaluation.source,
        fit_seconds=float(np.sum(evaluation.fit_times)),
        score_seconds=float(np.sum(evaluation.score_times)),
        predicted_mean=evaluation.predicted_mean_score,
        predicted_std=evaluation.predicted_std_score,
        others={name: _mean(v) for name, v in evaluation.scores.items() if name != metric},
        error=evaluation.error,
    )


def _shown(configuration: Configuration, labels: Mapping[str, str]) -> dict[str, Value]:
    return {label: configuration[name] for name, label in labels.items() if name in configuration}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _facts(search: RecordedSearch) -> dict[str, str]:
    record = search.record
    n_folds = max((len(next(iter(e.scores.values()), ())) for e in search.evaluations), default=0)
    facts = {"Candidates": str(len(search.evaluations)), "Folds": str(n_folds)}
    if record.cv:
        facts["Splitter"] = record.cv
    if search.started is not None:
        facts["Started"] = f"{datetime.fromtimestamp(search.started, UTC):%Y-%m-%d %H:%M} UTC"
    facts["Ended"] = "no" if search.finished is None else "yes"
    return facts
