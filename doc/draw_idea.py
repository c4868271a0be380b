"""Draw the picture of the idea: earlier tasks teach a prior, from which a new task starts.

    python doc/draw_idea.py

The pictures are doc/figures/idea.svg and doc/figures/idea_dark.svg.
"""

from pathlib import Path

from draw_which_tool import ACCENT, ACCENT_DARK, DARK, LIGHT, draw_text

ROWS = (
    (("many small tasks", "with labels"), ("MetaFewShotClassifier", "MetaFewShotRegressor"), "few"),
    (("groups of one table",), ("GroupedClassifier", "GroupedRegressor"), "policy"),
    (("past searches",), ("MetaLearnedSearchCV",), "search"),
)
WIDTH, HEIGHT, TOP, STEP, BOX = 1000, 292, 62, 76, 250


def draw_box(x, y, width, height, fill, stroke, stroke_width=1.4):
    """Return a rounded box."""
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{stroke_width}"/>'
    )


def draw_lines(x, middle, lines, colour, weight="normal", size=15):
    """Return one or two lines of text around the middle of a box."""
    return draw_text(x, middle + 5 - 10 * (len(lines) - 1), lines, colour, weight, size)


def draw(colours, accents):
    """Return the picture."""
    left, right, centre = 20, WIDTH - 20 - BOX, WIDTH / 2
    middle_of_prior = TOP + STEP + 28
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif"><title>Earlier tasks, a prior, a new task</title>',
        *([] if colours is DARK else [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']),
        draw_text(left + BOX / 2, 34, ("earlier tasks",), colours["text"], "bold", 19),
        draw_text(centre, 34, ("prior",), colours["text"], "bold", 19),
        draw_text(right + BOX / 2, 34, ("a new task",), colours["text"], "bold", 19),
    ]
    for k, (earlier, tools, kind) in enumerate(ROWS):
        y = TOP + k * STEP
        middle = y + 28
        line = f'fill="none" stroke="{accents[kind]}" stroke-width="1.8"'
        port = middle_of_prior + 14 * (k - 1)
        to_prior = f"C{left + BOX + 70} {middle} {centre - 165} {port} {centre - 97} {port}"
        to_task = f"C{centre + 165} {port} {right - 70} {middle} {right - 3} {middle}"
        shapes += [
            draw_box(left, y, BOX, 56, colours["box"], colours["line"]),
            draw_lines(left + BOX / 2, middle, earlier, colours["text"]),
            f'<path d="M{left + BOX} {middle} {to_prior}" {line}/>',
            f'<path d="M{centre + 97} {port} {to_task} m-8 -5 l8 5 l-8 5" {line}/>',
            draw_box(right, y, BOX, 56, colours["box"], accents[kind], 2.2),
            draw_lines(right + BOX / 2, middle, tools, accents[kind], "bold", 14),
        ]
    text = colours["text"]
    shapes += [
        draw_box(centre - 95, middle_of_prior - 44, 190, 88, colours["box"], text, 2.2),
        draw_text(centre, middle_of_prior - 6, ("what they taught",), text, "bold", 17),
        draw_text(centre, middle_of_prior + 20, ("MetaPrior, SearchPrior",), text, size=13),
    ]
    return "".join([*shapes, "</svg>\n"])


def main():
    folder = Path(__file__).parent / "figures"
    (folder / "idea.svg").write_text(draw(LIGHT, ACCENT), encoding="utf-8")
    (folder / "idea_dark.svg").write_text(draw(DARK, ACCENT_DARK), encoding="utf-8")


if __name__ == "__main__":
    main()
