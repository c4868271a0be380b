"""Files and pages that README and the documentation name exist."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATHS = [
    *ROOT.glob("*.rst"),
    *ROOT.glob("*.md"),
    *(ROOT / "doc").glob("*.rst"),
    *(ROOT / "doc" / "benchmarks").glob("*.rst"),
    *(ROOT / "examples").rglob("*.rst"),
]
TEXTS = {path: path.read_text(encoding="utf-8") for path in PATHS}
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
PAGES = "\n".join(TEXTS.values())
MADE_BY_SPHINX = ("auto_examples", "api/generated")


def test_files_that_are_named_exist():
    named = {(name, text.name) for text, source in TEXTS.items() for name in NAMED.findall(source)}
    places = [(ROOT / name, ROOT / "doc" / f"{name}.rst", name, page) for name, page in named]
    missing = [(n, page) for file, doc, n, page in places if not (file.exists() or doc.exists())]
    assert [(name, page) for name, page in missing if name not in IN_EXAMPLES] == []


def test_links_and_pictures_lead_to_files():
    links = {
        (text, "".join(link))
        for text, source in TEXTS.items()
        for link in LINKS[text.suffix].findall(source)
    }
    places = [(text.parent / link.partition("#")[0], link, text.name) for text, link in links]
    dead = [(link, page) for file, link, page in places if not file.exists()]
    assert [(link, page) for link, page in dead if not link.startswith(MADE_BY_SPHINX)] == []


def test_pages_of_the_guide_are_short():
    others = {"benchmarks", "index", "install", "whats_new"}
    pages = [page for page in (ROOT / "doc").glob("*.rst") if page.stem not in others]
    assert len(pages) > 20
    lengths = {page.stem: len(page.read_text(encoding="utf-8").splitlines()) for page in pages}
    assert {name: n for name, n in lengths.items() if n > 120} == {}


def test_labels_stand_before_titles():
    """Sphinx takes the text of a reference from the title."""
    labels = re.findall(r"^\.\. _([\w-]+):\n\n(?:.+\n)([=~-]*)", PAGES, re.M)
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
