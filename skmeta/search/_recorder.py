"""Which candidates of a running search are finished, and what the clock says."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from skmeta.exceptions import HistoryWarning
from skmeta.search._metrics import Metrics
from skmeta.search._streaming import Cell, Output
from skmeta.search.record import Evaluation
from skmeta.search.space import Candidate, SearchSpace, candidate_key, canonical_configurations

__all__ = ["BudgetSpent", "Ledger"]


class BudgetSpent(Exception):
    """Raised among the results to end a search whose time is over."""


class Ledger:
    """Which candidates are finished, here and in the history.

    Parameters
    ----------
    estimator : estimator
    space : SearchSpace
    metrics : Metrics
    n_splits : int
    history : history or None
        Where each candidate is written when its last fold is there.
    search_id : int or None
        The search's number in the history.
    deadline : float or None
        In seconds of `time.monotonic`; when it is over, `observe` raises `BudgetSpent`.
    bar : tqdm
    """

    def __init__(
        self,
        *,
        estimator: Any,
        space: SearchSpace,
        metrics: Metrics,
        n_splits: int,
        history: Any,
        search_id: Any,
        deadline: float | None,
        bar: tqdm,
    ) -> None:
        self.outputs: dict[Cell, Output] = {}
        self.sources: dict[str, str] = {}
        self._estimator = estimator
        self._space = space
        self._metrics = metrics
        self._n_splits = n_splits
        self._history = history
        self._search_id = search_id
        self._deadline = deadline
        self._bar = bar
        self._warned = False
        self._best = -np.inf
        self._finished: dict[str, float] = {}  # key -> mean seconds of a fit

    def recall(self, with_train_scores: bool) -> list[Candidate]:
        """Return the candidates that this very search finished before, in order."""
        if self._history is None:
            return []
        known: list[Candidate] = []
        for evaluation in self._history.evaluations(self._search_id):
            candidate = self._space.decode(evaluation.params)
            usable = (
                candidate is not None
                and candidate_key(candidate) == evaluation.key
                and len(evaluation.fit_times) == self._n_splits
                and len(evaluation.n_test_samples) == self._n_splits
                and (evaluation.train_scores or not with_train_scores)
            )
            if candidate is None or not usable:
                continue
            for fold in range(self._n_splits):
                output = self._metrics.output_of(evaluation, fold)
                if not with_train_scores:
                    output.pop("train_scores", None)
                self.outputs[evaluation.key, fold] = output
            self.sources[evaluation.key] = evaluation.source
            known.append(candidate)
        return known

    def is_finished(self, candidate: Candidate) -> bool:
        """Whether every fold of a candidate has been evaluated."""
        key = candidate_key(candidate)
        return all((key, fold) in self.outputs for fold in range(self._n_splits))

    def finish(self) -> None:
        """Note in the history that the search came to its end."""
        if self._history is not None:
            self._write(self._history.finish)

    def score(self, candidate: Candidate) -> float:
        """Return what the search maximises, of a finished candidate; NaN where a fit failed."""
        return self._mean_score(self._folds(candidate_key(candidate)))

    def observe(self, cell: Cell, params: Mapping[str, Any], output: Output) -> None:
        """Take note of one result; write the candidate down when it was the last fold's."""
        self.outputs[cell] = output
        candidate = dict(params)
        if self.is_finished(candidate):
            self._note(candidate, cell[0])
        if self._deadline is not None and self._finished:
            # The refit takes about as long as the fit of a fold, and belongs to the budget.
            reserve = float(np.median(list(self._finished.values())))
            if time.monotonic() + reserve > self._deadline:
                raise BudgetSpent

    def advance(self, candidates: Sequence[Candidate]) -> None:
        """Move the bar over candidates that were answered from the record."""
        for candidate in candidates:
            self._show(self._folds(candidate_key(candidate)))

    def _folds(self, key: str) -> list[Output]:
        return [self.outputs[key, fold] for fold in range(self._n_splits)]

    def _note(self, candidate: Candidate, key: str) -> None:
        folds = self._folds(key)
        self._finished[key] = float(np.mean([fold["fit_time"] for fold in folds]))
        self._show(folds)
        if self._history is None:
            return
        self._write(self._history.record, self._evaluation(candidate, key, folds))

    def _write(self, write: Callable[..., None], *what: Any) -> None:
        try:
            write(self._search_id, *what)
        except Exception as error:  # whatever it is, it must not end the search
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"The history could not be written: {error} The search goes on; candidates "
                    "that are not on record will be evaluated again by a later search.",
                    HistoryWarning,
                    stacklevel=2,
                )

    def _evaluation(self, candidate: Candidate, key: str, folds: list[Output]) -> Evaluation:
        errors = [str(fold["fit_error"]) for fold in folds if fold.get("fit_error") is not None]
        return Evaluation(
            configuration=canonical_configurations(self._estimator, [candidate])[0],
            key=key,
            params=self._space.encode(candidate),
            scores=self._by_metric(folds, "test_scores"),
            train_scores=self._by_metric(folds, "train_scores") if _trained(folds) else {},
            fit_times=tuple(float(fold["fit_time"]) for fold in folds),
            score_times=tuple(float(fold["score_time"]) for fold in folds),
            n_test_samples=tuple(int(fold["n_test_samples"]) for fold in folds),
            error=errors[0].strip().splitlines()[-1] if errors else None,
            source=self.sources.get(key, "grid"),
        )

    def _by_metric(self, folds: list[Output], kind: str) -> dict[str, tuple[float, ...]]:
        scores = [self._metrics.scores_of(fold, kind) for fold in folds]
        names = self._metrics.names
        # A callable `scoring` may return metrics that were not known before.
        keys = max(scores, key=lambda found: sum(value == value for value in found.values()))
        return {
            names.get(key, key): tuple(float(found.get(key, np.nan)) for found in scores)
            for key in keys
        }

    def _mean_score(self, folds: list[Output]) -> float:
        scores = [self._metrics.scores_of(fold) for fold in folds]
        key = self._metrics.objective(scores[0])
        return float(np.mean([found.get(key, np.nan) for found in scores]))

    def _show(self, folds: list[Output]) -> None:
        mean = self._mean_score(folds)
        if mean > self._best:
            self._best = mean
            self._bar.set_postfix(best=f"{mean:.5g}", refresh=False)
        self._bar.update(1)


def _trained(folds: list[Output]) -> bool:
    return any("train_scores" in fold for fold in folds)
