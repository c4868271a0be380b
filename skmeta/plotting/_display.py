"""What the displays share: where they draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skmeta._optional import import_optional


@dataclass(kw_only=True, eq=False, repr=False)
class Display:
    """A record that is computed first, and then drawn with matplotlib."""

    def _begin(self, ax: Any) -> Any:
        """Set and return the axes to draw on; None makes a figure."""
        if ax is None:
            _, ax = import_optional("matplotlib.pyplot", "plot").subplots()
        self.ax_: Any = ax
        self.figure_: Any = ax.figure
        return ax
