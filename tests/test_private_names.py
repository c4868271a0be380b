"""Private names of other packages are used in the two compatibility modules only.

A release of scikit-learn or torch that moves one then fails in one place, and here, by name.
"""

import ast
import importlib
from pathlib import Path

import skmeta

PACKAGE = Path(skmeta.__file__).parent
COMPAT = {"_sklearn_compat.py", "_torch_compat.py"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name not in COMPAT)

# Private names of scikit-learn and torch that some module of skmeta defines too, or might: they
# are used in the module that defines them only.
FOREIGN = {
    "_accept_sample_weight",
    "_apply",
    "_buffers",
    "_estimator_type",
    "_format_results",
    "_functorch",
    "_get_routed_params_for_fit",
    "_get_param_names",
    "_get_scorers",
    "_get_tags",
    "_init_callback_context",
    "_kwargs",
    "_modules",
    "_parameters",
    "_predictors",
    "_pytree",
    "_response_method",
    "_run_search",
    "_score_func",
    "_scorers",
    "_select_best_index",
    "_sign",
    "_skl_callbacks",
    "_validate_params",
}
# Private names of Python's own library that are documented.
DOCUMENTED = {"_asdict", "_fields", "_make", "_replace"}


def is_private(name):
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def defined_names(nodes):
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg  # vars(self).update(_name=...)
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).rpartition(".")[2]


def private_uses(nodes, here, own):
    """Yield private names of other packages that a module imports or asks for."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom | ast.Import):
            module = getattr(node, "module", None) or ""
            for alias in node.names:
                parts = f"{module}.{alias.name}".strip(".").split(".")
                if parts[0] not in ("skmeta", "__future__") and any(map(is_private, parts)):
                    yield ".".join(parts)
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            is_own = node.attr in here or (node.attr in own and node.attr not in FOREIGN)
            if not is_own and node.attr not in DOCUMENTED:
                yield node.attr
        elif isinstance(node, ast.Constant) and node.value in FOREIGN:
            yield node.value  # getattr(scorer, "_sign")


def compat_imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("sklearn", "torch"):
            yield from ((node.module, alias.name) for alias in node.names)


def test_private_names_of_others_are_in_the_compatibility_modules():
    nodes = {str(p.relative_to(PACKAGE)): list(ast.walk(ast.parse(p.read_text()))) for p in MODULES}
    defined = {module: set(defined_names(of_module)) for module, of_module in nodes.items()}
    own = set().union(*defined.values())
    found = {
        (module, use)
        for module, of_module in nodes.items()
        for use in private_uses(of_module, defined[module], own)
    }
    assert found == set(), "move these to _sklearn_compat.py or _torch_compat.py"


def test_what_the_compatibility_modules_import_is_there():
    """All that a release of scikit-learn or torch has moved, in one message."""
    missing = [
        f"{module}.{name}"
        for path in sorted(PACKAGE.glob("_*_compat.py"))
        for module, name in compat_imports(path)
        if not hasattr(importlib.import_module(module), name)
    ]
    assert missing == [], "these private names have moved: mend the compatibility module"
