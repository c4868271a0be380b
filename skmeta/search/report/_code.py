"""Best parameters as Python that can be copied."""

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import clone

from skmeta.search.record import Value
from skmeta.search.space import is_estimator

__all__ = ["code_of_configuration", "code_of_estimator", "code_of_params"]

_STEP = re.compile(r"final_step|step_\d+")
_ENDLESS = 1_000_000  # characters of a representation before it is cut


def code_of_estimator(estimator: Any) -> str | None:
    """Return Python that makes an estimator that is not fitted.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    str or None
        Imports and one assignment; None if the representation is no Python, or is not whole.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> print(code_of_estimator(SVC(C=10.0)))
    from sklearn.svm import SVC
    <BLANKLINE>
    model = SVC(C=10.0)
    """
    bare = clone(estimator)
    params = bare.get_params(deep=True)
    bare.set_params(**{n: v.item() for n, v in params.items() if isinstance(v, np.generic)})
    # Estimators in parameters have parameters too, so that all are found here.
    classes = [type(v) for v in [bare, *params.values()] if is_estimator(v)]
    return _checked("\n".join([*_imports(classes), "", f"model = {_spell(bare, 8)}"]))


def code_of_params(params: Mapping[str, Any]) -> str:
    """Return Python that sets parameters.

    Parameters
    ----------
    params : dict
        For ``set_params``.

    Returns
    -------
    str

    Examples
    --------
    >>> print(code_of_params({"C": 10.0}))
    best_params = {
        'C': 10.0,
    }
    estimator.set_params(**best_params)
    """
    nested = [
        value
        for one in params.values()
        if is_estimator(one)
        for value in [one, *one.get_params(deep=True).values()]
    ]
    imports = _imports([type(value) for value in nested if is_estimator(value)])
    lines = [*imports, *([""] if imports else []), "best_params = {"]
    lines += [f"    {name!r}: {_spell(value, 8)}," for name, value in params.items()]
    return "\n".join([*lines, "}", "estimator.set_params(**best_params)"])


def code_of_configuration(configuration: Mapping[str, Value]) -> str:
    """Return a configuration of a history as calls of the classes.

    Parameters
    ----------
    configuration : dict
        Canonical names, such as ``"SVC.C"``, to values.

    Returns
    -------
    str
        One line per class.

    Examples
    --------
    >>> code_of_configuration({"SVC.C": 10.0, "SVC.kernel": "rbf"})
    "SVC(C=10.0, kernel='rbf')"
    """
    calls: dict[str, list[str]] = {}
    for name, value in configuration.items():
        owner, _, leaf = name.rpartition(".")
        if _STEP.fullmatch(leaf):  # tells which class a step is, and is no parameter
            continue
        calls.setdefault(owner, []).append(f"{leaf}={value!r}")
    return "\n".join(f"{owner or 'dict'}({', '.join(own)})" for owner, own in calls.items())


def _imports(classes: Iterable[type]) -> list[str]:
    modules = {
        (_public_module(cls.__module__), cls.__name__)
        for cls in classes
        if cls.__module__ != "__main__"
    }
    return [f"from {module} import {name}" for module, name in sorted(modules)]


def _public_module(module: str) -> str:
    """Return a module up to its first private part."""
    parts = module.split(".")
    private = next((k for k, part in enumerate(parts) if part.startswith("_")), len(parts))
    return ".".join(parts[: max(private, 1)])


def _spell(value: Any, indent: int) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    try:
        text = value.__repr__(N_CHAR_MAX=_ENDLESS)  # scikit-learn's
    except TypeError:
        text = repr(value)
    return str(text).replace("\n", "\n" + " " * indent)


def _checked(code: str) -> str | None:
    try:
        nodes = ast.walk(ast.parse(code))
    except SyntaxError:
        return None
    # scikit-learn writes "..." in place of all but the first values of a long list.
    is_cut = any(isinstance(n, ast.Constant) and n.value is ... for n in nodes)
    return None if is_cut else code
