"""A picture of contrasts: the forest plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skmeta.plotting._display import Display

# Height of a row, and least height of a figure, in inches.
_ROW, _LEAST = 0.28, 1.8


@dataclass(kw_only=True, eq=False, repr=False)
class ContrastDisplay(Display):
    """Contrasts with their intervals, one below the other: a forest plot.

    Create a display with :meth:`from_estimator`, and draw it again with :meth:`plot`.

    Parameters
    ----------
    names : sequence of str
        Names of the contrasts, from top to bottom.
    estimate : array-like of shape (n_contrasts,)
        Differences or ratios.
    lower, upper : array-like of shape (n_contrasts,)
        Bounds of the intervals.
    is_ratio : bool, default=False
        Whether they are ratios: no effect is 1, and the axis is logarithmic.
    label : str, default="difference"
        What is estimated.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from skmeta.plotting import ContrastDisplay
    >>> one = {"names": ["drug - control"], "estimate": [2.0], "lower": [1.5], "upper": [2.5]}
    >>> ContrastDisplay(**one).plot().ax_.get_xlabel()
    'difference'
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
        settings = {"X": X, "level": level}
        frame = estimator.contrast(column, to, versus, **settings)
        names, shown = [str(name) for name in _joined(frame)], "ratio" if ratio else "estimate"
        if shown not in frame:
            raise ValueError(
                f"Targets of kind {estimator.target_kind_!r} have differences and no ratios. Set "
                "ratio=False."
            )
        columns = ["ratio", "ratio_lower", "ratio_upper"] if ratio else [shown, "lower", "upper"]
        values = frame[columns].to_numpy()
        if group is not None:
            each = estimator.contrast(column, to, versus, **settings, group=group)
            each = each.sort_values(shown, ascending=False)
            names += [f"  {name}" for name in _joined(each, 1 if len(frame) == 1 else 0)]
            values = np.vstack([values, each[columns].to_numpy()])
        is_of_classes = hasattr(estimator, "classes_")
        what = "difference of probabilities" if is_of_classes else "difference"
        what = ("ratio of odds" if is_of_classes else "ratio") if ratio else what
        label = f"{column}: {what}, with {level:.0%} intervals"
        if len(frame) == 1 and group is not None:
            label, names[0] = f"{column}, {names[0]}: {label.split(': ', 1)[1]}", "all"
        bounds = dict(zip(("estimate", "lower", "upper"), values.T, strict=True))
        return cls(names=names, **bounds, is_ratio=ratio, label=label).plot(ax=ax, **line_kw)

    def plot(self, *, ax: Any = None, **line_kw: Any) -> Self:
        """Draw the contrasts on `ax` (None makes a figure), with settings of ``Axes.errorbar``."""
        has_figure, n = ax is not None, len(self.names)
        ax = self._begin(ax)
        if not has_figure:
            ax.figure.set_layout_engine("constrained")
            ax.figure.set_figheight(max(_LEAST, 1 + _ROW * n))
        estimate, lower, upper = (
            np.asarray(part, dtype=np.float64) for part in (self.estimate, self.lower, self.upper)
        )
        half, height = np.stack([estimate - lower, upper - estimate]), np.arange(n)[::-1]
        settings = {"fmt": "o", "markersize": 4, "elinewidth": 1.2, "color": "tab:blue"} | line_kw
        ax.axvline(float(self.is_ratio), color="0.6", linewidth=1, linestyle="--", zorder=0)
        ax.errorbar(estimate, height, xerr=half, **settings)
        if self.is_ratio:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:g}")
        ax.set_yticks(height, [str(name) for name in self.names])
        ax.set_ylim(-0.6, n - 0.4)
        ax.set_xlabel(self.label)
        return self


def _joined(frame: Any, first: int = 0) -> list[str]:
    """Return the labels of the rows of a frame, their levels from `first` on as one text."""
    labels = [name if isinstance(name, tuple) else (name,) for name in frame.index]
    return [", ".join(map(str, name[first:])) for name in labels]
