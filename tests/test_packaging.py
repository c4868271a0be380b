"""The recipe for conda-forge says what pyproject.toml says; packages are built alike each time."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NAMES = {"torch": "pytorch"}  # of conda-forge, where they differ


@pytest.fixture(scope="module")
def recipe():
    return (ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8")


def items_after(recipe, key):
    lines = recipe.partition(f"  {key}:\n")[2].splitlines()
    indent = re.match(r" *", lines[0]).group(0)
    found = []
    for line in lines:
        if not line.startswith(f"{indent}- "):
            break
        found.append(line.removeprefix(f"{indent}- "))
    return found


def test_requirements(recipe):
    wanted = []
    for text in PROJECT["project"]["dependencies"]:
        name, version = re.fullmatch(r"([\w-]+)(>=.+)", text).groups()
        wanted.append(f"{NAMES.get(name, name)} {version}")
    python, *others = items_after(recipe, "run")
    assert others == wanted
    assert python == "python >=${{ python_min }}"
    oldest = re.search(r'python_min: "(.+)"', recipe).group(1)
    assert PROJECT["project"]["requires-python"] == f">={oldest}"


def test_build(recipe):
    [setuptools] = PROJECT["build-system"]["requires"]
    assert items_after(recipe, "host")[-1].replace(" ", "") == setuptools
    scripts = PROJECT["project"]["scripts"]
    assert items_after(recipe, "entry_points") == [f"{k} = {v}" for k, v in scripts.items()]


def test_version_and_licence(recipe):
    project = PROJECT["project"]
    assert re.search(r'^  version: "(.+)"$', recipe, re.MULTILINE).group(1) == project["version"]
    assert f"license: {project['license']}" in recipe
    assert items_after(recipe, "license_file") == project["license-files"]
    assert all((ROOT / name).is_file() for name in project["license-files"])


@pytest.mark.slow
def test_a_source_distribution_is_the_same_bytes_each_time(tmp_path):
    made = []
    for name in ("one", "two"):
        copy = tmp_path / name
        (copy / "skmeta").mkdir(parents=True)
        for file in ("pyproject.toml", "setup.py", "README.rst", "LICENSE"):
            (copy / file).write_bytes((ROOT / file).read_bytes())
        (copy / "skmeta" / "__init__.py").write_text("")
        data = copy / "skmeta" / "datasets" / "data"
        data.mkdir(parents=True)
        (data / "LICENSE-omniglot").write_text("MIT")
        os.utime(copy / "setup.py", (len(made), len(made)))
        environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
        command = [sys.executable, "setup.py", "-q", "sdist"]
        subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True)
        [path] = (copy / "dist").glob("*.tar.gz")
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_actions_of_workflows_are_pinned():
    used = [
        line.split("uses:")[1].strip()
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]
    assert len(used) > 8
    assert [u for u in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", u)] == []
