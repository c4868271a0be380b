"""Plot the loss in new groups by the number of their known rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skmeta.plotting._display import Display


@dataclass(kw_only=True, eq=False, repr=False)
class GroupLossDisplay(Display):
    """Loss in groups that were held out, by the number of their known rows.

    It shows how many rows of a new group are needed, and what each part of the mixture
    contributes. Create a display with :meth:`from_estimator`, and draw it again with :meth:`plot`.

    Parameters
    ----------
    n_known : sequence of str
        Numbers of known rows.
    losses : mapping of str to array-like of shape (n_points,)
        Losses of each model; NaN is not drawn.
    loss_name : str, default="loss"
        Name of the loss, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        A line for each model.

    Examples
    --------
    >>> from skmeta.plotting import GroupLossDisplay
    >>> losses = {"population": [0.9, 0.9], "mixture": [0.9, 0.4]}
    >>> display = GroupLossDisplay(n_known=["0", "5"], losses=losses).plot()
    >>> [line.get_label() for line in display.lines_]
    ['population', 'mixture']
    """

    n_known: Sequence[str]
    losses: Mapping[str, Any]
    loss_name: str = "loss"

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **line_kw: Any) -> Self:
        """Draw ``losses_`` of a fitted estimator of grouped tables.

        Parameters
        ----------
        estimator : GroupedRegressor or GroupedClassifier
            Fitted, with one column of groups.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        **line_kw
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        GroupLossDisplay
            The display, drawn.

        Raises
        ------
        AttributeError
            If the estimator has several columns of groups.
        """
        frame = estimator.losses_
        is_classifier = hasattr(estimator, "classes_")
        display = cls(
            n_known=list(frame.index),
            losses={name: frame[name].to_numpy() for name in frame.columns},
            loss_name="log loss" if is_classifier else "squared error / variance of y",
        )
        return display.plot(ax=ax, **line_kw)

    def plot(self, *, ax: Any = None, **line_kw: Any) -> Self:
        """Draw the losses.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        **line_kw
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        GroupLossDisplay
            Itself.
        """
        ax = self._begin(ax)
        at = np.arange(len(self.n_known))
        self.lines_ = []
        for name, losses in self.losses.items():
            settings: dict[str, Any] = {"marker": "o", "markersize": 4, "linewidth": 1}
            if name == "mixture":
                settings |= {"color": "black", "linewidth": 2.5, "zorder": 1.5}
            self.lines_ += ax.plot(at, losses, label=name, **settings | line_kw)
        ax.set_xticks(at, self.n_known)
        ax.set(xlabel="known rows of a group held out", ylabel=self.loss_name)
        ax.legend()
        return self
