"""The trials of a search in its history: read, checked, rebuilt, written.

Recorded scores are evaluated again, before a search takes them for its own. No fingerprint sees all
that a score depends on: a file that a transformer reads, a variable of the environment. So the best
candidate on record is evaluated on one fold. If its score is what the record says, another
candidate is too; if not, the first is evaluated once more, which tells chance from change. That
takes two folds at most.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmeta._warnings import warn_caller
from skmeta.exceptions import HistoryWarning
from skmeta.search._evaluate import FoldEvaluator, Stage
from skmeta.search._metrics import NUMBERS_OF_FOLDS
from skmeta.search._trials import Output, Trial
from skmeta.search.record import CandidateRecord
from skmeta.search.space import CandidateDescriber, every_param, replace_parts

# Scores that differ by less are equal: relative to them, and to the spread of the recorded ones.
_ROUNDING, _ROUNDING_OF_SPREAD = 1e-6, 1e-9
# Standard deviations within which an estimator that draws random numbers may differ from its
# record.
_MAX_DEVIATION = 4.0
_SLACK = 1e-9  # by which rounding may leave the range of a metric
_ROUNDS = "number of rounds"

Array = NDArray[np.float64]


class TrialRecord:
    """The trials of one search in a history, which must have train scores if they are returned."""

    def __init__(self, stage: Stage, history: Any, fingerprint: str) -> None:
        self._history, self._fingerprint = history, fingerprint
        self._space, self._metrics = stage.arguments.space, stage.arguments.metrics
        self._describe = CandidateDescriber(stage.arguments.estimator)
        self._stage = stage
        self._with_train_scores = stage.search.return_train_score
        self._known: dict[str, CandidateRecord] = {}
        self._unwritten: list[CandidateRecord] = []
        self._has_warned = False

    # -- reading ------------------------------------------------------------------------------

    def read(self, keys: Collection[str] | None = None) -> None:
        """Read finished candidates, all or those of some keys."""
        if self._history is not None:
            candidates = self._history.candidates(self._fingerprint, keys)
            usable = [one for one in candidates if self._is_usable(one)]
            flaws = {one.key: find_flaw(self._stage, one) for one in usable}
            self._known |= {one.key: one for one in usable if flaws[one.key] is None}
            wrong = [f"{key}: {flaw}" for key, flaw in flaws.items() if flaw is not None]
            if wrong:
                warn_caller(
                    f"The history has {len(wrong)} candidates of this search whose results are "
                    f"impossible, which are left out ({wrong[0]}). The record was altered.",
                    HistoryWarning,
                )

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

    # -- writing ------------------------------------------------------------------------------

    def write(self, trial: Trial | None = None) -> None:
        """Write a finished trial, and those that could not be written before."""
        if self._history is None:
            return
        if trial is not None:
            self._unwritten.append(self.encode(trial))
        try:
            if self._unwritten:
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


# -- checks ----------------------------------------------------------------------------------------


def find_disagreement(stage: Stage, trials: Sequence[Trial]) -> str | None:
    """Return how scores on record differ from what they are now; None if they do not."""
    chosen = _choose(trials)
    with FoldEvaluator(stage) as evaluator:
        for k, (trial, fold) in enumerate(chosen):
            recorded = _values(stage, trial.outputs[fold])
            output = evaluator.evaluate_again(trial, fold)
            news = [_values(stage, output)]
            different = [n for n in recorded if not _are_equal(recorded[n], news[0][n], trials)]
            if not different:
                continue
            is_random = _may_draw(stage, trial)
            if k == 0:
                again = evaluator.evaluate_again(trial, fold)
                news.append(_values(stage, again))
                state = output.get("state")
                is_random &= state is None or state != again.get("state")
            objective = stage.arguments.metrics.objective(_scores(stage, trial.outputs[fold]))
            for name in different:
                now = [values[name] for values in news]
                varies = not np.array_equal(now[:1], now[-1:], equal_nan=True)
                if name == objective:
                    varies = not _are_equal(now[0], now[-1], trials)
                n_rows = _n_rows(stage, name, trial.outputs[fold])
                if (is_random or varies) and (
                    name != objective or _is_chance(recorded[name], now, n_rows, trial, trials)
                ):
                    continue
                return (
                    f"{name!r} of the candidate {trial.params} is {recorded[name]:.6g} on record "
                    f"for fold {fold}, and {now[0]:.6g} now"
                )
            return None
    return None


def find_flaw(stage: Stage, candidate: CandidateRecord) -> str | None:
    """Return why a record cannot be of this search; None if it can."""
    n = len(candidate.fit_times)
    times = {"fit_times": candidate.fit_times, "score_times": candidate.score_times}
    times["costs"] = candidate.costs
    for name, seconds in times.items():
        if len(seconds) != n or not all(0 <= s < math.inf for s in seconds):
            return f"{name} are not {n} numbers of seconds"
    rows = [np.asarray(test) for _, test in stage.folds.splits[:n]]
    sizes = [int(one.sum()) if one.dtype == bool else len(one) for one in rows]
    if list(candidate.n_test_samples) != sizes:
        return f"n_test_samples are {list(candidate.n_test_samples)}, not {sizes}"
    if len(candidate.n_rounds) not in (0, n):
        return f"n_rounds are not {n} numbers"
    metrics = stage.arguments.metrics
    own, names = set(candidate.scores), set(metrics.names.values())
    has_failed = all(math.isnan(s) for scores in candidate.scores.values() for s in scores)
    if not own or (metrics.are_known and own != names):
        return f"scores are of the metrics {sorted(own)}, not {sorted(names)}"
    if candidate.train_scores and set(candidate.train_scores) != own and not has_failed:
        return (
            f"train_scores are of the metrics {sorted(candidate.train_scores)}, not {sorted(own)}"
        )
    # The metrics of another last step may be others.
    is_fixed = not any(stage.arguments.space.part_choices(stage.arguments.estimator))
    bounds = metrics.bounds if is_fixed else {}
    for name, scores in [*candidate.scores.items(), *candidate.train_scores.items()]:
        low, high = bounds.get(name, (-math.inf, math.inf))
        wrong = [s for s in scores if s < low - _SLACK or s > high + _SLACK]
        if wrong:
            return f"{name} is {wrong[0]:.6g}, not between {low:g} and {high:g}"
        if len(scores) != n:
            return f"{name} has {len(scores)} folds, not {n}"
    return None


def _choose(trials: Sequence[Trial]) -> list[tuple[Trial, int]]:
    """Return the best candidate and another one, each with the fold that surprises most."""
    best = max(trials, key=lambda one: (not one.is_stopped, _finite(one.score)))
    folds = {id(one): residuals for one, residuals in zip(trials, _residuals(trials), strict=True)}
    chosen = [(best, int(np.argmax(folds[id(best)])))]
    cost = sum(best.seconds) / len(best.seconds)
    others = [one for one in trials if one is not best and math.isfinite(one.score)]
    cost = max(cost, float(np.median([float(np.mean(one.seconds)) for one in others] or [0.0])))
    others = [one for one in others if np.mean(one.seconds) <= cost]
    if others:
        other = max(others, key=lambda one: float(np.abs(folds[id(one)]).max()))
        chosen.append((other, int(np.argmax(np.abs(folds[id(other)])))))
    return chosen


def _residuals(trials: Sequence[Trial]) -> list[Array]:
    """Return how the scores of each candidate differ from its mean and from the folds' means."""
    n = max(len(one.fold_scores) for one in trials)
    scores = np.full((len(trials), n), np.nan)
    for row, one in zip(scores, trials, strict=True):
        row[: len(one.fold_scores)] = one.fold_scores
    is_known = np.isfinite(scores)
    filled = np.where(is_known, scores, 0.0)
    mean = filled.sum(1, keepdims=True) / np.maximum(is_known.sum(1, keepdims=True), 1)
    centred = np.where(is_known, scores - mean, 0.0)
    if len(trials) > 1:
        centred -= centred.sum(0) / np.maximum(is_known.sum(0), 1)
    centred[~is_known] = 0.0
    return [row[: len(one.fold_scores)] for row, one in zip(centred, trials, strict=True)]


