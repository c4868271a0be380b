"""Pictures of groups: their effects with intervals, and their rows in time with predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from skmeta._columns import resolve_columns, take_column
from skmeta._optional import import_optional
from skmeta._validation import check_count, suggest
from skmeta.plotting._display import Display

# Half the width of an interval of 95%, in standard deviations.
_HALF_WIDTH = 1.96
# More groups than this have no labels.
_MAX_LABELS = 40


class GroupEffectsDisplay(Display):
    """Effects of groups with intervals, sorted: the caterpillar plot of mixed models.

    Create a display with :meth:`from_estimator`, and draw it again with :meth:`plot`.

    Attributes
    ----------
    names : sequence
        Names of the groups.
    estimate : array-like of shape (n_groups,)
        Effect of each group.
    std : array-like of shape (n_groups,) or None
        Standard deviations.
    reference : float or None
        The effect of a group without rows.
    label : str
        What differs between groups.
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.
    order_ : ndarray of shape (n_groups,), int64
        Position of each group that is drawn, from the least effect to the largest.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import GroupedRegressor
    >>> from skmeta.plotting import GroupEffectsDisplay
    >>> rng, school = np.random.default_rng(0), np.repeat(np.arange(12), 9)
    >>> x = rng.normal(size=108)
    >>> y = -5 * school + x + rng.normal(size=108)
    >>> model = GroupedRegressor(0, model="mixed").fit(np.column_stack([school, x]), y)
    >>> GroupEffectsDisplay.from_estimator(model).order_
    array([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    """

    names: Any
    estimate: Any
    std: Any = None
    reference: float | None = None
    label: str = "intercept"

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
        display = cls._make(
            names=list(group_rows.index),
            estimate=group_rows[effect].to_numpy(),
            std=None if std is None else std.to_numpy(),
            reference=float(frame[effect].iloc[0]),
            label=effect,
        )
        return display.plot(ax=ax, **line_kw)

    def plot(self, *, ax: Any = None, **line_kw: Any) -> Self:
        """Draw the effects on `ax` (None makes a figure), with settings of ``Axes.errorbar``."""
        ax = self._begin(ax)
        effect = np.asarray(self.estimate, dtype=np.float64)
        self.order_: np.ndarray = np.argsort(effect, kind="stable")
        height = np.arange(len(effect))
        half = None
        if self.std is not None:
            half = _HALF_WIDTH * np.asarray(self.std, dtype=np.float64)[self.order_]
        settings = {"fmt": "o", "markersize": 3, "elinewidth": 1, "color": "tab:blue"} | line_kw
        ax.errorbar(effect[self.order_], height, xerr=half, **settings)
        if self.reference is not None:
            ax.axvline(self.reference, color="0.6", linewidth=1, zorder=0)
        ax.set_xlabel(self.label if half is None else f"{self.label}, with 95% intervals")
        if len(effect) <= _MAX_LABELS:
            ax.set_yticks(height, [str(self.names[k]) for k in self.order_])
        else:
            ax.set_yticks([])
            ax.set_ylabel(f"{len(effect)} groups, sorted")
        return self


# -- rows in time ----------------------------------------------------------------------------------

_N_COLUMNS = 4


class Trajectory(NamedTuple):
    """Known times and targets of one group, predictions with bounds, and targets observed later."""

    known_times: np.ndarray
    known: np.ndarray
    times: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    actual: np.ndarray | None = None


class GroupTrajectoryDisplay(Display):
    """Known rows of groups in time, and predictions ahead with their intervals.

    Each group has axes of its own. Create a display with :meth:`from_estimator`, and draw it again
    with :meth:`plot`.

    Attributes
    ----------
    trajectories : mapping of group to Trajectory
        Times and targets of the groups, in the order in which they are drawn.
    level : float
        Share of targets that intervals shall hold, for the legend.
    names : tuple of (str, str)
        Names of the axes.
    axes_ : list of matplotlib Axes
        Axes of each group.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import GroupedRegressor
    >>> from skmeta.plotting import GroupTrajectoryDisplay
    >>> child, age = np.repeat(np.arange(12), 8), np.tile(np.arange(8.0), 12)
    >>> X, known = np.column_stack([child, age]), age < 6
    >>> y = 100 + 5 * age + child * age + np.random.default_rng(0).normal(size=96)
    >>> model = GroupedRegressor(0, order=1).fit(X[known], y[known])
    >>> display = GroupTrajectoryDisplay.from_estimator(model, X[known], y[known], X[~known])
    >>> len(display.axes_)
    8
    """

    trajectories: Mapping[Any, Any]
    level: float = 0.9
    names: tuple[str, str] = ("time", "y")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        X_ahead: Any,
        y_ahead: Any = None,
        *,
        groups: Any = None,
        n_groups: int = 8,
        level: float = 0.9,
        axes: Any = None,
    ) -> Self:
        """Predict rows of groups, and draw them after their known rows.

        Parameters
        ----------
        estimator : GroupedRegressor
            Fitted with ``order``, and with one column of groups.
        X, y : data frame or array of shape (n_samples, n_features), array-like of (n_samples,)
            Known rows of groups, which are drawn as they are.
        X_ahead : data frame or array of shape (n_ahead, n_features)
            Rows to predict.
        y_ahead : array-like of shape (n_ahead,) or None, default=None
            Their targets, if they are there.
        groups : list or None, default=None
            Groups to draw. None takes the first of ``X_ahead``.
        n_groups : int, default=8
            Number of groups to draw, if none are named.
        level : float, default=0.9
            Share of targets that intervals shall hold.
        axes : sequence of matplotlib Axes or None, default=None
            Where to draw each group. None makes a figure.

        Returns
        -------
        GroupTrajectoryDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the estimator has no ``order``, no quantiles or several columns of groups, or a group
            has no rows in ``X_ahead``.
        """
        if getattr(estimator, "order", None) is None or not hasattr(estimator, "predict_quantiles"):
            raise ValueError(
                f"The trajectories of {type(estimator).__name__} need times and intervals. Fit "
                "GroupedRegressor with order, the column of times."
            )
        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, both excluded, got {level!r}.")
        column = estimator.groups
        if column is None or isinstance(column, (list, tuple)):
            raise ValueError(
                f"Trajectories are drawn of one column of groups, got groups={column!r}. Name one."
            )
        labels, times = (
            [_column(part, name) for part in (X, X_ahead)] for name in (column, estimator.order)
        )
        tails = (1 - level) / 2
        low, high = estimator.predict_quantiles(X_ahead, (tails, 1 - tails)).T
        mean, y = estimator.predict(X_ahead), np.asarray(y)
        ahead = None if y_ahead is None else np.asarray(y_ahead)
        order = [np.argsort(part, kind="stable") for part in times]
        known_names = list(dict.fromkeys(labels[1].tolist()))
        if groups is None:
            groups = known_names[: check_count(n_groups, "n_groups")]
        trajectories = {}
        for group in groups:
            known, rows = (at[names[at] == group] for at, names in zip(order, labels, strict=True))
            if not len(rows):
                hint = suggest(group, known_names) if isinstance(group, str) else ""
                raise ValueError(f"Group {group!r} has no rows in X_ahead.{hint} Name another.")
            predicted = (part[rows] for part in (times[1], mean, low, high))
            actual = None if ahead is None else ahead[rows]
            trajectories[group] = Trajectory._make((times[0][known], y[known], *predicted, actual))
        names = (str(estimator.order), getattr(y_ahead, "name", None) or "y")
        return cls._make(trajectories=trajectories, level=level, names=names).plot(axes=axes)

    def plot(self, *, axes: Any = None, **line_kw: Any) -> Self:
        """Draw each group on its own of the `axes` (None makes a figure)."""
        n = len(self.trajectories)
        if axes is None:
            pyplot = import_optional("matplotlib.pyplot", "plot")
            shape = -(-n // _N_COLUMNS), min(n, _N_COLUMNS)
            size = (2.4 * shape[1] + 0.6, 2.1 * shape[0] + 0.6)
            figure, grid = pyplot.subplots(
                *shape, sharex=True, sharey=True, squeeze=False, figsize=size, layout="constrained"
            )
            axes = grid.ravel()
            for ax in axes[n:]:
                ax.set_axis_off()
            figure.supxlabel(self.names[0])
            figure.supylabel(self.names[1])
        self.axes_: list[Any] = list(np.ravel(axes))[:n]
        for ax, (group, trajectory) in zip(self.axes_, self.trajectories.items(), strict=True):
            _draw(ax, Trajectory(*trajectory), f"{self.level:.0%} interval", line_kw)
            ax.set_title(str(group), fontsize="medium")
        self.axes_[0].legend(fontsize="small")
        self.figure_: Any = self.axes_[0].figure
        return self


def _draw(ax: Any, one: Trajectory, interval: str, line_kw: dict[str, Any]) -> None:
    ax.fill_between(one.times, one.low, one.high, color="C0", alpha=0.2, lw=0, label=interval)
    ax.plot(one.known_times, one.known, "k.-", markersize=4, linewidth=1, label="known")
    ax.plot(one.times, one.mean, **{"color": "C0", "label": "predicted"} | line_kw)
    if one.actual is not None:
        ax.plot(one.times, one.actual, "ko", markersize=3, fillstyle="none", label="observed")


def _column(X: Any, name: str | int) -> np.ndarray:
    values = take_column(X, resolve_columns(X, name, "columns")[0])
    return np.array(values.tolist())
