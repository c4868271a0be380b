"""Pictures of learners: curves of meta-training, and of adapting to new tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta._validation import check_count
from skmeta.plotting._display import Display

# Kind of task -> key of the learning curve, name of the metric, and the sign of scores.
_METRICS = {
    "classification": ("score", "accuracy", 1.0),
    "regression": ("loss", "squared error (standardised)", -1.0),
    "policy": ("score", "mean return", 1.0),
    "optimizer": ("loss", "mean loss over all steps", 1.0),
}
# Plain models whose scores a learning curve has, and their line styles.
_BASELINES = {
    "nearest_mean": ("nearest class mean", ":"),
    "nearest_neighbour": ("nearest neighbour", (0, (3, 1, 1, 1))),
    "logistic_regression": ("logistic regression on each task", "-."),
    "task_ridge": ("ridge regression on each task", "-."),
    "pooled_ridge": ("ridge regression on all tasks", (0, (1, 3))),
}


class LearningCurveDisplay(Display):
    """Loss or score of training and validation tasks over meta-training.

    Create a display with :meth:`from_estimator`, and draw it again with :meth:`plot`.

    Attributes
    ----------
    iteration : array-like of shape (n_points,)
        Number of meta-iterations so far.
    train : array-like of shape (n_points,)
        Mean of the metric over the training tasks since the previous point.
    validation : array-like of shape (n_points,) or None
        Mean of the metric over the validation tasks.
    metric_name : str
        Name of the metric, for the axis.
    estimator_name : str or None
        Name of the learner, for the legend.
    baselines : dict of str to float
        Metric of plain models on the validation tasks, by what the legend calls them.
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        The training curve, then the validation curve if there is one.
    baseline_lines_ : list of matplotlib Line2D
        A horizontal line for each of the plain models.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skmeta.learners import ProtoNet, Validation
    >>> from skmeta.plotting import LearningCurveDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> settings = {"n_iterations": 20, "validation": Validation(n_tasks=5, every=5)}
    >>> learner = ProtoNet(n_way=3, random_state=0, **settings).fit(X, y)
    >>> display = LearningCurveDisplay.from_estimator(learner)
    >>> display.metric_name, len(display.iteration)
    ('accuracy', 4)
    """

    iteration: Any
    train: Any
    validation: Any = None
    metric_name: str = "loss"
    estimator_name: str | None = None
    baselines: Mapping[str, float] | None = None

    @classmethod
    def from_estimator(
        cls, learner: Any, *, baselines: bool = True, ax: Any = None, **line_kw: Any
    ) -> Self:
        """Draw the learning curve of a fitted meta-learner: accuracy, squared error or mean return.

        Parameters
        ----------
        learner : MetaLearner
            A fitted learner.
        baselines : bool, default=True
            Draw the metric of plain models on the validation tasks too, if the curve has it.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        **line_kw
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        LearningCurveDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the learner is not fitted.
        ValueError
            If it has no learning curve, because it has no outer loop.
        """
        check_is_fitted(learner, "prior_")
        history = vars(learner).get("learning_curve_", {})  # AutoLearner has none.
        metric, name, sign = _METRICS[learner.prior_.kind]
        if f"train_{metric}" not in history:
            is_auto = hasattr(learner, "leaderboard_")
            raise ValueError(
                f"{type(learner).__name__} has no learning curve. "
                + ("Its leaderboard_ compares learners." if is_auto else "It has no outer loop.")
            )
        validation = history.get(f"validation_{metric}")
        plain = {
            label: sign * history[f"{key}_score"][-1]
            for key, (label, _) in _BASELINES.items()
            if history.get(f"{key}_score")
        }
        display = cls._make(
            iteration=np.asarray(history["iteration"]),
            train=np.asarray(history[f"train_{metric}"]),
            validation=None if validation is None else np.asarray(validation),
            metric_name=name,
            estimator_name=type(learner).__name__,
            baselines=plain if baselines else None,
        )
        return display.plot(ax, **line_kw)

    def plot(self, ax: Any = None, **line_kw: Any) -> Self:
        """Draw the curves on `ax` (None makes a figure), with settings of ``Axes.plot``."""
        ax = self._begin(ax)
        curves = [("training tasks", self.train, "--")]
        if self.validation is not None:
            curves.append(("validation tasks", self.validation, "-"))
        name = "" if self.estimator_name is None else f"{self.estimator_name}, "
        self.lines_: list[Any] = []
        # The two curves of a learner share a colour, so that learners can be compared.
        color = None
        for label, values, style in curves:
            kw = {"linestyle": style, "label": name + label, "color": color} | line_kw
            (line,) = ax.plot(self.iteration, values, **kw)
            color = line.get_color()
            self.lines_.append(line)
        self.baseline_lines_: list[Any] = []
        styles = dict(_BASELINES.values())
        for label, value in (self.baselines or {}).items():
            # Another learner in the same axes has the same baselines.
            known = label in {line.get_label() for line in ax.get_lines()}
            kw = {"color": "0.4", "linestyle": styles.get(label, ":"), "linewidth": 1}
            line = ax.axhline(value, label=None if known else label, **kw)
            self.baseline_lines_.append(line)
        ax.set(xlabel="meta-iteration", ylabel=self.metric_name)
        ax.legend()
        return self


# -- adapting to new tasks -------------------------------------------------------------------------

_LABELS = {"n_inner_steps": "gradient steps", "n_shot": "support rows"}
_MARKERS = ("o", "s", "D", "^", "v")
_LINES = ("-", "--", "-.", ":")


class AdaptationDisplay(Display):
    """Scores of new tasks by the number of gradient steps, or by the number of known rows.

    Create a display with :meth:`from_estimator`, and draw it again with :meth:`plot`.

    Attributes
    ----------
    values : array-like of shape (n_points,)
        Numbers of steps or of rows.
    scores : array-like of shape (n_points, n_tasks)
        Score of each task.
    varied : {"n_inner_steps", "n_shot"}
        What `values` are.
    metric_name : str
        Name of the score, for the axis.
    estimator_name : str or None
        Name of the learner, for the legend.
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.
    line_ : matplotlib Line2D
        The means over the tasks.
    band_ : matplotlib PolyCollection
        Their 95% intervals.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MAML
    >>> from skmeta.plotting import AdaptationDisplay
    >>> X, y, groups = make_sinusoid_tasks(30, random_state=0)
    >>> learner = MAML(n_iterations=3, n_shot=5, n_query=5, random_state=0)
    >>> learner = learner.fit(X[groups < 20], y[groups < 20], groups=groups[groups < 20])
    >>> new = groups >= 20
    >>> display = AdaptationDisplay.from_estimator(
    ...     learner, X[new], y[new], groups[new], n_inner_steps=[0, 1, 5], n_tasks=10
    ... )
    >>> display.scores.shape
    (3, 10)
    """

    values: Any
    scores: Any
    varied: str = "n_inner_steps"
    metric_name: str = "accuracy"
    estimator_name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        learner: Any,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        n_inner_steps: Sequence[int] | None = None,
        n_shot: Sequence[int] | None = None,
        n_tasks: int = 100,
        random_state: int = 0,
        ax: Any = None,
        **line_kw: Any,
    ) -> Self:
        """Score tasks with several numbers of steps or of rows, and draw the curve.

        Parameters
        ----------
        learner : MetaLearner
            A fitted learner.
        X : array-like of shape (n_samples, n_features)
            Rows of classes or groups that meta-training has not seen.
        y : array-like of shape (n_samples,)
            Their classes or targets.
        groups : array-like of shape (n_samples,), default=None
            The group of each row, if tasks are groups.
        n_inner_steps : sequence of int, default=None
            Numbers of gradient steps. All have the same tasks. By default 0 to twice those of the
            learner, if it has steps and `n_shot` is not given.
        n_shot : sequence of int, default=None
            Numbers of support rows, as the learner's own ``n_shot`` counts them. By default 1, 2, 5
            and 10, if the learner has no steps.
        n_tasks : int, default=100
            Number of tasks for each point.
        random_state : int, default=0
            Draws the tasks.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        **line_kw
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        AdaptationDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the learner is not fitted.
        TypeError
            If `learner` is not a meta-learner.
        ValueError
            If both `n_inner_steps` and `n_shot` are given, one of them is not a count, or the
            learner has no gradient steps.
        """
        name = type(learner).__name__
        if not hasattr(type(learner), "score_tasks"):
            raise TypeError(
                f"learner must be a fitted meta-learner, such as MAML(), got {name}. "
                "For an AutoLearner, pass best_learner_; for another estimator, the learner of "
                "its prior."
            )
        check_is_fitted(learner, "prior_")
        own_steps = learner.get_params(deep=False).get("n_inner_steps")
        if n_inner_steps is not None and n_shot is not None:
            raise ValueError("Give n_inner_steps or n_shot: one picture has one of them as axis.")
        if n_inner_steps is not None and own_steps is None:
            raise ValueError(f"{name} adapts without gradient steps. Give n_shot instead.")
        if n_shot is None and own_steps is not None:
            varied, least, given = "n_inner_steps", 0, n_inner_steps
            default: Sequence[int] = range(2 * own_steps + 1)
        else:
            varied, least, given, default = "n_shot", 1, n_shot, (1, 2, 5, 10)
        values = [check_count(v, varied, least) for v in (default if given is None else given)]
        if not values:
            raise ValueError(f"{varied} is empty. Give at least one number.")
        is_classification = learner.prior_.kind == "classification"
        scores = []
        for value in values:
            drawn = {"n_tasks": n_tasks, "random_state": random_state, varied: value}
            each = learner.score_tasks(X, y, groups, **drawn)
            scores.append(each if is_classification else -each)
        display = cls._make(
            values=np.asarray(values),
            scores=np.asarray(scores),
            varied=varied,
            metric_name="accuracy" if is_classification else "mean squared error",
            estimator_name=name,
        )
        return display.plot(ax, **line_kw)

    def plot(self, ax: Any = None, **line_kw: Any) -> Self:
        """Draw the means over the tasks, with 95% intervals, on `ax` (None makes a figure)."""
        ax = self._begin(ax)
        scores = np.asarray(self.scores, dtype=np.float64)
        mean, n_tasks = scores.mean(axis=1), scores.shape[1]
        error = 1.96 * scores.std(axis=1, ddof=1 if n_tasks > 1 else 0) / np.sqrt(n_tasks)
        # Learners in the same axes can be told apart without colours.
        number = len(ax.get_lines())
        style = {
            "marker": _MARKERS[number % len(_MARKERS)],
            "linestyle": _LINES[number % len(_LINES)],
            "label": self.estimator_name,
        }
        self.line_: Any = ax.plot(self.values, mean, **style | line_kw)[0]
        color = self.line_.get_color()
        self.band_: Any = ax.fill_between(
            self.values, mean - error, mean + error, color=color, alpha=0.2, linewidth=0
        )
        ax.set(xlabel=_LABELS[self.varied], ylabel=self.metric_name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        if self.estimator_name is not None:
            ax.legend()
        return self
