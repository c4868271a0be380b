"""The list in benchmarks/README.rst, what pages say of scripts, and names of results."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    f"{path.parent.name}.{path.stem}": path.read_text()
    for folder in ("lib", "make", "measure")
    for path in (ROOT / "benchmarks" / folder).glob("[!_]*.py")
}
RUNNABLE = {name for name, text in SCRIPTS.items() if '__name__ == "__main__"' in text}


def test_pages_name_scripts_that_are_there():
    pages = [*ROOT.glob("*.rst"), *(ROOT / "doc").rglob("*.rst"), ROOT / "benchmarks/README.rst"]
    text = "\n".join(page.read_text() for page in pages)
    named = {name.replace("/", ".") for name in re.findall(r"benchmarks/(\w+/\w+)\.py", text)}
    commands = set(re.findall(r"-m\s+benchmarks\.(\w+\.\w+)", text))
    assert len(named | commands) > 30
    assert named <= set(SCRIPTS)
    assert commands <= RUNNABLE


def test_each_script_is_in_the_list():
    listed = (ROOT / "benchmarks/README.rst").read_text()
    assert len(RUNNABLE) > 30
    names = {name: name.replace(".", "/") + ".py" for name in RUNNABLE}
    assert sorted(n for n, file in names.items() if n not in listed and file not in listed) == []


def test_each_result_begins_with_the_name_of_its_script():
    names = {name.split(".")[1] for name in RUNNABLE}
    files = [path.name for path in (ROOT / "benchmarks/results").iterdir() if path.is_file()]
    files = [file for file in files if not file.endswith(".lock")]
    assert [f for f in files if not any(re.match(rf"{n}[-_.]", f) for n in names)] == []
