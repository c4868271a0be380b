"""Rooms import rooms on lower floors only, and no import goes round in a circle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skmeta

PACKAGE = Path(skmeta.__file__).parent
FLOORS = [
    {"_validation", "_random", "_optional", "_sklearn_compat", "_files", "_renamed", "exceptions"},
    {"tasks", "backbones", "plotting"},
    {"datasets", "backend"},
    {"training", "priors"},
    {"learners"},
    {"few_shot", "search", "policy", "testing"},
    {"__init__", "__main__"},
]
FLOOR = {room: k for k, rooms in enumerate(FLOORS) for room in rooms}
# Wings: they share a floor and know nothing of each other. Other rooms of a floor may import
# each other, as long as no circle comes of it.
WINGS = {"few_shot", "search", "policy"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def dotted(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module):
    """Room of a module of skmeta, such as ``skmeta.tasks._task``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def find_imports(tree, in_function=False):
    """Yield each imported dotted name, and whether the import is inside a function."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", in_function
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from find_imports(node, inside)


def imports_of(path):
    return list(find_imports(ast.parse(path.read_text())))


def skmeta_imports(path):
    return [name for name, _ in imports_of(path) if name.split(".")[0] == "skmeta"]


def offences(importer, imported):
    """Why a room must not import another, if it must not."""
    if importer == imported or imported == "__init__":
        return [] if importer == imported else [f"{importer} imports the front door"]
    if FLOOR[imported] > FLOOR[importer]:
        return [f"{importer} (floor {FLOOR[importer]}) imports {imported} ({FLOOR[imported]})"]
    return [f"{importer} imports {imported}"] if {importer, imported} <= WINGS else []


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_down(path):
    found = []
    for name in skmeta_imports(path):
        found += offences(room(dotted(path)), room(name))
    assert found == []


def test_every_room_has_a_floor():
    assert {room(dotted(path)) for path in MODULES} <= set(FLOOR)


def circle_in(edges):
    """A circle in a graph, as a list of nodes, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        path.append(node)
        for other in sorted(edges.get(node, ())):
            circle = visit(other)
            if circle:
                return circle
        done.add(path.pop())
        return None

    return next(filter(None, map(visit, sorted(edges))), None)


def edges_between(name_of):
    edges = {}
    modules = {dotted(path) for path in MODULES}
    for path in MODULES:
        for name in skmeta_imports(path):
            target = name if name in modules else name.rpartition(".")[0]
            a, b = name_of(dotted(path)), name_of(target)
            if a != b:
                edges.setdefault(a, set()).add(b)
    return edges


def test_no_circle_of_rooms():
    assert circle_in(edges_between(room)) is None


def test_no_circle_of_modules():
    assert circle_in(edges_between(lambda module: module)) is None


def test_rooms_are_entered_by_the_front():
    """The private modules of a room are its own, save for two rooms that look deeper."""
    guests = {("testing", "backbones"), ("testing", "learners"), ("few_shot", "learners")}
    modules = {dotted(path) for path in MODULES}
    found = set()
    for path in MODULES:
        own = room(dotted(path))
        for name in skmeta_imports(path):
            module = name if name in modules else name.rpartition(".")[0]
            private = module.count(".") > 1 and module.rpartition(".")[2].startswith("_")
            if private and room(module) != own:
                found.add((own, room(module)))
    assert found <= guests


def test_the_rule_sees_faults():
    assert offences("tasks", "learners") == ["tasks (floor 1) imports learners (4)"]
    assert offences("few_shot", "search") == ["few_shot imports search"]
    assert offences("learners", "training") == []
    assert offences("learners", "__init__") == ["learners imports the front door"]
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}}) is None
    source = "def f():\n    import skmeta.search\nif TYPE_CHECKING:\n    import skmeta.policy\n"
    assert list(find_imports(ast.parse(source))) == [("skmeta.search", True)]


def test_heavy_packages_that_are_optional_are_imported_where_they_are_used():
    optional = {"matplotlib", "optuna", "pandas", "polars", "psycopg", "pyarrow"}
    found = [
        (dotted(path), name)
        for path in MODULES
        for name, in_function in imports_of(path)
        if name.split(".")[0] in optional and not in_function
    ]
    assert found == []


def test_private_scikit_learn_is_imported_in_few_places():
    """A new version of scikit-learn may move what begins with an underscore."""
    found = {
        room(dotted(path))
        for path in MODULES
        for name, _ in imports_of(path)
        if name.startswith("sklearn.") and any(part.startswith("_") for part in name.split("."))
    }
    assert found <= {"_sklearn_compat"}


@pytest.mark.parametrize(
    "module", ["skmeta", "skmeta.tasks", "skmeta.priors", "skmeta.exceptions", "skmeta.datasets"]
)
def test_torch_is_not_imported(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_front_door_opens_without_a_database():
    code = "import sys, skmeta; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_plotting_is_imported_without_matplotlib():
    code = "import sys, skmeta.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
