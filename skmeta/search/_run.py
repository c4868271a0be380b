"""One call of fit: everything between the data and the last candidate."""

import hashlib
import math
import platform
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from skmeta._random import check_rng
from skmeta.exceptions import SearchStoppedWarning
from skmeta.search._arguments import Prior, history_of, n_iter_of, prior_of, space_of
from skmeta.search._evaluate import Evaluate
from skmeta.search._metrics import Metrics
from skmeta.search._recorder import BudgetSpent, Ledger
from skmeta.search._streaming import Folds
from skmeta.search.record import SearchRecord, fingerprint_data
from skmeta.search.space import (
    Candidate,
    candidate_key,
    canonical_configurations,
    canonical_names,
    predictor_name,
    signature,
    stable_repr,
)
from skmeta.search.surrogate import SearchStrategy

__all__ = ["SearchRun"]

# A finite space up to this size is in the pool whole; of others as many are drawn to begin with.
_WHOLE_POOL = 2000
_DRAWN_POOL = 1000
# Candidates near the incumbent that join the pool after each batch.
_N_NEAR = 30


class SearchRun:
    """One call of fit: everything between the data and the last candidate."""

    def __init__(self, search: Any, fit_params: Mapping[str, Any]) -> None:
        self._search = search
        self._fit_params = fit_params
        self._begun = time.monotonic()
        self.recorded: dict[tuple[str, int], dict[str, Any]] = {}
        self.prior: Prior | None = None
        self.report: dict[str, Any] = {}
        self.stopped_by = "n_iter"
        self.n_resumed = 0
        self.seconds = 0.0
        self._bar = tqdm(disable=True)
        self._history: Any = None
        self._search_id: Any = None
        self._owns_history = False

    # -- before the first fit ------------------------------------------------------------------

    def prepare(self, X: Any, y: Any, folds: Folds) -> None:
        """Check what was given, open the history and learn the prior."""
        search = self._search
        self.space = space_of(search)
        self.space.check(search.estimator)
        self.n_iter = n_iter_of(search, self.space)
        # Where every candidate will be evaluated, their order is GridSearchCV's.
        self.walks_grid = search.n_iter == "all" or (
            self.n_iter == self.space.size and search.time_budget is None
        )
        self.rng = check_rng(search.random_state)
        self.folds = folds
        scorers, _ = search._get_scorers()
        self.metrics = Metrics(scorers, search.estimator, search.refit, search.error_score)
        self.pool = self._draw_pool()
        self._open_history(X, y)
        self._bar = _progress_bar(search.progress, self.n_iter)
        self.ledger = Ledger(
            estimator=search.estimator,
            space=self.space,
            metrics=self.metrics,
            n_splits=folds.n_splits,
            history=self._history,
            search_id=self._search_id,
            deadline=None if search.time_budget is None else self._begun + search.time_budget,
            bar=self._bar,
        )
        self.recalled = self.ledger.recall(search.return_train_score)
        # The loop looks results up in `recorded`; both names mean one dict from here on.
        self.recorded.update(self.ledger.outputs)
        self.ledger.outputs = self.recorded

    @property
    def n_batches(self) -> int:
        """Number of batches of a search that goes on by scores."""
        return math.ceil(self.n_iter / int(self._search.batch_size))

    def _draw_pool(self) -> list[Candidate]:
        if self.walks_grid:
            return self.space.grid()
        whole = self.space.size <= _WHOLE_POOL
        return self.space.sample(_WHOLE_POOL if whole else _DRAWN_POOL, self.rng)

    def _open_history(self, X: Any, y: Any) -> None:
        search = self._search
        history = history_of(search.history)
        if history is None and (self.walks_grid or search.prior is None):
            return  # nothing to read, nothing to write
        self._owns_history = history is not None and history is not search.history
        record = SearchRecord(
            fingerprint="",
            dataset="",
            estimator=predictor_name(search.estimator, self.pool),
            metrics=dict.fromkeys(self.metrics.names.values(), 1),
            refit_metric=self.metrics.refit_metric,
        )
        if history is not None or search.exclude_same_data:
            record = self._complete(record, X, y)
        if not self.walks_grid:
            self.prior = prior_of(search, history, record)
        self._history = history
        if history is not None:
            self._search_id = history.begin(record)

    def _complete(self, record: SearchRecord, X: Any, y: Any) -> SearchRecord:
        """Add what takes a look at the data."""
        search = self._search
        data = fingerprint_data(X, y)
        names = canonical_names(search.estimator)
        parts = (
            data.digest,
            stable_repr(search.estimator),
            self.space.stable_repr(),
            stable_repr([list(map(np.asarray, split)) for split in self.folds.splits]),
            stable_repr(search.scoring),
            stable_repr({k: v for k, v in self._fit_params.items() if k != "groups"}),
        )
        return replace(
            record,
            fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24],
            dataset=data.digest[:12],
            data_digest=data.digest,
            data_sketch=data.sketch,
            signature=signature(search.estimator),
            space={names.get(name, name): text for name, text in self.space.describe().items()},
            cv=repr(self.folds.cv),
            versions=_versions(),
        )

    # -- the search ----------------------------------------------------------------------------

    def observe(self, cell: Any, params: Any, output: Any) -> None:
        self.ledger.observe(cell, params, output)

    def search(self, evaluate: Evaluate) -> None:
        """Evaluate candidates until there are enough, time is over, or the user stops it."""
        self.evaluate = evaluate
        try:
            if self.walks_grid:
                self.n_resumed = sum(map(self.ledger.is_finished, self.pool))
                evaluate.grid(self.pool)
            else:
                self._model_search(evaluate)
        except BudgetSpent:
            self.stopped_by = "time_budget"
        except KeyboardInterrupt:
            if not evaluate.n_done:
                raise
            self.stopped_by = "interrupt"
            warnings.warn(
                f"The search was interrupted after {evaluate.n_done} of {self.n_iter} candidates; "
                "the best of them is kept. Run it again with a history to go on from there.",
                SearchStoppedWarning,
                stacklevel=2,
            )
        else:
            self.ledger.finish()
        finally:
            self.seconds = time.monotonic() - self._begun

    def _model_search(self, evaluate: Evaluate) -> None:
        pool = _distinct([*self.recalled[: self.n_iter], *self.pool])
        strategy = SearchStrategy(self._described(pool), self.prior, rng=self.rng)
        recalled = pool[: len(self.recalled[: self.n_iter])]
        known = {candidate_key(candidate) for candidate in pool}
        if recalled:
            self.n_resumed = len(recalled)
            scores = evaluate(recalled)
            self.ledger.advance(recalled)
            strategy.tell(range(len(recalled)), scores)
        while evaluate.n_done < self.n_iter:
            self._refine(strategy, pool, known, evaluate)
            suggestions = strategy.ask(min(self._search.batch_size, self.n_iter - evaluate.n_done))
            if not suggestions:
                self.stopped_by = "exhausted"
                break
            candidates = [pool[s.index] for s in suggestions]
            for candidate, suggestion in zip(candidates, suggestions, strict=True):
                self.ledger.sources[candidate_key(candidate)] = suggestion.source
            scores = evaluate(candidates, suggestions)
            strategy.tell([s.index for s in suggestions], scores)
        self.report = strategy.report()

    def _refine(
        self, strategy: SearchStrategy, pool: list[Candidate], known: set[str], evaluate: Any
    ) -> None:
        """Let candidates near the incumbent join the pool."""
        if self.space.size <= _WHOLE_POOL or evaluate.best is None:
            return
        near = self.space.neighbours(evaluate.best, _N_NEAR, self.rng)
        fresh = [c for c in near if candidate_key(c) not in known]
        if fresh:
            known.update(map(candidate_key, fresh))
            pool.extend(fresh)
            strategy.extend(self._described(fresh))

    def _described(self, candidates: list[Candidate]) -> list[Any]:
        return canonical_configurations(self._search.estimator, candidates)

    def close(self) -> None:
        """Close the bar, and the history if this search opened it."""
        self._bar.close()
        if self._owns_history:
            self._history.close()


def _distinct(candidates: list[Candidate]) -> list[Candidate]:
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        found.setdefault(candidate_key(candidate), candidate)
    return list(found.values())


def _progress_bar(progress: Any, total: int) -> tqdm:
    # disable=None is tqdm's own test for a terminal.
    automatic = progress == "auto"
    return tqdm(
        total=total,
        desc="search",
        unit="candidate",
        disable=None if automatic else not progress,
        delay=2 if automatic else 0,
        file=sys.stderr,
    )


def _versions() -> dict[str, str]:
    names = ("skmeta", "scikit-learn", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
