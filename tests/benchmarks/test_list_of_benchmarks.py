"""The list in benchmarks/README.rst, and what pages say of scripts."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = {path.name: path.read_text() for path in (ROOT / "benchmarks").glob("*.py")}


def test_pages_name_scripts_that_are_there():
    pages = [*ROOT.glob("*.rst"), *(ROOT / "doc").rglob("*.rst"), ROOT / "benchmarks/README.rst"]
    text = "\n".join(page.read_text() for page in pages)
    named = set(re.findall(r"benchmarks/(\w+\.py)", text))
    assert len(named) > 20
    assert named <= set(SCRIPTS)


def test_each_script_that_prints_figures_is_in_the_list():
    listed = (ROOT / "benchmarks/README.rst").read_text()
    runnable = {name for name, text in SCRIPTS.items() if '__name__ == "__main__"' in text}
    assert len(runnable) > 20
    assert sorted(name for name in runnable if name not in listed) == []
