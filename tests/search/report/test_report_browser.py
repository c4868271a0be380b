"""The page of a report, in a browser."""

import re
import shutil

import pytest

pytestmark = pytest.mark.browser

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
EVIL = "<script>alert('x')</script>\"&"


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    path = next(filter(None, map(shutil.which, EXECUTABLES)), None)
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        # Chromium's sandbox does not work for root, and the page is the package's own.
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def paths(evil, ordinary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    return {
        "evil": evil.report(folder / "evil.html"),
        "ordinary": ordinary.report(folder / "ordinary.html"),
    }


@pytest.fixture
def visit(browser, paths):
    """Open a page; messages, requests and dialogs are collected, and none may be there."""
    contexts, faults = [], []

    def open_page(name, **settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda r: None if is_own(r.url) else faults.append(r.url))

        def is_own(url):
            return url == address or url.startswith("data:")

        address = paths[name].as_uri()
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def column(page, heading):
    """Texts of a column of the leaderboard, from top to bottom."""
    table = page.locator("#candidates")
    names = table.locator("thead th").all_inner_texts()
    index = [name.strip().split(" ")[0] for name in names].index(heading)
    rows = table.locator("tbody tr:visible").all()
    return [row.locator("th, td").nth(index).inner_text() for row in rows]


@pytest.mark.parametrize("name", ["evil", "ordinary"])
def test_no_message_and_no_request(visit, name):
    page = visit(name)
    assert page.locator("h1").inner_text()
    assert page.evaluate("document.scripts.length") == 1


def test_markup_is_shown_as_text(visit):
    page = visit("evil")
    assert EVIL in page.locator("h1").inner_text()
    assert EVIL in column(page, "note")


def test_a_click_sorts_and_a_second_one_turns_the_order(visit):
    page = visit("ordinary")
    heading = page.locator("#candidates thead th", has_text="gamma")
    button = heading.locator("button")
    button.click()
    values = [float(text) for text in column(page, "gamma") if text != "scale"]
    assert values == sorted(values)
    assert heading.get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    values = [float(text) for text in column(page, "gamma") if text != "scale"]
    assert values == sorted(values, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"
    others = page.locator("#candidates th[aria-sort]:not([aria-sort=none])")
    assert others.count() == 1


def test_missing_scores_stay_last(visit):
    page = visit("evil")
    button = page.locator("#candidates thead th").nth(2).locator("button")
    for _ in range(2):
        button.click()
        missing = [text == "-" for text in column(page, "score")]
        assert missing == sorted(missing)
        assert any(missing)


def test_words_filter_rows(visit):
    page = visit("evil")
    n_rows = len(column(page, "rank"))
    wanted = sum("scale" in text for text in column(page, "gamma"))
    page.get_by_label("Show rows with these words").fill("scale")
    assert len(column(page, "rank")) == wanted
    assert 0 < wanted < n_rows
    assert page.locator("[role=status]").inner_text() == f"{wanted} of {n_rows} rows"
    page.get_by_label("Show rows with these words").fill("no such row")
    assert column(page, "rank") == []


def test_the_code_is_copied(visit):
    page = visit("ordinary", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the code").click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".code code").inner_text()


@pytest.mark.parametrize("name", ["evil", "ordinary"])
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_no_page_is_wider_than_the_window(visit, name, width):
    page = visit(name, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def lightness(color):
    return sum(map(int, re.findall(r"\d+", color)[:3]))


def test_dark_mode_is_dark(visit):
    colors = {}
    for scheme in ("light", "dark"):
        page = visit("ordinary", color_scheme=scheme)
        colors[scheme] = [
            lightness(page.evaluate(f"getComputedStyle({thing}).{name}"))
            for thing, name in [
                ("document.body", "backgroundColor"),
                ("document.body", "color"),
            ]
        ]
    back, *marks = colors["light"]
    assert all(back > mark + 300 for mark in marks)
    back, *marks = colors["dark"]
    assert all(back < mark - 300 for mark in marks)


def test_the_page_is_whole_without_its_script(visit):
    page = visit("evil", java_script_enabled=False)
    assert page.locator("#candidates tbody tr").count() == 12
    assert page.locator("button:visible, input:visible").count() == 0
