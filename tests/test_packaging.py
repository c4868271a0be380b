"""The recipe for conda-forge says what pyproject.toml says."""

import re
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
