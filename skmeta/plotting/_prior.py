"""Plot what a search prior expects of each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta.plotting._surrogate import draw_effect, make_axes
from skmeta.plotting._value_axis import ValueAxis
from skmeta.search.analysis import PriorEffect, prior_effects

__all__ = ["PriorDisplay"]

_MOST_SHOWN = 6
_STYLES = {"past searches": ("C0", "-"), "shipped": ("C0", "-"), "own searches": ("C1", "--")}
_STRIP = 0.22  # of the height of a panel, for the bars at its bottom


class PriorDisplay:
    """Expected scores along each parameter, as past searches have them.

    A line is the expected standardised score of a value of one parameter, averaged over the other
    parameters and over the past data sets; 0 is the average configuration of a data set, and 1
    is one standard deviation better. A band holds 80% of the data sets. Bars at the bottom are
    the shares of data sets that expect the best score at each value.

    Create a display with :meth:`from_prior` or :meth:`from_estimator`, and draw it again with
    :meth:`plot`.

    Parameters
    ----------
    effects : list of PriorEffect
        One per parameter and part of the prior.

    Attributes
    ----------
    parameters : list of str
        The parameters. Those on which the expected score depends most come first.
    axes_ : ndarray of matplotlib Axes
        One per drawn parameter.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.plotting import PriorDisplay
    >>> from skmeta.search import PastSearch, SearchPrior
    >>> values = np.geomspace(0.01, 100, 9)
    >>> past = PastSearch(
    ...     dataset="wine",
    ...     configurations=tuple({"SVC.C": float(c)} for c in values),
    ...     scores=1 - 0.01 * np.log10(values) ** 2,
    ... )
    >>> PriorDisplay.from_prior(SearchPrior.from_searches([past])).parameters
    ['SVC.C']
    """

    def __init__(self, *, effects: list[PriorEffect]) -> None:
        self.effects = effects

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters."""
        return list(dict.fromkeys(effect.name for effect in self.effects))

    @classmethod
    def from_prior(cls, prior: Any, *, ax: Any = None, **plot_kw: Any) -> Self:
        """Draw a prior.

        Parameters
        ----------
        prior : SearchPrior, JointPrior or AlgorithmSelectionPrior
            The prior.
        ax, **plot_kw : optional
            As for :meth:`plot`.

        Returns
        -------
        PriorDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the prior knows no parameter.
        """
        effects = prior_effects(prior)
        if not effects:
            raise ValueError(f"{prior!r} knows no parameter, so there is nothing to draw.")
        return cls(effects=effects).plot(ax, **plot_kw)

    @classmethod
    def from_estimator(cls, search: Any, *, ax: Any = None, **plot_kw: Any) -> Self:
        """Draw the prior of a fitted search.

        Parameters
        ----------
        search : MetaLearnedSearchCV
            Fitted.
        ax, **plot_kw : optional
            As for :meth:`plot`.

        Returns
        -------
        PriorDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the search is not fitted.
        ValueError
            If the search had no prior.
        """
        check_is_fitted(search, "prior_")
        if search.prior_ is None:
            raise ValueError(
                "The search had no prior, so there is nothing to draw. Give it a history with "
                "past searches, or prior='shipped'."
            )
        return cls.from_prior(search.prior_, ax=ax, **plot_kw)

    def plot(self, ax: Any = None, *, parameters: Sequence[str] | None = None) -> Self:
        """Draw one panel per parameter.

        Parameters
        ----------
        ax : matplotlib Axes, array of them, or None, default=None
            Where to draw; one per parameter. None makes a figure.
        parameters : sequence of str or None, default=None
            Names such as ``"SVC.C"``. None draws the first six.

        Returns
        -------
        PriorDisplay
            This display.

        Raises
        ------
        ValueError
            If a parameter is unknown, or there is another number of axes.
        """
        names = self.parameters[:_MOST_SHOWN] if parameters is None else list(parameters)
        unknown = [name for name in names if name not in self.parameters]
        if unknown or not names:
            raise ValueError(f"parameters must be some of {self.parameters}, got {names}.")
        self.axes_ = make_axes(ax, len(names))
        effects = [[e for e in self.effects if e.name == name] for name in names]
        for k, (panel, own) in enumerate(zip(self.axes_, effects, strict=True)):
            _draw_panel(panel, own)
            panel.set_xlabel(names[k])
            panel.set_ylabel("standardised score" if k % 3 == 0 or ax is not None else "")
        # All panels have one scale, so that parameters can be compared.
        low = min(panel.get_ylim()[0] for panel in self.axes_)
        high = max(panel.get_ylim()[1] for panel in self.axes_)
        height = _STRIP * (high - low)
        for panel, own in zip(self.axes_, effects, strict=True):
            panel.set(ylim=(low - height, high), xlim=(-0.04, 1.04))
            _draw_shares(panel, own[0], low - height, height)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        return self


def _draw_panel(panel: Any, effects: list[PriorEffect]) -> None:
    for effect in effects:
        color, style = _STYLES[effect.origin]
        label = effect.origin if len(effects) > 1 else ""
        draw_effect(panel, effect.axis, color, style, label)
    panel.axhline(0, color="0.7", lw=0.8, zorder=0)
    if len(effects) > 1:
        panel.legend(fontsize="small", frameon=False)


def _draw_shares(panel: Any, effect: PriorEffect, bottom: float, height: float) -> None:
    """Draw how many data sets expect the best score at each value."""
    axis = ValueAxis(effect.axis)
    places = np.concatenate([axis.numbers, axis.places])
    n = len(axis.numbers)
    width = 0.8 * float(np.diff(axis.numbers).min()) if n > 1 else 0.03
    heights = 0.85 * height * effect.best_shares / effect.best_shares.max()
    panel.bar(places, heights, width, bottom=bottom, color="0.45", zorder=2)
