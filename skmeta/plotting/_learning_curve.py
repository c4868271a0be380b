"""Plot the learning curve of a meta-learner."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta._optional import import_optional

__all__ = ["LearningCurveDisplay"]

_METRICS = ("auto", "score", "loss")


class LearningCurveDisplay:
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

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        The training curve, then the validation curve if there is one.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skmeta.learners import ProtoNet
    >>> from skmeta.plotting import LearningCurveDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> settings = {"n_iterations": 20, "evaluate_every": 5, "n_validation_tasks": 5}
    >>> learner = ProtoNet(n_way=3, random_state=0, **settings).fit(X, y)
    >>> display = LearningCurveDisplay.from_estimator(learner)
    >>> display.metric_name, len(display.iteration)
    ('accuracy', 4)
    """

    def __init__(
        self,
        *,
        iteration: Any,
        train: Any,
        validation: Any = None,
        metric_name: str = "loss",
        estimator_name: str | None = None,
    ) -> None:
        self.iteration = iteration
        self.train = train
        self.validation = validation
        self.metric_name = metric_name
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls, learner: Any, *, metric: str = "auto", ax: Any = None, **line_kw: Any
    ) -> Self:
        """Draw the history of a fitted meta-learner.

        Parameters
        ----------
        learner : MetaLearner
            A fitted learner.
        metric : {"auto", "score", "loss"}, default="auto"
            ``"score"`` is the accuracy of classifications, ``"loss"`` the cross-entropy or the
            squared error in standardised units; ``"auto"`` takes the score of classifications
            and the loss of regressions.
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
            If ``metric`` is unknown.
        """
        check_is_fitted(learner, ["history_", "prior_"])
        if metric not in _METRICS:
            raise ValueError(f"metric must be one of {_METRICS}, got {metric!r}.")
        kind, history = learner.prior_.kind, learner.history_
        if metric == "auto":
            metric = "score" if kind == "classification" else "loss"
        validation = history.get(f"validation_{metric}")
        display = cls(
            iteration=np.asarray(history["iteration"]),
            train=np.asarray(history[f"train_{metric}"]),
            validation=None if validation is None else np.asarray(validation),
            metric_name=_metric_name(kind, metric),
            estimator_name=type(learner).__name__,
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
        if ax is None:
            _, ax = import_optional("matplotlib.pyplot", "plot").subplots()
        curves = [("training tasks", self.train, "--")]
        if self.validation is not None:
            curves.append(("validation tasks", self.validation, "-"))
        name = "" if self.estimator_name is None else f"{self.estimator_name}, "
        self.lines_ = []
        color = (
            None  # The two curves of a learner share a colour, so that learners can be compared.
        )
        for label, values, style in curves:
            kw = {"linestyle": style, "label": name + label, "color": color} | line_kw
            (line,) = ax.plot(self.iteration, values, **kw)
            color = line.get_color()
            self.lines_.append(line)
        ax.set(xlabel="meta-iteration", ylabel=self.metric_name)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _metric_name(kind: str, metric: str) -> str:
    names = {
        ("classification", "score"): "accuracy",
        ("classification", "loss"): "cross-entropy",
        ("regression", "score"): "minus squared error (standardised)",
        ("regression", "loss"): "squared error (standardised)",
    }
    return names[kind, metric]
