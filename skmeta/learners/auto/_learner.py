"""AutoLearner: the learner that suits the tasks, found by a comparison on held-out tasks."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from scipy.stats import t
from sklearn.exceptions import FitFailedWarning
from sklearn.utils.validation import check_is_fitted

from skmeta._backend import resolve_device
from skmeta._columns import flatten_rows
from skmeta._optional import import_optional
from skmeta._progress import progress_bar
from skmeta._sklearn_compat import Interval, StrOptions, fit_context
from skmeta._threads import one_thread_if_small
from skmeta._training import FitSettings, parameter
from skmeta._validation import check_rng
from skmeta._warnings import warn_caller
from skmeta.exceptions import EpisodeError, PriorWarning
from skmeta.learners._core import (
    MetaLearner,
    check_learner_rows,
    missing_attribute,
    resolve_kind,
    target_type_parameter,
)
from skmeta.learners.auto._candidates import (
    TREES,
    Entry,
    make_candidates,
    measure_learner,
    plain_entries,
    train,
)
from skmeta.learners.auto._tasks import ComparisonDesign, design_classes, design_groups
from skmeta.priors import MetaPrior

# Share of all verdicts whose intervals do not hold the true differences.
_ERROR_RATE = 0.05
# A difference of a smaller share of the loss is none, however certain it is: two models can differ
# by almost nothing in all tasks, and the standard error of the difference is as small.
_NEGLIGIBLE = 0.01
# A gain of this share of the plain model's loss is worth having: where the interval does not
# exclude it, "does not pay" would claim more than the tasks say.
_WORTHWHILE = 0.05


class Mean(NamedTuple):
    """A weighted mean over tasks, with its standard error and the effective number of tasks.

    The error is infinite for a single task, or a value that is not finite.
    """

    value: float
    error: float
    n_tasks: float

    @classmethod
    def over(cls, values: np.ndarray, weights: np.ndarray) -> Mean:
        """Average the values (n_tasks,) of tasks."""
        n, mean = len(values), float(np.average(values, weights=weights))
        n_alike = float(weights.sum() ** 2 / (weights**2).sum())
        if n < 2 or not np.isfinite(values).all():
            return cls(mean, np.inf, n_alike)
        spread = (weights**2 * (values - mean) ** 2).sum() * n / (n - 1)
        return cls(mean, float(np.sqrt(spread) / weights.sum()), n_alike)

    def margin(self, n_comparisons: int = 1) -> float:
        """Return half of a 95% interval of Student's t, by Bonferroni's (Dunn's) correction.

        The best of several models looks better than it is, so each has a wider interval.
        """
        level = 1 - _ERROR_RATE / (2 * n_comparisons)
        return float(t.ppf(level, max(self.n_tasks - 1, 1)) * self.error)


def choose(results: Sequence[Entry], weights: np.ndarray) -> Entry | None:
    """Return the simplest learner that is as good as the best one, or None if all failed.

    It is the first whose mean loss is within one standard error (paired over tasks) of the
    smallest, or within a hundredth of it. `weights` are those of the tasks.
    """
    known = [r for r in results if not r.error]
    if not known:
        return None
    best = min(known, key=lambda result: np.average(result.loss, weights=weights))
    least = np.average(best.loss, weights=weights)

    def is_as_good(result: Entry) -> bool:
        gap = Mean.over(result.loss - best.loss, weights)
        return result is best or bool(gap.value <= max(gap.error, _NEGLIGIBLE * abs(least)))

    return next(result for result in known if is_as_good(result))


def leaderboard_rows(
    results: Sequence[Entry], chosen: str, weights: np.ndarray
) -> list[dict[str, Any]]:
    """Return one row per learner and plain model by increasing loss, then those that failed."""
    rows = []
    for result in results:
        loss = result.loss if len(result.loss) else np.full(len(weights), np.nan)
        mean = Mean.over(loss, weights)
        row = {
            "learner": result.name,
            "loss": mean.value,
            "standard_error": mean.error if np.isfinite(mean.error) else np.nan,
            "low": mean.value - mean.margin(),
            "high": mean.value + mean.margin(),
            "seconds": round(result.seconds, 3),
            "chosen": result.name == chosen,
            "status": result.status,
        }
        rows.append(((bool(result.error), mean.value), row))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def summarise(
    design: ComparisonDesign, results: Sequence[Entry], chosen: Entry
) -> tuple[str, bool]:
    """Say whether meta-learning pays, and whether a plain model is better.

    A learner and a plain model were chosen, so the interval is that of one of all their pairs: Dunn
    (1961), Multiple comparisons among means.
    """
    weights, model = design.weights, chosen.name
    measure = "log loss" if design.kind == "classification" else "squared error (over the variance)"
    plain = [r for r in results if r.learner is None]
    best = min(plain, key=lambda r: np.average(r.loss, weights=weights))
    own, other = (float(np.average(r.loss, weights=weights)) for r in (chosen, best))
    gain = Mean.over(best.loss - chosen.loss, weights)
    n_learners = sum(r.learner is not None and not r.error for r in results)
    margin, name = gain.margin(len(plain) * max(n_learners, 1)), best.name.removesuffix(" (plain)")
    least = _NEGLIGIBLE * abs(other)
    is_better = gain.value > max(gain.error, least)
    is_beaten = bool(gain.value < -max(margin, least))
    n_tasks = len(weights)
    if is_better:
        verdict = f"Meta-learning {'pays' if gain.value > margin else 'may pay'} here: "
    elif is_beaten or gain.value + margin < _WORTHWHILE * abs(other):
        verdict = "Meta-learning does not pay here: "
    else:
        verdict = f"Whether meta-learning pays here cannot be told from {n_tasks} tasks: "
    text = (
        f"{verdict}on {n_tasks} held-out tasks {model} has a {measure} of {own:.3g}, the best "
        f"plain model, {name}, has {other:.3g} (difference {gain.value:.2g} ± {margin:.2g})."
    )
    if not is_better:
        if is_beaten:
            text += f" The plain model ({name}) is better."
        elif verdict.startswith("Whether"):
            text += f" Hold out more tasks, or use the plain model ({name}), which is simpler."
        else:
            text += f" The plain model ({name}) does as well."
        if best.name == TREES:
            kind = "GroupedClassifier" if design.kind == "classification" else "GroupedRegressor"
            text += f" {kind} learns trees and groups together."
    elif model == "HierarchicalLinear":
        text += " A mixed-effects model is all that these tasks need: no network is better by more "
        text += "than one standard error."
    return text, is_beaten


class AutoLearner(FitSettings):
    """Find the learner that suits the tasks.

    ``fit`` holds out tasks, trains several learners on the others, and compares them and models of
    scikit-learn on the tasks held out. The simplest learner within one standard error of the best
    is trained again, on all tasks. ``summary_`` says whether meta-learning pays. The guide is
    :ref:`auto-learner`.

    Parameters
    ----------
    candidates : "auto" or list of MetaLearner, default="auto"
        The learners to compare, the simplest first. ``"auto"``: for groups, ``HierarchicalLinear``,
        ``MAML`` with two step sizes, ``MetaSGD``, ``ALPaCA``, ``InContextLearner`` and, in
        regressions, the prior that ships; for classes, that prior, ``ProtoNet`` and
        ``InContextLearner``; for images, ``ProtoNet`` and ``MAML``.
    target_type : {"auto", "classification", "regression"}, default="auto"
        What the tasks are; ``"auto"`` infers it from ``y`` and ``groups``. See :ref:`task-type`.
    n_way : int, default=5
        Classes of a task that is drawn from classes; fewer if there are fewer than twice as many.
    n_shot : int, tuple of two ints or "auto", default="auto"
        Known rows of a new task: in all if tasks are groups, else of each class. Of a range
        ``(low, high)``, both ends are compared. ``"auto"`` is (3, 20) for groups and (1, 5) for
        classes, lower for small groups and classes.
    n_query : int, default=15
        Query rows of a task in meta-training, counted as ``n_shot``.
    input_shape : tuple of int, default=None
        Shape of one row, such as ``(1, 28, 28)``, if ``X`` is a table of pixels.
    device : str or torch.device, default="auto"
        Where to compute; ``"auto"`` takes a GPU if there is one.
    verbose : int, "auto" or "bar", default="auto"
        ``"bar"`` and 1 show progress on standard error, ``"auto"`` in a terminal or notebook only,
        after two seconds; 0 shows nothing.
    random_state : int, Generator, RandomState or None, default=None
        Seed of what is held out, and of the learners.

    Attributes
    ----------
    prior_ : MetaPrior
        What the chosen learner learned from all tasks.
    best_learner_ : MetaLearner
        The chosen learner, fitted.
    summary_ : str
        Whether meta-learning pays, in a few sentences: whether the chosen learner is better than
        each plain model, with an interval that is corrected for their number.
    leaderboard_ : pandas.DataFrame
        Learners and plain models, the least loss first: ``learner``, ``loss`` in held-out tasks,
        ``standard_error``, ``low`` and ``high`` (the 95% interval of the loss), ``seconds``,
        ``chosen`` and ``status``, which says why one failed.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if ``X`` had some.

    References
    ----------
    Breiman, Friedman, Olshen and Stone (1984), Classification and regression trees, section 3.4.3
    (the rule of one standard error).

    Dunn (1961), Multiple comparisons among means (the interval for several models).

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import MetaFewShotRegressor
    >>> from skmeta.learners import AutoLearner, HierarchicalLinear
    >>> rng = np.random.default_rng(0)
    >>> groups = np.repeat(np.arange(40), 6)
    >>> X = rng.normal(size=(240, 2))
    >>> y = X[:, 0] + rng.normal(size=40)[groups] + 0.1 * rng.normal(size=240)
    >>> auto = AutoLearner(candidates=[HierarchicalLinear()], random_state=0)
    >>> print(auto.fit(X, y, groups=groups).summary_)
    Meta-learning pays here: on 40 held-out tasks HierarchicalLinear has ...
    >>> reg = MetaFewShotRegressor(auto.prior_).fit([[0.0, 0.0]], [5.0])
    >>> reg.predict([[1.0, 0.0]]).round()
    array([6.])
    """

    # Whether a value of a row may be missing (NaN).
    candidates: str | Sequence[MetaLearner] = parameter("auto", list, tuple, StrOptions({"auto"}))
    target_type: str = target_type_parameter()
    n_way: int = parameter(5, Interval(Integral, 2, None, closed="left"))
    n_shot: int | tuple[int, int] | str = parameter(
        "auto", Interval(Integral, 1, None, closed="left"), tuple, list, StrOptions({"auto"})
    )
    n_query: int = parameter(15, Interval(Integral, 1, None, closed="left"))
    input_shape: tuple[int, ...] | None = parameter(None, tuple, list, None)
    verbose: int | str = parameter("auto", "verbose", StrOptions({"auto", "bar"}))
    random_state: Any = parameter(None, "random_state", np.random.Generator, role="training")

    if not TYPE_CHECKING:  # Else any attribute would pass for known.

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Compare learners on tasks of a table, and train the best on all tasks.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            Rows of all tasks. Columns of a data frame may hold categories; the prior keeps how they
            are encoded. With a missing value (NaN), only learners that take them are compared.
        y : array-like of shape (n_samples,)
            Class labels, or the targets of regressions.
        groups : array-like of shape (n_samples,), optional
            The task that each row belongs to. Without it, tasks are drawn as ``n_way``
            classifications over the classes of ``y``.

        Returns
        -------
        self : object
            With ``prior_``, ``leaderboard_`` and ``summary_``.

        Raises
        ------
        EpisodeError
            If the rows cannot form the tasks asked for, or no learner can learn them.

        Warns
        -----
        PriorWarning
            If a plain model is better than the chosen learner: its 95% interval of the difference,
            corrected for the number of models, excludes zero.
        FitFailedWarning
            If a learner of ``candidates`` fails.
        """
        resolve_device(self.device)
        rng = check_rng(self.random_state)
        rows, shape = flatten_rows(X, self.input_shape)
        rows, _ = check_learner_rows(self, rows, allow_nan=True)
        kind = resolve_kind(self.target_type, y, groups)
        if groups is not None:
            design = design_groups(kind, rows, y, groups, self.n_shot, self.n_query, rng)
        else:
            shape = (rows.shape[1],) if shape is None else shape
            design = design_classes(rows, y, shape, self.n_way, self.n_shot, self.n_query, rng)
        candidates = make_candidates(self.candidates, design, self.device)
        seed = int(rng.integers(2**31))
        with one_thread_if_small(design.X.size):
            plain = plain_entries(design)
        with progress_bar(len(candidates), "AutoLearner", "learners", verbose=self.verbose) as bar:
            for entry in candidates:
                bar.set_postfix({"learner": entry.name})
                measure_learner(entry, design, seed, self.device)
                bar.update()
        chosen = choose(candidates, design.weights)
        if chosen is None:
            reasons = "; ".join(f"{entry.name}: {entry.error}" for entry in candidates)
            raise EpisodeError(
                f"None of the learners could learn these tasks ({reasons}). Give other candidates."
            )
        # The table as it was given, so that the prior knows the columns of a data frame.
        self.best_learner_: MetaLearner = train(chosen, kind, seed, X, y, groups)
        self.prior_: MetaPrior = self.best_learner_.prior_
        results = [*plain, *candidates]
        self._leaderboard = leaderboard_rows(results, chosen.name, design.weights)
        summary, is_beaten = summarise(design, results, chosen)
        self.summary_: str = summary
        for entry in candidates:
            if entry.error and not isinstance(self.candidates, str):
                warn_caller(
                    f"{entry.name} failed ({entry.error}). It is not compared. Change it, or "
                    "leave it out of candidates.",
                    FitFailedWarning,
                )
        if is_beaten:
            warn_caller(self.summary_, PriorWarning)
        return self

    @property
    def leaderboard_(self) -> Any:
        """Learners and plain models, the least loss first, as a pandas DataFrame."""
        pandas = import_optional("pandas", "history")
        return pandas.DataFrame(self._leaderboard)

    def score(self, X: Any, y: Any, groups: Any = None) -> float:
        """Return the mean accuracy (R2 for regression) of the chosen learner on new tasks.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            Rows of tasks that ``fit`` has not seen.
        y : array-like of shape (n_samples,)
            Class labels, or the targets of regressions.
        groups : array-like of shape (n_samples,), optional
            The task that each row belongs to; needed if ``fit`` had it.

        Returns
        -------
        float
            The score, as ``score`` of a learner returns it.
        """
        check_is_fitted(self, "prior_")
        return self.best_learner_.score(X, y, groups)
