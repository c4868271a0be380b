"""What a user sees of a search: progress, one line per candidate, leaderboard and report."""

import logging
import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta._optional import import_optional
from skmeta._progress import is_interactive, progress_bar
from skmeta.search._arguments import lines_per_candidate
from skmeta.search._evaluate import Stage
from skmeta.search._metrics import BestWithin
from skmeta.search._trials import Trial
from skmeta.search.report import result_metric, write_search_report
from skmeta.search.space import Candidate, short_names, shown_value

# No handler is added: without one, Python shows warnings only.
_LOG = logging.getLogger("skmeta.search")


class Progress:
    """Shows finished candidates: a bar, and lines to logger "skmeta.search" or standard output.

    It is a context. `stage.search` gives ``verbose``.
    """

    def __init__(self, stage: Stage) -> None:
        arguments, self._verbose = stage.arguments, lines_per_candidate(stage.search)
        # Lines of candidates would break the bar, so it is shown in place of them.
        is_auto = stage.search.verbose == "auto"
        shown = is_interactive() if is_auto else stage.search.verbose == "bar"
        delay = 2 if is_auto else 0
        self._bar = progress_bar(arguments.n_iter, "search", "candidates", shown=shown, delay=delay)
        self._begun, self._notes = stage.budget.begun, arguments.notes
        self._n_iter, self._n_splits = arguments.n_iter, len(stage.folds.splits)
        self._names = short_names(arguments.space.names)
        # A candidate is compared with these, after the best one so far has replaced its own.
        self._given = arguments.estimator.get_params(deep=True)
        self._best_params: Candidate = {}
        self._best = -np.inf
        self._n_shown = 0

    def __enter__(self) -> Self:
        self._bar.__enter__()
        self._tell(
            f"Fitting {self._n_splits} folds for each of {self._n_iter} candidates, "
            f"totalling {self._n_iter * self._n_splits} fits"
        )
        for note in self._notes:
            self._tell(note)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.__exit__(*exception)

    def show(self, trial: Trial) -> None:
        """Show a finished candidate."""
        params, score = trial.params, trial.score
        source = "on record" if trial.is_on_record else trial.source
        if trial.is_stopped:
            source += f", stopped after {trial.n_folds} of {self._n_splits} folds"
        self._n_shown += 1
        shown = self._changed(params)
        if score > self._best:
            shown = self._spell(params) or "no parameter"
            self._best, self._best_params = score, params
            self._bar.set_postfix({"best": f"{score:.5g}"}, refresh=False)
        self._bar.update(1)
        width = len(str(self._n_iter))
        best = self._best if np.isfinite(self._best) else math.nan
        line = (
            f"{self._n_shown:>{width}}/{self._n_iter}: score {score:.5g}, best {best:.5g}, "
            f"{source}, fits {_seconds(sum(trial.seconds))}, "
            f"wall {_seconds(time.monotonic() - self._begun)}"
        )
        if self._verbose > 1:  # All parameters stand below, so the changed ones are not repeated.
            scores = " ".join(f"{fold:.5g}" for fold in trial.fold_scores)
            self._tell(line)
            values = self._spell(params) or "no parameter"
            self._tell(f"{'':>{2 * width + 3}}folds {scores}; {values}")
        else:
            self._tell(f"{line}, {shown}")

    def _changed(self, params: Candidate) -> str:
        """Return the parameters that differ from those of the best candidate so far."""
        before = {**self._given, **self._best_params}
        changed = {
            name: value
            for name, value in sorted(params.items())
            if name not in before or shown_value(value) != shown_value(before[name])
        }
        return self._spell(changed) or "no parameter changed"

    def _spell(self, params: Mapping[str, Any]) -> str:
        return " ".join(f"{self._names.get(n, n)}={_spell(v)}" for n, v in params.items())

    def _tell(self, line: str) -> None:
        _LOG.info("%s", line)
        if self._verbose > 0:
            print(line)


