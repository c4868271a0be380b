"""Plot the effects of groups with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skmeta._validation import suggest
from skmeta.plotting._display import Display

# Half the width of an interval of 95%, in standard deviations.
_HALF_WIDTH = 1.96
# More groups than this have no labels.
_MOST_LABELS = 40


@dataclass(kw_only=True, eq=False, repr=False)
class GroupEffectsDisplay(Display):
    """Effects of groups with intervals, sorted: the caterpillar plot of mixed models.

    Create a display with :meth:`from_estimator`, and draw it again with :meth:`plot`.

    Parameters
    ----------
    groups : sequence
        Names of the groups.
    effect : array-like of shape (n_groups,)
        Effect of each group.
    std : array-like of shape (n_groups,) or None, default=None
        Standard deviations.
    shared : float or None, default=None
        The effect of a group without rows.
    name : str, default="intercept"
        What differs between groups.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.
    order_ : ndarray of shape (n_groups,), int64
        Position of each group that is drawn, from the least effect to the largest.

    Examples
    --------
    >>> from skmeta.plotting import GroupEffectsDisplay
    >>> display = GroupEffectsDisplay(groups=["b", "a"], effect=[2.0, 1.0], std=[0.5, 0.1])
    >>> display.plot().order_
    array([1, 0])
    """

    groups: Any
    effect: Any
    std: Any = None
    shared: float | None = None
    name: str = "intercept"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        effect: str = "intercept",
        column: Any = None,
        ax: Any = None,
        **line_kw: Any,
    ) -> Self:
        """Draw the effects of a fitted estimator of grouped tables.

        Parameters
        ----------
        estimator : GroupedRegressor or GroupedClassifier
            Fitted.
        effect : str, default="intercept"
            A column of its ``effects_``: the intercept, or the slope of a column.
        column : str, int or None, default=None
            Column of groups whose effects are drawn, if the estimator has several. None draws the
            first.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        **line_kw
            Passed to :meth:`matplotlib.axes.Axes.errorbar`.

        Returns
        -------
        GroupEffectsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is no such effect, or no such column of groups.
        """
        frame = estimator.effects_
        columns = frame.index.unique(0) if frame.index.nlevels > 1 else [estimator.groups]
        # A list of one column is that column; effects_ names columns by strings.
        known = [str(c[0] if isinstance(c, (list, tuple)) else c) for c in columns]
        column = known[0] if column is None else str(column)
        if column not in known:
            raise ValueError(
                f"There is no column of groups {column!r}.{suggest(column, known)} Name one of "
                f"{', '.join(map(repr, known))}."
            )
        frame = frame.loc[column] if frame.index.nlevels > 1 else frame
        if effect not in frame.columns:
            raise ValueError(
                f"There is no effect {effect!r}.{suggest(effect, frame.columns)} effects_ has "
                f"{', '.join(map(repr, frame.columns))}."
            )
        group_rows = frame.iloc[1:]
        std = group_rows.get(f"{effect} std")
        display = cls(
            groups=list(group_rows.index),
            effect=group_rows[effect].to_numpy(),
            std=None if std is None else std.to_numpy(),
            shared=float(frame[effect].iloc[0]),
            name=effect,
        )
        return display.plot(ax=ax, **line_kw)

    def plot(self, *, ax: Any = None, **line_kw: Any) -> Self:
        """Draw the effects.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        **line_kw
            Passed to :meth:`matplotlib.axes.Axes.errorbar`.

        Returns
        -------
        GroupEffectsDisplay
            Itself.
        """
        ax = self._begin(ax)
        effect = np.asarray(self.effect, dtype=np.float64)
        self.order_ = np.argsort(effect, kind="stable")
        height = np.arange(len(effect))
        half = None
        if self.std is not None:
            half = _HALF_WIDTH * np.asarray(self.std, dtype=np.float64)[self.order_]
        settings = {"fmt": "o", "markersize": 3, "elinewidth": 1, "color": "tab:blue"} | line_kw
        ax.errorbar(effect[self.order_], height, xerr=half, **settings)
        if self.shared is not None:
            ax.axvline(self.shared, color="0.6", linewidth=1, zorder=0)
        ax.set_xlabel(self.name if half is None else f"{self.name}, with 95% intervals")
        if len(effect) <= _MOST_LABELS:
            ax.set_yticks(height, [str(self.groups[k]) for k in self.order_])
        else:
            ax.set_yticks([])
            ax.set_ylabel(f"{len(effect)} groups, sorted")
        return self
