"""Files and pages that README and the documentation name exist."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = [
    *ROOT.glob("*.rst"),
    *ROOT.glob("*.md"),
    *(ROOT / "doc").glob("*.rst"),
    *(ROOT / "doc" / "benchmarks").glob("*.rst"),
    *(ROOT / "examples").rglob("*.rst"),
]
IDS = [path.relative_to(ROOT).as_posix() for path in TEXTS]
FOLDERS = ("benchmarks", "doc", "examples", "skmeta", "tests", "conda", r"\.ci", r"\.github")

# A file of the repository, or a page of the documentation by its name.
NAMED = re.compile(rf"(?<![\w/.:<-])((?:{'|'.join(FOLDERS)})/[\w./-]*\w)")
LINKS = {
    ".rst": re.compile(r"`[^`<]+ <([^`>:]+)>`_|^\.\. (?:image|figure|include):: (\S+)$", re.M),
    ".md": re.compile(r"\]\(([^):]+)\)"),
}
# Files that CONTRIBUTING tells to write, and the site that is built.
IN_EXAMPLES = {
    "doc/_build",
    "doc/_build/linkcheck",
    "skmeta/learners/_name.py",
    "tests/learners/test_name.py",
}
PAGES = "\n".join(text.read_text(encoding="utf-8") for text in TEXTS)
MADE_BY_SPHINX = ("auto_examples", "api/generated")


@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_files_that_are_named_exist(text):
    source = text.read_text(encoding="utf-8")
    named = set(NAMED.findall(source)) - IN_EXAMPLES
    pages = {name for name in named if (ROOT / "doc" / f"{name}.rst").exists()}
    assert not {name for name in named - pages if not (ROOT / name).exists()}


@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_links_and_pictures_lead_to_files(text):
    source = text.read_text(encoding="utf-8")
    found = LINKS[text.suffix].findall(source)
    links = {"".join(link) for link in found} if text.suffix == ".rst" else set(found)
    dead = {
        link
        for link in links
        if not link.startswith(MADE_BY_SPHINX)
        and not (text.parent / link.partition("#")[0]).exists()
    }
    assert not dead


def test_pages_of_the_guide_are_short():
    others = {"benchmarks", "index", "install", "whats_new"}
    pages = [page for page in (ROOT / "doc").glob("*.rst") if page.stem not in others]
    assert len(pages) > 20
    lengths = {page.stem: len(page.read_text(encoding="utf-8").splitlines()) for page in pages}
    assert {name: n for name, n in lengths.items() if n > 120} == {}


@pytest.mark.parametrize("page", sorted((ROOT / "doc").glob("*.rst")), ids=lambda p: p.stem)
def test_labels_stand_before_titles(page):
    """Sphinx takes the text of a reference from the title."""
    source = page.read_text(encoding="utf-8")
    labels = re.findall(r"^\.\. _([\w-]+):\n\n(?:.+\n)([=~-]*)", source, re.M)
    titled = {name for name, underline in labels if len(underline) > 3}
    every = {name for name, _ in labels}
    shown = set(re.findall(r":ref:`[^`<]+ <([\w-]+)>`", PAGES))
    assert every - titled <= shown


def test_dead_links_of_a_site_are_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "doc")
    from check_links import find_dead_links

    (tmp_path / "api").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="start"></h1><a href="api/">API</a><a href="https://example.org/none">other</a>'
        '<a href="#start">up</a><a href="api/index.html#gone">gone</a><img src="none.png">'
    )
    (tmp_path / "api" / "index.html").write_text('<a href="../index.html#start">home</a>')
    assert find_dead_links(tmp_path) == [
        "index.html: api/index.html#gone is no place in the page",
        "index.html: none.png is no file",
    ]
    sys.modules.pop("check_links")
