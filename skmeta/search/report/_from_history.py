"""Summary of a search of a history."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from skmeta.search.record import Configuration, RecordedSearch, SearchRecord
from skmeta.search.report._code import code_of_configuration
from skmeta.search.report._summary import SearchSummary

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
    candidates = [
        replace(one, configuration=_shown(one.configuration, labels)) for one in search.candidates
    ]
    metric = record.refit_metric
    summary = SearchSummary(
        estimator=_estimator_text(record),
        dataset=record.dataset_label or None,
        metric=metric,
        score_key=metric,
        sign=record.metrics.get(metric, 1),
        candidates=candidates,
        best=None,
        code="# The search has no candidate with a score.",
        facts=_facts(search),
        versions=dict(record.versions),
    )
    if not np.isfinite(summary.scores).any():
        return summary
    best = int(np.nanargmax(summary.scores))
    configuration = search.candidates[best].configuration
    code = code_of_configuration({n: configuration[n] for n in names if n in configuration})
    return replace(summary, best=best, code=code)


def _estimator_text(record: SearchRecord) -> str:
    if "|" in record.estimator:  # the signature has the first of them only
        return record.estimator.replace("|", " or ")
    return record.signature or record.estimator


def _searched(search: RecordedSearch) -> list[str]:
    """Return the parameters that the search varied, under canonical names."""
    values: dict[str, set[str]] = {}
    for candidate in search.candidates:
        for name, value in candidate.configuration.items():
            values.setdefault(name, set()).add(repr(value))
    # A search over pipelines' steps knows its parameters by other names, so those that vary count.
    return [n for n, own in values.items() if n in search.record.space or len(own) > 1]


def _labels(names: Sequence[str]) -> dict[str, str]:
    """Return the parameters' names without their class, if that is unambiguous."""
    leaves = [name.rpartition(".")[2] for name in names]
    return {
        name: leaf if leaves.count(leaf) == 1 else name
        for name, leaf in zip(names, leaves, strict=True)
    }


def _shown(configuration: Configuration, labels: Mapping[str, str]) -> Configuration:
    return {label: configuration[name] for name, label in labels.items() if name in configuration}


def _facts(search: RecordedSearch) -> dict[str, str]:
    record = search.record
    n_folds = max((len(next(iter(e.scores.values()), ())) for e in search.candidates), default=0)
    facts = {"Candidates": str(len(search.candidates)), "Folds": str(n_folds)}
    if record.cv:
        facts["Splitter"] = record.cv
    if search.started is not None:
        facts["Started"] = f"{datetime.fromtimestamp(search.started, UTC):%Y-%m-%d %H:%M} UTC"
    facts["Ended"] = "no" if search.finished is None else "yes"
    return facts
