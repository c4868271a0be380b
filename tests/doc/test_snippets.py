"""The code of README and of the guide runs as printed, page by page, and prints what is printed."""

import itertools
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from marks import slow

ROOT = Path(__file__).parents[2]
METHODS = sorted((ROOT / "doc" / "methods").glob("*.rst"))
PAGES = [
    page.relative_to(ROOT).as_posix()
    for page in [ROOT / "README.rst", *sorted((ROOT / "doc").glob("*.rst")), *METHODS]
    if ".. code-block:: python" in page.read_text(encoding="utf-8")
]
NEEDS = {
    "doc/bridges.rst": ["optuna", "skorch"],
    "doc/learners.rst": ["sklearn.callback"],
    "doc/methods/learned_optimizer.rst": ["skorch"],
    "doc/policy.rst": ["gymnasium"],
}
SECONDS = 600
BLOCK = re.compile(r"^\.\. code-block:: (python|text)\n((?:[ ]+.*\n|\n)+)", re.M)
LITERAL = re.compile(r"^(?!\.\. )\S.*::\n\n((?:[ ]{4}.*\n|\n)+)|^::\n\n((?:[ ]{4}.*\n|\n)+)", re.M)


def read_blocks(page):
    source = page.read_text(encoding="utf-8") + "\n"
    return [
        (source[: found.start(2)].count("\n") + 1, found[1], textwrap.dedent(found[2]))
        for found in BLOCK.finditer(source)
    ]


def write_script(blocks, name):
    """Write the blocks as one program that marks where the output of each begins."""
    lines = ["import matplotlib", "matplotlib.use('Agg')", "scope = globals()"]
    for line, language, code in blocks:
        if language == "python":
            place = "\n" * line + code  # so that a traceback names the line of the page
            lines.append(f"print('\\x00{line}', flush=True)")
            lines.append(f"exec(compile({place!r}, {name!r}, 'exec'), scope)")
    return "\n".join(lines)


@pytest.mark.parametrize("name", [n if n == "README.rst" else slow(n) for n in PAGES])
def test_a_page_runs_as_printed(name, tmp_path):
    for module in NEEDS.get(name, []):
        pytest.importorskip(module)
    blocks = read_blocks(ROOT / name)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = tmp_path / "page.py"
    script.write_text(write_script(blocks, name), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    outputs = dict(part.split("\n", 1) for part in ended.stdout.split("\0")[1:])
    for (line, language, _), (_, following, expected) in itertools.pairwise(blocks):
        if language == "python" and following == "text":
            # A page prints the digits that are the same on every machine.
            assert outputs[str(line)].split() == expected.split()


@pytest.mark.parametrize("page", [ROOT / "README.rst", *sorted((ROOT / "doc").glob("*.rst"))])
def test_code_that_is_not_run_is_a_command_of_the_shell(page):
    blocks = ["".join(found) for found in LITERAL.findall(page.read_text(encoding="utf-8") + "\n")]
    assert all(block.split()[0] in ("pip", "python", "torchrun") for block in blocks), blocks