def _is_chance(
    recorded: float, now: Sequence[float], n_rows: int, trial: Trial, trials: Sequence[Trial]
) -> bool:
    """Return whether chance explains a difference.

    Its scale is the largest of three: the residuals of the other candidates' folds, the difference
    of two evaluations, and, of a share of `n_rows` rows, the binomial standard deviation.
    """
    others = [one for one in trials if one is not trial and np.isfinite(one.fold_scores).all()]
    others = [one for one in others if len(one.fold_scores) > 1]
    if len(others) > 1:
        squares = sum(float((row**2).sum()) for row in _residuals(others))
        n_free = sum(len(one.fold_scores) - 1 for one in others) * (1 - 1 / len(others))
        scale = math.sqrt(squares / n_free)
    else:
        scale = float(np.std(trial.fold_scores, ddof=1)) if len(trial.fold_scores) > 1 else 0.0
    scale = max(scale, abs(now[0] - now[-1]))
    if n_rows:
        share = float(np.clip((recorded + np.mean(now)) / 2, 0.0, 1.0))
        scale = max(scale, math.sqrt(share * (1 - share) / n_rows))
    return abs(recorded - float(np.mean(now))) <= _MAX_DEVIATION * scale


def _n_rows(stage: Stage, name: str, output: Output) -> int:
    """Return the number of test rows if a metric is a share; 0 if it is not."""
    metrics = stage.arguments.metrics
    is_share = metrics.bounds.get(metrics.names.get(name, name)) == (0.0, 1.0)
    return int(output.get("n_test_samples", 0)) if is_share else 0


def _values(stage: Stage, output: Output) -> dict[str, float]:
    """Return what is compared of one fold: its scores, and the rounds of early stopping."""
    rounds = {_ROUNDS: float(output["n_rounds"])} if "n_rounds" in output else {}
    return {**_scores(stage, output), **rounds}


def _scores(stage: Stage, output: Output) -> Mapping[str, float]:
    scores = stage.arguments.metrics.scores_of(output)
    return {name: float(value) for name, value in scores.items()}


def _are_equal(one: float, other: float, trials: Sequence[Trial]) -> bool:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return True
    scores = [score for trial in trials for score in trial.fold_scores if math.isfinite(score)]
    spread = float(np.ptp(scores)) if scores else 0.0
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING_OF_SPREAD * spread)


def _may_draw(stage: Stage, trial: Trial) -> bool:
    """Return whether a candidate has a parameter ``random_state`` that is not set."""
    params = every_param(replace_parts(stage.arguments.estimator, trial.params))
    return any(value is None for name, value in params.items() if name.endswith("random_state"))


def _finite(score: float) -> float:
    return score if not math.isnan(score) else -math.inf
