"""Tables on the pages of benchmarks are those that the results make."""

import re

import pytest

pytest.importorskip("lightgbm")  # of the scripts whose summaries the tables are

from benchmarks.tables import PAGES, TABLES, render

TEXTS = {page.stem: page.read_text() for page in PAGES}


@pytest.mark.parametrize("page", TEXTS)
def test_a_page_is_what_the_results_make_of_it(page):
    assert render(TEXTS[page]) == TEXTS[page], "run: python -m benchmarks.tables"


def test_each_table_of_results_is_on_one_page():
    named = re.findall(r"^\.\. results: (.+)$", "\n".join(TEXTS.values()), re.M)
    assert sorted(named) == sorted(TABLES)


def test_a_changed_cell_is_made_anew_and_options_stay():
    text = re.sub(r"(Grouped estimator, 0)\.\d+", r"\1.001", TEXTS["groups"], count=1)
    assert text != TEXTS["groups"]
    assert render(text) == TEXTS["groups"]
    widths = text.replace("   :header: method", "   :widths: auto\n   :header: method", 1)
    assert render(widths).count(":widths: auto") == 1
