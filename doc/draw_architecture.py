"""Draw ``figures/architecture.svg``: the rooms of the package, floor by floor, with their sizes.

    python doc/draw_architecture.py

Floors and inner rooms are those of ``tests/test_architecture.py``, which fails if an import goes
up. Lines of code are counted, so that the drawing shows where the code is.
"""

import runpy
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "skmeta"
HOLDS = {
    "_validation": "checks",
    "_columns": "columns of data frames",
    "_copies": "what clones share",
    "_optional": "extras",
    "_sklearn_compat": "private scikit-learn",
    "_torch_compat": "versions of torch",
    "_files": "reading and writing files",
    "_fold_evaluation": "fits of searches",
    "_warnings": "the caller's line",
    "exceptions": "errors, warnings",
    "_html": "HTML, links to pages",
    "_progress": "bars, callbacks",
    "_threads": "numbers of threads",
    "tasks": "what a task is",
    "backbones": "networks",
    "plotting": "displays",
    "datasets": "where tasks come from",
    "_mixed": "mixed-effects models",
    "_tabular": "tables as arrays",
    "_reporting": "contrasts, rates, parts",
    "_backend": "devices, execution",
    "_training": "the outer loop and its settings",
    "priors": "MetaPrior",
    "learners": "one algorithm per file",
    "few_shot": "one new task",
    "grouped": "tables of tasks",
    "search": "MetaLearnedSearchCV",
    "policy": "reinforcement learning",
    "testing": "conformance checks",
    "bridges": "Optuna, skops, torch",
    "__init__": "the public names",
    "__main__": "the command line",
}
WIDTH, HEIGHT, GAP = 100.0, 10.0, 0.8
MAX_IN_A_ROW = 8
POINTS = 6.6  # of a unit of width


def count_lines(room: str) -> int:
    path = PACKAGE / room
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    return sum(len(file.read_text().splitlines()) for file in files)


def in_rows(floor: int, rooms: list[str]) -> list[tuple[int, list[str]]]:
    """Return the number and the rooms of each row of a floor: one row, or two if there are many."""
    if not rooms:
        return []
    middle = len(rooms) if len(rooms) <= MAX_IN_A_ROW else -(-len(rooms) // 2)
    return [(floor, part) for part in (rooms[middle:], rooms[:middle]) if part]


def main() -> None:
    rules = runpy.run_path(str(HERE.parent / "tests" / "test_architecture.py"))
    floors = [sorted(rooms) for rooms in rules["FLOORS"]]
    rows = [row for number, rooms in enumerate(floors) for row in in_rows(number, rooms)]
    figure, axes = plt.subplots(figsize=(10, 0.9 * len(rows)))
    for level, (floor, rooms) in enumerate(rows):
        # A third of the width is shared equally, so that small rooms can be read too.
        lines = {room: count_lines(room) for room in rooms}
        shares = [0.7 / len(rooms) + 0.3 * lines[r] / sum(lines.values()) for r in rooms]
        left = 6.0
        axes.text(2.5, level * HEIGHT + HEIGHT / 2, str(floor), ha="center", va="center", size=13)
        for room, share in zip(rooms, shares, strict=True):
            width = share * (WIDTH - 6.0)
            box = (left + GAP / 2, level * HEIGHT + GAP / 2), width - GAP, HEIGHT - GAP
            style = "round,pad=0,rounding_size=0.6"
            colour = "#dbe9f6" if floor % 2 else "#eef3f8"
            axes.add_patch(FancyBboxPatch(*box, boxstyle=style, fc=colour, ec="#4a6d8c"))
            inner = [r for floor in rules["INNER_FLOORS"].get(room, []) for r in sorted(floor) if r]
            words = [HOLDS[room], *(" · ".join(inner[k : k + 4]) for k in range(0, len(inner), 4))]
            space = POINTS * (width - 2 * GAP)
            middle = left + width / 2
            axes.text(
                middle,
                level * HEIGHT + 6.9,
                room,
                ha="center",
                va="center",
                size=min(9.2, space / (0.68 * len(room))),
                weight="bold",
                color="#12324d",
            )
            axes.text(
                middle,
                level * HEIGHT + 3.4,
                "\n".join(words),
                ha="center",
                va="center",
                size=min(7.2, space / (0.56 * max(map(len, words)))),
                color="#333333",
                linespacing=1.35,
            )
            left += width
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT * len(rows)))
    axes.axis("off")
    figure.tight_layout(pad=0.2)
    plt.rcParams["svg.hashsalt"] = "skmeta"
    figure.savefig(HERE / "figures" / "architecture.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
