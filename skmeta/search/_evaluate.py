"""scikit-learn's `evaluate_candidates`, as a search that goes on by scores needs it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta.search._recorder import BudgetSpent
from skmeta.search.space import Candidate, candidate_key
from skmeta.search.surrogate import Suggestion

__all__ = ["CallbackContext", "Evaluate"]

Columns = dict[str, list[Any]]


class Evaluate:
    """scikit-learn's `evaluate_candidates`, with the columns of one run.

    Parameters
    ----------
    search : MetaLearnedSearchCV
    evaluate_candidates : callable
        As scikit-learn gives it to ``_run_search``.
    context : callback context or None
    run : SearchRun

    Attributes
    ----------
    results : dict
        What becomes ``cv_results_``: empty until the search is over.
    table : tuple
        Arguments of ``_format_results`` for all candidates so far.
    n_done : int
        Number of candidates so far.
    best : dict or None
        The best of them; None while all have failed.
    """

    def __init__(self, search: Any, evaluate_candidates: Any, context: Any, run: Any) -> None:
        self._search = search
        self._evaluate = evaluate_candidates
        self._context = context
        self._run = run
        self.results: dict[str, Any] = {}
        self.table: tuple[Any, ...] = ()
        self.n_done = 0
        self.best: Candidate | None = None
        self._best_score = -np.inf

    @property
    def outputs(self) -> list[Any]:
        """Return what every fit so far gave, in order."""
        return list(self.table[2])

    def note(self, *table: Any) -> dict[str, Any]:
        """Keep what the table of results is to be made of; return where it will stand."""
        self.table = table
        return self.results

    def grid(self, candidates: list[Candidate]) -> None:
        """Evaluate candidates all at once, as GridSearchCV does."""
        self._guarded(candidates, None, self._context)

    def __call__(
        self, candidates: list[Candidate], suggestions: Sequence[Suggestion] | None = None
    ) -> NDArray[np.float64]:
        """Evaluate a batch and return its scores; NaN where a fit failed.

        Parameters
        ----------
        candidates : list of dict
        suggestions : sequence of Suggestion, default=None
            Why each is tried, and what is expected of it; None for those on record.

        Returns
        -------
        ndarray of shape (n_candidates,)
        """
        columns = self._columns(candidates, suggestions)
        n_fits = len(candidates) * self._run.folds.n_splits
        with CallbackContext(self._context, self._search, "batch", n_fits, True) as context:
            return self._guarded(candidates, columns, context)

    def _guarded(
        self, candidates: list[Candidate], columns: Columns | None, context: Any
    ) -> NDArray[np.float64]:
        try:
            return self._call(candidates, columns, context)
        except (BudgetSpent, KeyboardInterrupt):
            kept = [i for i, c in enumerate(candidates) if self._run.ledger.is_finished(c)]
            if kept:  # they are answered from the record, which puts them into cv_results_
                chosen = columns and {name: [v[i] for i in kept] for name, v in columns.items()}
                self._call([candidates[i] for i in kept], chosen, None)
            raise

    def _call(
        self, candidates: list[Candidate], columns: Columns | None, context: Any
    ) -> NDArray[np.float64]:
        # Versions before 1.9 know no callbacks.
        extra = {} if context is None else {"callback_ctx": context}
        self._evaluate(candidates, more_results=columns, **extra)
        self.n_done += len(candidates)
        scores = [self._run.ledger.score(candidate) for candidate in candidates]
        for candidate, score in zip(candidates, scores, strict=True):
            if score > self._best_score:
                self._best_score, self.best = score, candidate
        return np.array(scores)

    def _columns(
        self, candidates: list[Candidate], suggestions: Sequence[Suggestion] | None
    ) -> Columns:
        sources = self._run.ledger.sources
        return {
            "source": [sources[candidate_key(candidate)] for candidate in candidates],
            "predicted_mean_score": [s.mean for s in suggestions]
            if suggestions
            else [np.nan] * len(candidates),
            "predicted_std_score": [s.std for s in suggestions]
            if suggestions
            else [np.nan] * len(candidates),
        }


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
