"""Plot the learning curve of a meta-learner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta.plotting._display import Display

# Kind of task -> key of the history, name of the metric, and the sign of scores.
_METRICS = {
    "classification": ("score", "accuracy", 1.0),
    "regression": ("loss", "squared error (standardised)", -1.0),
    "policy": ("score", "mean return", 1.0),
}
# Plain models whose scores a learner's history has, and their line styles.
_BASELINES = {
    "nearest_mean": ("nearest class mean", ":"),
    "nearest_neighbour": ("nearest neighbour", (0, (3, 1, 1, 1))),
    "logistic_regression": ("logistic regression on each task", "-."),
    "task_ridge": ("ridge regression on each task", "-."),
    "pooled_ridge": ("ridge regression on all tasks", (0, (1, 3))),
}


@dataclass(kw_only=True, eq=False, repr=False)
class LearningCurveDisplay(Display):
    """Loss or score of training and validation tasks over meta-training.

    Create a display with :meth:`from_estimator`, and draw it again with :meth:`plot`.

    Parameters
    ----------
    iteration : array-like of shape (n_points,)
        Number of meta-iterations so far.
    train : array-like of shape (n_points,)
        Mean of the metric over the training tasks since the previous point.
    validation : array-like of shape (n_points,) or None, default=None
        Mean of the metric over the validation tasks.
    metric_name : str, default="loss"
        Name of the metric, for the axis.
    estimator_name : str or None, default=None
        Name of the learner, for the legend.
    baselines : dict of str to float, default=None
        Metric of plain models on the validation tasks, by what the legend calls them.

    Attributes
    ----------
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
        cls,
        learner: Any,
        *,
        baselines: bool = True,
        ax: Any = None,
        **line_kw: Any,
    ) -> Self:
        """Draw the history of a fitted meta-learner: accuracy, squared error or mean return.

        Parameters
        ----------
        learner : MetaLearner
            A fitted learner.
        baselines : bool, default=True
            Draw the metric of plain models on the validation tasks too, if the history has it.
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
        history = vars(learner).get("history_", {})  # AutoLearner has none.
        metric, name, sign = _METRICS[learner.prior_.kind]
        if f"train_{metric}" not in history:
            is_auto = hasattr(learner, "leaderboard_")
            raise ValueError(
                f"{type(learner).__name__} has no learning curve. "
                + ("Its leaderboard_ compares learners." if is_auto else "It has no outer loop.")
            )
        validation = history.get(f"validation_{metric}")
        display = cls(
            iteration=np.asarray(history["iteration"]),
            train=np.asarray(history[f"train_{metric}"]),
            validation=None if validation is None else np.asarray(validation),
            metric_name=name,
            estimator_name=type(learner).__name__,
            baselines=_baselines(history, sign) if baselines else None,
        )
        return display.plot(ax, **line_kw)

    def plot(self, ax: Any = None, **line_kw: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        **line_kw
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        LearningCurveDisplay
            This display.
        """
        ax = self._begin(ax)
        curves = [("training tasks", self.train, "--")]
        if self.validation is not None:
            curves.append(("validation tasks", self.validation, "-"))
        name = "" if self.estimator_name is None else f"{self.estimator_name}, "
        self.lines_ = []
        # The two curves of a learner share a colour, so that learners can be compared.
        color = None
        for label, values, style in curves:
            kw = {"linestyle": style, "label": name + label, "color": color} | line_kw
            (line,) = ax.plot(self.iteration, values, **kw)
            color = line.get_color()
            self.lines_.append(line)
        self.baseline_lines_ = []
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


def _baselines(history: Mapping[str, Any], sign: float) -> dict[str, float]:
    """Return the metric of the plain models that a history has."""
    return {
        label: sign * history[f"{name}_score"][-1]
        for name, (label, _) in _BASELINES.items()
        if history.get(f"{name}_score")
    }
