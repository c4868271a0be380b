"""scikit-learn's `evaluate_candidates`, as a search that goes on by scores needs it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search._describe import candidate_key
from skmeta.search._ledger import BudgetSpent
from skmeta.search._space import Candidate

__all__ = ["CallbackContext", "Evaluate", "FrozenSplits"]


class FrozenSplits:
    """The folds of a search, drawn once, so that every candidate is scored on the same rows."""

    def __init__(self, splits: Iterable[Any]) -> None:
        self.splits = list(splits)

    def split(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the folds that were drawn."""
        return self.splits

    def get_n_splits(self, *args: Any, **kwargs: Any) -> int:
        """Return their number."""
        return len(self.splits)


class Evaluate:
    """scikit-learn's `evaluate_candidates`, with the run's folds, columns and score."""

    def __init__(self, search: Any, evaluate_candidates: Any, context: Any, run: Any) -> None:
        self._search = search
        self._evaluate = evaluate_candidates
        self._context = context
        self._run = run
        self.n_done = 0
        self.best: Candidate | None = None
        self._best_score = -np.inf

    def __call__(
        self, candidates: list[Candidate], suggestions: Any = None, context: Any = "batch"
    ) -> NDArray[np.float64]:
        """Evaluate candidates and return their scores; NaN where a fit failed."""
        columns = None if self._run.walks_grid else self._columns(candidates, suggestions)
        try:
            if context is None:
                results = self._call(candidates, columns, self._context)
            else:
                size = len(candidates) * self._search.n_splits_
                with CallbackContext(self._context, self._search, "batch", size, True) as batch:
                    results = self._call(candidates, columns, batch)
        except (BudgetSpent, KeyboardInterrupt):
            self._keep_finished(candidates, suggestions)
            raise
        return self._take(candidates, results)

    def _keep_finished(self, candidates: list[Candidate], suggestions: Any) -> None:
        # They are answered from the record, which puts them into cv_results_.
        kept = [i for i, c in enumerate(candidates) if self._run.ledger.is_finished(c)]
        if kept:
            finished = [candidates[i] for i in kept]
            chosen = None if suggestions is None else [suggestions[i] for i in kept]
            columns = None if self._run.walks_grid else self._columns(finished, chosen)
            self._take(finished, self._call(finished, columns, None))

    def _call(self, candidates: list[Candidate], columns: Any, context: Any) -> dict[str, Any]:
        # Versions before 1.9 know no callbacks.
        extra = {} if context is None else {"callback_ctx": context}
        results: dict[str, Any] = self._evaluate(
            candidates, cv=self._run.splits, more_results=columns, **extra
        )
        return results

    def _columns(self, candidates: list[Candidate], suggestions: Any) -> dict[str, list[Any]]:
        sources = self._run.ledger.sources
        return {
            "source": [sources.get(candidate_key(c), "initial design") for c in candidates],
            "predicted_mean_score": [s.mean for s in suggestions or []]
            or [np.nan] * len(candidates),
            "predicted_std_score": [s.std for s in suggestions or []] or [np.nan] * len(candidates),
        }

    def _take(self, candidates: list[Candidate], results: dict[str, Any]) -> NDArray[np.float64]:
        self.n_done += len(candidates)
        keys = [name[10:] for name in results if name.startswith("mean_test_")]
        objective = self._run.metrics.objective(keys)
        scores = np.array(results[f"mean_test_{objective}"][-len(candidates) :], dtype=float)
        for position, candidate in enumerate(candidates):
            if self._run.ledger.has_failed(candidate):
                scores[position] = np.nan  # error_score may be a number
            elif scores[position] > self._best_score:
                self._best_score, self.best = scores[position], candidate
        return scores


class CallbackContext:
    """A callback context of scikit-learn 1.9 for one part of a search; nothing before that."""

    def __init__(self, parent: Any, search: Any, task: str, n_parts: int, are_fits: bool) -> None:
        self._search = search
        self._context = parent and parent.subcontext(
            task_name=task, max_subtasks=n_parts, sequential_subtasks=not are_fits
        )

    def __enter__(self) -> Any:
        if self._context is not None:
            self._context.call_on_fit_task_begin(estimator=self._search)
        return self._context

    def __exit__(self, *exception: object) -> None:
        if self._context is not None:
            self._context.call_on_fit_task_end(estimator=self._search)