class ReportMethods:
    """Methods of a search that show what it found."""

    cv_results_: Any
    n_splits_: int
    refit: Any

    def leaderboard(self, metric: str | None = None) -> Any:
        """Return the candidates as a DataFrame of pandas, the best one first.

        Parameters
        ----------
        metric : str, default=None
            A key of `scoring`, if the search has several metrics. By default that of `refit`, or
            the first.

        Returns
        -------
        frame : pandas.DataFrame
            One row per candidate; its index is the row of ``cv_results_``. Columns are ``rank``,
            ``score`` (mean over the folds), ``std``, ``source``, ``seconds`` (of all its fits),
            ``n_folds`` if candidates were raced, ``n_resources`` (rows) if some were tried on
            samples, and one for each parameter. With :func:`best_within` as `refit`, there is one
            for each limited quantity, and ``within`` is whether all limits are kept. A parameter is
            named by the end of its name that belongs to no other one: ``svc__C`` is ``C``.
            Estimators are shown by the names of their classes, pipelines by those of their steps.
            A candidate that does not have a parameter has NaN.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ImportError
            If pandas is not installed.
        ValueError
            If the metric is not among those of the search.
        """
        check_is_fitted(self, "cv_results_")
        pandas = import_optional("pandas", "history")
        results = self.cv_results_
        chosen = result_metric(results, metric, self.refit)
        candidates = results["params"]
        n_folds = results.get("n_folds", self.n_splits_)
        columns = {
            "rank": results[f"rank_test_{chosen}"],
            "score": results[f"mean_test_{chosen}"],
            "std": results[f"std_test_{chosen}"],
            "source": results.get("source", np.full(len(candidates), "grid")),
            "seconds": (results["mean_fit_time"] + results["mean_score_time"]) * n_folds,
        }
        if isinstance(self.refit, BestWithin):
            columns |= self.refit.columns(results)
        for name in ("n_folds", "n_resources"):
            if name in results:
                columns[name] = results[name]
        own = set(columns)
        names = sorted({name for params in candidates for name in params})
        for name, short in short_names(names).items():
            label = f"param_{name}" if short in own else short
            columns[label] = _column(pandas, name, candidates)
        frame = pandas.DataFrame(columns)
        # The candidate that was refitted comes first among equal ranks.
        is_other = np.arange(len(candidates)) != getattr(self, "best_index_", -1)
        return frame.iloc[np.lexsort((is_other, frame["rank"]))]

    def report(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write an HTML page about the search: one file that loads nothing from elsewhere.

        It shows the best parameters as code, the progress, the leaderboard, the importance of the
        parameters, the scores along each of them, what past searches contributed, and versions.

        Parameters
        ----------
        path : str or path-like
            The file, such as ``"report.html"``; an existing one is replaced.
        title : str, default=None
            Heading of the page. By default the estimator and the data set.

        Returns
        -------
        path : Path
            The file.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ImportError
            If pandas or matplotlib is not installed.
        FileNotFoundError
            If the folder of the file does not exist.

        Notes
        -----
        Importance is the total effect (Sobol's total index) of a parameter on the score, computed
        with a Gaussian process that is fitted to the scores of the search. Data are not in the
        page; parameters and the name of the data set are.
        """
        check_is_fitted(self, "cv_results_")
        return write_search_report(self, path, title)


def _column(pandas: Any, name: str, candidates: Iterable[Mapping[str, Any]]) -> Any:
    """Return a parameter's values; NaN for candidates that do not have it."""
    values = [shown_value(params.get(name, math.nan)) for params in candidates]
    # A value of None would become NaN in a column of numbers.
    return pandas.Series(values, dtype=object if None in values else None)


def _spell(value: Any) -> str:
    plain = shown_value(value)
    return f"{plain:.4g}" if isinstance(plain, float) else str(plain)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
