"""What can be imported, and that it is documented."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import skmeta

PACKAGE = Path(skmeta.__file__).parent
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
PUBLIC = ["skmeta", "skmeta.exceptions", *(f"skmeta.{room}" for room in ROOMS)]
NAMES = [
    (module, name)
    for module in PUBLIC
    for name in getattr(importlib.import_module(module), "__all__", [])
]


def parse(room):
    return ast.parse((PACKAGE / room / "__init__.py").read_text())


@pytest.mark.parametrize("module", PUBLIC)
def test_all_is_what_can_be_imported(module):
    room = importlib.import_module(module)
    assert len(set(room.__all__)) == len(room.__all__)
    assert all(hasattr(room, name) for name in room.__all__)
    assert room.__doc__


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_all_that_it_exports(room):
    """The other names that it imports are the package's own."""
    aliases = [
        alias
        for node in ast.walk(parse(room))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert all(alias.asname is None for alias in aliases)
    names = {alias.name for alias in aliases}
    assert names >= set(importlib.import_module(f"skmeta.{room}").__all__)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_door_defines_nothing(room):
    docstring, *rest = parse(room).body
    assert isinstance(docstring, ast.Expr)
    for node in rest:
        is_all = isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [
            "__all__"
        ]
        assert is_all or isinstance(node, ast.ImportFrom), ast.unparse(node)


def test_the_front_door_defines_only_how_it_opens():
    defined = [
        n.name for n in ast.walk(parse(".")) if isinstance(n, ast.FunctionDef | ast.ClassDef)
    ]
    assert set(defined) <= {"__getattr__", "__dir__"}


def test_the_front_door_names_what_it_has_not():
    with pytest.raises(AttributeError, match="module 'skmeta' has no attribute 'nothing'"):
        skmeta.nothing  # noqa: B018


def test_the_front_door_shows_the_public_modules_and_nothing_else():
    with_names = [name for name in PUBLIC[1:] if importlib.import_module(name).__all__]
    modules = {"bridges", *(name.removeprefix("skmeta.") for name in with_names)}
    assert set(dir(skmeta)) == {*skmeta.__all__, *modules, "__version__"}
    program = "import skmeta; skmeta.tasks.EpisodeSplit; skmeta.exceptions.SkmetaError"
    subprocess.run([sys.executable, "-c", program], check=True)


def public_members(cls):
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        if not name.startswith("_") and inspect.isfunction(function):
            yield name


@pytest.mark.parametrize(("module", "name"), NAMES, ids=str)
def test_every_public_name_has_a_docstring(module, name):
    thing = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        pytest.skip("a constant is documented where it is assigned")
    doc = inspect.getdoc(thing)
    assert doc
    # A dataclass without a docstring gets its signature as one.
    assert not doc.startswith(f"{name}(")
    if inspect.isclass(thing) and thing.__module__.startswith("skmeta"):
        # A property may be documented among the attributes of its class.
        missing = [n for n in public_members(thing) if not inspect.getdoc(getattr(thing, n))]
        missing = [n for n in missing if f"{n} : " not in doc]
        assert missing == []


@pytest.mark.parametrize("module", [n for n in PUBLIC if n != "skmeta" and "._" not in n])
def test_every_public_name_is_in_the_api_reference(module):
    text = (Path(__file__).parent.parent / "doc" / "api" / "index.rst").read_text()
    section = text.partition(f".. currentmodule:: {module}\n")[2].partition(".. automodule::")[0]
    listed = re.findall(r"^   (\w+)$|^\.\. py:data:: (\w+)$", section, re.MULTILINE)
    missing = set(importlib.import_module(module).__all__) - {a or b for a, b in listed}
    assert missing == set()
