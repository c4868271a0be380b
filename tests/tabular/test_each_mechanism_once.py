"""Each mechanism of the models of tables stands once: a further one fails here.

Places that are listed are those of today; a list may become shorter, and not longer.
"""

import ast
import inspect
from collections import defaultdict
from pathlib import Path

import skmeta
from skmeta._tabular import Member
from skmeta.grouped import members
from skmeta.grouped._members import MEMBERS

ROOT = Path(skmeta.__file__).parent
ELSEWHERE = {"process", "prior", "rows", "slopes"}  # named in their file, and a word
ROOMS = ("_tabular", "_mixed", "grouped", "few_shot", "_reporting")
FILES = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]
TREES = {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in FILES}
# Mechanism, the function or class that is called for it, and the modules that may call it.
PLACES = {
    "weights from losses": (
        "average_weights",
        {
            "_tabular/_units.py",
            "_tabular/_weights.py",
            "few_shot/_members.py",
            "few_shot/_target_scale.py",
        },
    ),
    "weights at a number of known rows": (
        "Level",
        {"_tabular/_weights.py"},
    ),
    "a mixture of members of groups": ("Mixture", {"_tabular/_mixture.py", "grouped/_fit.py"}),
    "a mixture of models of a small table": ("Ensemble", {"few_shot/_members.py"}),
    "cases of groups that are held out": ("Division", {"_tabular/_cases.py"}),
}


def _callers(name):
    found = set()
    for place, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == name:
                found.add(place)
    return found


def test_a_public_name_is_defined_once():
    places = defaultdict(list)
    for place, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name[0] != "_":
                places[node.name].append(place)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_mechanism_is_in_no_further_place():
    found = {mechanism: _callers(name) for mechanism, (name, _) in PLACES.items()}
    assert found == {mechanism: allowed for mechanism, (_, allowed) in PLACES.items()}


def test_members_of_groups_are_fitted_by_one_protocol():
    assert len({kind.name for kind in MEMBERS}) == len({kind.title for kind in MEMBERS})
    for kind in MEMBERS:
        inspect.signature(kind.fit).bind("table", "plan", "earlier", "start")
        inspect.signature(kind.suits).bind("table", "plan")


def test_a_member_is_its_file_and_an_entry_of_the_list():
    """No other module knows a member by its name, but for the four that the parameter takes."""
    own = {kind.name for kind in MEMBERS} - {"population", "mixed", "both", "counts"} - ELSEWHERE
    for place, tree in TREES.items():
        if place.startswith("grouped/") and place != "grouped/_members.py":
            spelled = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            assert not own & spelled, place


def test_members_of_groups_have_one_interface():
    for name, kind in vars(members).items():
        if inspect.isclass(kind) and Member in kind.__mro__:
            assert list(inspect.signature(kind.condition).parameters) == ["self", "known"], name
            assert list(inspect.signature(kind.without).parameters) == ["self", "kept"], name
