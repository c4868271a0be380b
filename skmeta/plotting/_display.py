"""What the displays share: where they draw."""

from __future__ import annotations

from typing import Any

from skmeta._copies import Made
from skmeta._optional import import_optional


class Display(Made):
    """A record that is computed first, and then drawn with matplotlib."""

    def _begin(self, ax: Any) -> Any:
        """Set and return the axes to draw on; None makes a figure."""
        if ax is None:
            _, ax = import_optional("matplotlib.pyplot", "plot").subplots()
        self.ax_: Any = ax
        self.figure_: Any = ax.figure
        return ax
