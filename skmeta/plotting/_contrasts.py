"""A picture of contrasts: the forest plot."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from skmeta.plotting._display import Display

# Height of a row, and least height of a figure, in inches.
_ROW, _LEAST = 0.28, 1.8


class ContrastDisplay(Display):
    """Contrasts with their intervals, one below the other: a forest plot.

    Create a display with :meth:`from_estimator`, and draw it again with :meth:`plot`.

    Attributes
    ----------
    names : sequence of str
        Names of the contrasts, from top to bottom.
    estimate : array-like of shape (n_contrasts,)
        Differences or ratios.
    lower, upper : array-like of shape (n_contrasts,)
        Bounds of the intervals.
    is_ratio : bool
        Whether they are ratios: no effect is 1, and the axis is logarithmic.
    label : str
        What is estimated.
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import GroupedRegressor
    >>> from skmeta.plotting import ContrastDisplay
    >>> clinic, drug = np.repeat(np.arange(12), 6), np.tile([0.0, 1.0], 36)
    >>> y = clinic + 2 * drug + np.random.default_rng(0).normal(size=72)
    >>> model = GroupedRegressor(0, model="mixed").fit(np.column_stack([clinic, drug]), y)
    >>> ContrastDisplay.from_estimator(model, 1, 1.0, 0.0).ax_.get_xlabel()
    '1: difference, with 95% intervals'
    """

    names: Any
    estimate: Any
    lower: Any
    upper: Any
    is_ratio: bool = False
    label: str = "difference"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        column: str | int,
        to: Any,
        versus: Any = None,
        X: Any = None,
        *,
        group: str | int | None = None,
        level: float = 0.95,
        ratio: bool = False,
        ax: Any = None,
        **line_kw: Any,
    ) -> Self:
        """Draw contrasts of a fitted estimator; those of groups are sorted, the common one on top.

        Parameters
        ----------
        estimator : estimator with ``contrast``
            Fitted.
        column : str or int
            The column whose effect is asked, see ``contrast`` of the estimator.
        to : object
            Its value, or a list of values.
        versus : object or None, default=None
            The value that it is compared with.
        X : array-like or data frame or None, default=None
            Rows to average over; None takes those of ``fit``.
        group : str or int or None, default=None
            A column of groups, each of which gets a contrast.
        level : float, default=0.95
            Probability of the intervals.
        ratio : bool, default=False
            Whether to draw ratios in place of differences.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        **line_kw : dict
            Passed to :meth:`matplotlib.axes.Axes.errorbar`.

        Returns
        -------
        ContrastDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the contrast cannot be told, or has no ratio.
        """
        frames = [estimator.contrast(column, to, versus, X, level=level)]
        shown = "ratio" if ratio else "estimate"
        if shown not in frames[0]:
            raise ValueError(
                f"Targets of kind {estimator.target_type_!r} have differences and no ratios. Set "
                "ratio=False."
            )
        names, what = _labels(frames[0]), "ratio" if ratio else "difference"
        if hasattr(estimator, "classes_"):
            what += " of odds" if ratio else " of probabilities"
            what += f" of {estimator.classes_[1]}" if len(estimator.classes_) == 2 else ""
        label = f"{column}: {what}, with {level:.0%} intervals"
        if group is not None:
            each = estimator.contrast(column, to, versus, X, group=group, level=level)
            frames.append(each.sort_values(shown, ascending=False))
            is_one = len(names) == 1
            if is_one:
                label, names = f"{column}, {names[0]}: {label.split(': ', 1)[1]}", ["all"]
            names += [f"  {name}" for name in _labels(frames[1], first=int(is_one))]
        ends = ["ratio_lower", "ratio_upper"] if ratio else ["lower", "upper"]
        values = np.vstack([frame[[shown, *ends]] for frame in frames])
        bounds = dict(zip(("estimate", "lower", "upper"), values.T, strict=True))
        return cls._make(names=names, **bounds, is_ratio=ratio, label=label).plot(ax=ax, **line_kw)

    def plot(self, *, ax: Any = None, **line_kw: Any) -> Self:
        """Draw the contrasts on `ax` (None makes a figure), with settings of ``Axes.errorbar``."""
        is_new, n = ax is None, len(self.names)
        ax = self._begin(ax)
        if is_new:
            ax.figure.set_layout_engine("constrained")
            ax.figure.set_figheight(max(_LEAST, 1 + _ROW * n))
        ends = np.array([self.lower, self.upper], dtype=np.float64)
        estimate, height = np.asarray(self.estimate, dtype=np.float64), np.arange(n)[::-1]
        settings = {"fmt": "o", "markersize": 4, "elinewidth": 1.2, "color": "tab:blue"} | line_kw
        ax.axvline(float(self.is_ratio), color="0.6", linewidth=1, linestyle="--", zorder=0)
        ax.errorbar(estimate, height, xerr=abs(ends - estimate), **settings)
        if self.is_ratio:
            ax.set_xscale("log", base=2, subs=[1.5])
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_formatter("{x:g}")
        ax.set_yticks(height, [str(name) for name in self.names])
        ax.set_ylim(-0.6, n - 0.4)
        ax.set_xlabel(self.label)
        return self


def _labels(frame: Any, first: int = 0) -> list[str]:
    """Return the labels of the rows of a frame, their levels from `first` on as one text."""
    labels = [name if isinstance(name, tuple) else (name,) for name in frame.index]
    return [", ".join(map(str, name[first:])) for name in labels]
