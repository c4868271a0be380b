"""Best parameters as Python that can be copied."""

import ast
from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import clone

from skmeta.search.space import is_estimator

_ENDLESS = 1_000_000  # characters of a representation before it is cut


def code_of_estimator(estimator: Any) -> str | None:
    """Return Python that makes an estimator that is not fitted.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    str or None
        Imports and one assignment; None if the representation is not valid Python, or was cut.

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


def code_of_best(search: Any) -> str:
    """Return Python that makes the best estimator of a search, or sets its parameters.

    Parameters
    ----------
    search : MetaLearnedSearchCV
        Fitted.

    Returns
    -------
    str
    """
    code = code_of_estimator(search.best_estimator_) if hasattr(search, "best_estimator_") else None
    return code or f"estimator.set_params(**{_spell(search.best_params_, 4)})"


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
