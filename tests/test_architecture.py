"""Rooms import rooms on lower floors only, and no import goes round in a circle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skmeta

PACKAGE = Path(skmeta.__file__).parent
FLOORS = [
    {
        *("_validation", "_columns", "_optional", "_warnings", "exceptions"),
        *("_sklearn_compat", "_torch_compat", "_files", "_copies"),
        *("_html", "_progress", "_fold_evaluation", "_threads"),
    },
    {"tasks", "backbones"},
    {"datasets", "_backend", "_mixed"},
    {"_training", "priors", "_tabular", "_reporting"},
    {"learners"},
    {"few_shot", "grouped", "search", "policy", "testing", "plotting"},
    {"bridges"},
    {"__init__", "__main__"},
]
# Floors of the rooms within a room. "" is what lies in the room itself.
INNER_FLOORS = {
    "search": [{"record"}, {"space"}, {"history", "surrogate"}, {"prior"}, {"report"}, {""}],
    "learners": [{"_core"}, {"auto", "hierarchical", "in_context", "learned_optimizers"}, {""}],
    "policy": [{"environments"}, {""}],
    "grouped": [{"members"}, {"longitudinal"}, {""}],
    "_tabular": [{""}, {"table_prior"}],
}
# Wings: they share a floor and know nothing of each other. Other rooms of a floor may import
# each other, as long as no circle comes of it.
WINGS = {"few_shot", "grouped", "search", "policy"}
# Rooms that use what another room keeps to itself, by its front: estimators, policies and checks
# run the learners' own machinery.
GUESTS = {(room, "skmeta.learners._core") for room in ("few_shot", "policy", "testing")}
MAX_MODULES = 15
MAX_LINES = 450
FILES = sorted(PACKAGE.rglob("*.py"))


def dotted(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in FILES}


def room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def inner_room(module):
    outer, parts = room(module), module.split(".")
    inner = parts[2] if len(parts) > 2 else ""
    known = set().union(*INNER_FLOORS.get(outer, ()))
    return outer, inner if inner in known else ""


def floor_of(name, floors):
    return next(k for k, names in enumerate(floors) if name in names)


def find_imports(tree, in_function=False):
    """Yield each imported dotted name, and whether the import is inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):
            continue  # It holds no import.
        if isinstance(node, ast.Import):
            yield from ((alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", in_function
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from find_imports(node, inside)


IMPORTS = {name: list(find_imports(ast.parse(path.read_text()))) for name, path in MODULES.items()}


def skmeta_imports(module):
    """Modules of skmeta that a module imports, or imports names from, in functions too."""
    names = [name for name, _ in IMPORTS[module] if name.split(".")[0] == "skmeta"]
    return [name if name in MODULES else name.rpartition(".")[0] for name in names]


def offences(importer, imported):
    """Why a module must not import another, if it must not."""
    (a, a_inner), (b, b_inner) = inner_room(importer), inner_room(imported)
    if b == "__init__":
        return [] if a == b else [f"{a} imports the front door"]
    if a != b:
        floors = floor_of(a, FLOORS), floor_of(b, FLOORS)
        if floors[1] > floors[0]:
            return [f"{a} (floor {floors[0]}) imports {b} ({floors[1]})"]
        return [f"{a} imports {b}"] if {a, b} <= WINGS else []
    if a_inner == b_inner:
        return []
    floors = floor_of(a_inner, INNER_FLOORS[a]), floor_of(b_inner, INNER_FLOORS[a])
    if floors[1] > floors[0]:
        return [f"{a}/{a_inner} (floor {floors[0]}) imports {a}/{b_inner} ({floors[1]})"]
    return []


def intrusion(importer, imported):
    """The innermost private part of a module that lies in a package without the importer."""
    parts = imported.split(".")
    for k in range(len(parts) - 1, 0, -1):
        package = ".".join(parts[:k])
        inside = importer == package or importer.startswith(package + ".")
        if parts[k].startswith("_") and not inside:
            return ".".join(parts[: k + 1])
    return None


def test_imports_go_down():
    upwards = [
        f"{module}: {offence}"
        for module in MODULES
        for name in skmeta_imports(module)
        for offence in offences(module, name)
    ]
    assert upwards == []


def test_every_room_has_a_floor():
    assert {room(module) for module in MODULES} <= set().union(*FLOORS)


def test_every_inner_room_has_a_floor():
    for outer, floors in INNER_FLOORS.items():
        folders = {path.parent.name for path in FILES if path.parent.parent == PACKAGE / outer}
        assert folders == set().union(*floors) - {""}


def test_no_room_has_inner_rooms_without_floors():
    deep = {path.parent.parent.name for path in FILES if path.parent.parent.parent == PACKAGE}
    assert deep == set(INNER_FLOORS)


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
    for module in MODULES:
        for target in skmeta_imports(module):
            a, b = name_of(module), name_of(target)
            if a != b:
                edges.setdefault(a, set()).add(b)
    return edges


@pytest.mark.parametrize(
    "name_of", [room, inner_room, str], ids=["rooms", "inner rooms", "modules"]
)
def test_no_circle(name_of):
    assert circle_in(edges_between(name_of)) is None


def test_rooms_are_entered_by_the_front():
    """A private module or package is imported in the package that it lies in, but by guests."""
    intrusions = {
        (room(module), private)
        for module in MODULES
        for name in skmeta_imports(module)
        if (private := intrusion(module, name))
    }
    assert intrusions == GUESTS


def test_no_folder_has_too_many_modules():
    folders = {}
    for path in FILES:
        if path.name != "__init__.py":
            folders.setdefault(dotted(path.parent / "__init__.py"), []).append(path.stem)
    crowded = {n: len(s) for n, s in folders.items() if len(s) > MAX_MODULES}
    assert crowded == {}


def test_no_module_is_too_long():
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: n for module, n in lengths.items() if n > MAX_LINES} == {}


def test_heavy_packages_that_are_optional_are_imported_where_they_are_used():
    optional = {"matplotlib", "optuna", "pandas", "polars", "psycopg", "pyarrow"}
    at_the_top = [
        (module, name)
        for module in MODULES
        for name, in_function in IMPORTS[module]
        if name.split(".")[0] in optional and not in_function
    ]
    assert at_the_top == []


TASK = "[[0.0], [1.0]], [0.0, 1.0]"
FAMILY = "[[k] for k in range(6)], [.1, .5, .2, .9, .3, .4], groups=[0, 0, 0, 1, 1, 1]"


# What is run, one after the other, and what is not imported by then.
STEPS = [
    (
        "import skmeta, skmeta.tasks, skmeta.priors, skmeta.exceptions, skmeta.datasets",
        {"torch", "sqlalchemy"},
    ),
    ("import skmeta.plotting", {"matplotlib"}),
    # Estimators with the priors that ship are fitted, loaded and predict in NumPy.
    (
        f"import pickle; reg = skmeta.MetaFewShotRegressor().fit({TASK}); "
        "clf = skmeta.MetaFewShotClassifier().fit([[0.0], [1.0], [2.0]], [0, 1, 2]); "
        "reg, clf = pickle.loads(pickle.dumps((reg, clf))); "
        "reg.predict_quantiles([[0.5]]); clf.predict_proba([[0.5]]); clf.adapted_",
        {"torch"},
    ),
    # The database of a history is opened by searches that have one.
    (
        "from sklearn.tree import DecisionTreeClassifier as Tree; "
        "skmeta.MetaLearnedSearchCV(Tree(), {'max_depth': [1, 2, 3]}, n_iter=2, cv=2, "
        "random_state=0).fit([[k] for k in range(12)], [0, 1] * 6)",
        {"torch", "sqlalchemy"},
    ),
    # The compiler of torch takes seconds, and closed forms do without it.
    (
        f"import skmeta.learners as m; skmeta.MetaFewShotRegressor().fit({TASK}); "
        f"m.HierarchicalLinear().fit({FAMILY})",
        {"torch._dynamo"},
    ),
]


def test_heavy_packages_are_imported_when_they_are_needed():
    program = ["import sys"]
    for code, heavy in STEPS:
        program += [code, f"assert not {heavy!r} & set(sys.modules), {code!r}"]
    subprocess.run([sys.executable, "-c", "\n".join(program)], check=True)
