"""Tables on pages of the documentation, made from ``benchmarks/results``.

    python -m benchmarks.tables            # rewrite the tables
    python -m benchmarks.tables --check    # name the pages that would change

A page has the line ``.. results: NAME`` above a ``csv-table``. The options of the table are written
by hand, its header and its rows by the function of this name. Nothing is run or measured.
"""

import argparse

from benchmarks.tables import PAGES, render


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    for page in PAGES:
        text = page.read_text()
        if (made := render(text)) != text:
            print(page.name)
            if not options.check:
                page.write_text(made)


if __name__ == "__main__":
    main()
