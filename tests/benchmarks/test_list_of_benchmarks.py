"""The list in benchmarks/README.rst, what pages say of scripts, and names of results."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


ASK_EACH = """
import io, runpy, sys, warnings
from contextlib import redirect_stdout
warnings.simplefilter("ignore")
names, sys.argv = sys.argv[1:], ["script", "--help"]
for name in names:
    try:
        with redirect_stdout(io.StringIO()):
            runpy.run_module(f"benchmarks.{name}", run_name="__main__")
        print(name, "ran in place of saying what it takes")
    except SystemExit as end:
        if end.code:
            print(name, "ended with", end.code)
    except ModuleNotFoundError as error:  # A peer that is not installed here.
        if error.name.split(".")[0] in ("benchmarks", "skmeta", "tests"):
            raise
"""


@pytest.mark.slow
def test_each_script_with_options_starts():
    takes_options = re.compile(r"read_options\(|ArgumentParser\(|run_or_summarize\(")
    names = [name for name in sorted(RUNNABLE) if takes_options.search(SCRIPTS[name])]
    assert len(names) > 30
    command = [sys.executable, "-c", ASK_EACH, *names]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr[-2000:]
