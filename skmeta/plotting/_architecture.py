"""Plot the operations chosen on the edges of a network of cells."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from skmeta._optional import import_optional


class ArchitectureDisplay:
    """Shares of the operations of each edge, and the chosen operation.

    Create a display with :meth:`from_estimator`, and draw it again with :meth:`plot`.

    Parameters
    ----------
    shares : ndarray of shape (n_edges, n_operations)
        Share of each operation in the mixture; NaN for an operation that an edge cannot have.
    chosen : ndarray of shape (n_edges,)
        Position of the chosen operation.
    edge_names, operation_names : list of str
        Labels of the axes.
    n_parameters : int
        Number of parameters of the final network.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.
    image_ : matplotlib AxesImage
        The shares.
    marks_ : matplotlib PathCollection
        Marks of the chosen operations.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MetaNAS
    >>> from skmeta.plotting import ArchitectureDisplay
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=20, random_state=0)
    >>> learner = MetaNAS(n_iterations=5, random_state=0).fit(X, y, groups=groups)
    >>> ArchitectureDisplay.from_estimator(learner).edge_names
    ['cell 0: 0 → 1', 'cell 0: 0 → 2', 'cell 0: 1 → 2']
    """

    def __init__(
        self,
        *,
        shares: np.ndarray,
        chosen: np.ndarray,
        edge_names: list[str],
        operation_names: list[str],
        n_parameters: int,
    ) -> None:
        self.shares = shares
        self.chosen = chosen
        self.edge_names = edge_names
        self.operation_names = operation_names
        self.n_parameters = n_parameters

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the architecture of an estimator.

        Parameters
        ----------
        estimator : object
            With ``architecture_``: a fitted :class:`~skmeta.learners.MetaNAS`, or a few-shot
            estimator fitted with its prior.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        ArchitectureDisplay
            The display, drawn.
        """
        architecture = estimator.architecture_
        names = list(dict.fromkeys(n for edge in architecture.shares for n in edge))
        edges = architecture.edges
        return cls(
            shares=np.array([[row.get(n, np.nan) for n in names] for row in architecture.shares]),
            chosen=np.array([names.index(edge.operation) for edge in edges]),
            edge_names=[f"cell {e.cell}: {e.source} → {e.target}" for e in edges],
            operation_names=names,
            n_parameters=architecture.n_parameters,
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the shares, with one row per edge and one column per operation.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        ArchitectureDisplay
            This display.
        """
        if ax is None:
            subplots = import_optional("matplotlib.pyplot", "plot").subplots
            _, ax = subplots(layout="constrained")
        self.image_ = ax.imshow(self.shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        rows = np.arange(len(self.edge_names))
        self.marks_ = ax.scatter(self.chosen, rows, marker="o", s=80, color="C1", label="chosen")
        ax.set_xticks(range(len(self.operation_names)), self.operation_names, rotation=45)
        ax.set_yticks(rows, self.edge_names)
        ax.set_title(f"{self.n_parameters:,} parameters")
        ax.figure.colorbar(self.image_, ax=ax, label="share before the decision")
        self.ax_, self.figure_ = ax, ax.figure
        return self
