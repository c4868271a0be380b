"""Draw the decision picture of the guide, for light and for dark pages.

    python doc/draw_which_tool.py

The pictures are doc/figures/which_tool.svg and doc/figures/which_tool_dark.svg.
"""

from html import escape
from pathlib import Path

QUESTION = "What do you have?"
ANSWERS = (
    (
        ("One small table,", "nothing else"),
        ("MetaFewShotClassifier", "MetaFewShotRegressor"),
        "few",
    ),
    (("A table whose rows", "belong to groups"), ("GroupedClassifier", "GroupedRegressor"), "few"),
    (("A model to tune,", "again and again"), ("MetaLearnedSearchCV",), "search"),
    (("Classes that are new", "in each task"), ("ProtoNet, MAML", "on conv4 or mlp"), "few"),
    (("Environments", "that differ"), ("PolicyMAML,", "MetaPolicy"), "policy"),
)
LIGHT = {"text": "#1f2933", "line": "#7b8794", "box": "#f5f7fa", "ground": "none"}
DARK = {"text": "#e4e7eb", "line": "#9aa5b1", "box": "#1f2933", "ground": "none"}
ACCENT = {"search": "#c2410c", "few": "#1d6fb8", "policy": "#3f7d3a"}
ACCENT_DARK = {"search": "#fb923c", "few": "#6cb8f6", "policy": "#86c97f"}
WIDTH, GAP, BOX = 1000, 16, 184


def draw_text(x, y, lines, colour, weight="normal", size=15):
    """Return centred lines of text."""
    return "".join(
        f'<text x="{x}" y="{y + 20 * k}" text-anchor="middle" font-size="{size}" fill="{colour}" '
        f'font-weight="{weight}">{escape(line)}</text>'
        for k, line in enumerate(lines)
    )


def draw_box(x, y, height, fill, stroke, stroke_width=1.2):
    """Return a box as wide as a column."""
    return (
        f'<rect x="{x}" y="{y}" width="{BOX}" height="{height}" rx="10" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{stroke_width}"/>'
    )


def draw(colours, accents):
    """Return the picture."""
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 270" role="img" '
        f'font-family="system-ui, sans-serif"><title>{QUESTION}</title>',
        draw_text(WIDTH / 2, 32, (QUESTION,), colours["text"], "bold", 19),
    ]
    left = (WIDTH - len(ANSWERS) * BOX - (len(ANSWERS) - 1) * GAP) / 2
    for k, (have, tools, kind) in enumerate(ANSWERS):
        x, middle = left + k * (BOX + GAP), left + k * (BOX + GAP) + BOX / 2
        line = f'fill="none" stroke="{colours["line"]}" stroke-width="1.4"'
        shapes += [
            f'<path d="M{WIDTH / 2} 44 V64 H{middle} V84" {line}/>',
            draw_box(x, 84, 64, colours["box"], colours["line"]),
            draw_text(middle, 112, have, colours["text"]),
            f'<path d="M{middle} 148 V184 m-5 -7 l5 7 l5 -7" {line}/>',
            draw_box(x, 184, 64, colours["box"], accents[kind], 2.2),
            draw_text(middle, 212 if len(tools) > 1 else 222, tools, accents[kind], "bold", 13),
        ]
    return "".join([*shapes, "</svg>\n"])


def main():
    folder = Path(__file__).parent / "figures"
    (folder / "which_tool.svg").write_text(draw(LIGHT, ACCENT), encoding="utf-8")
    (folder / "which_tool_dark.svg").write_text(draw(DARK, ACCENT_DARK), encoding="utf-8")


if __name__ == "__main__":
    main()
