"""Names of modules that have moved, so that pickles of version 0.1 still load.

A pickle names the module of each class and function in it. A finder at the end of
``sys.meta_path`` answers for the old names. Python asks it only for modules that no other finder
knows, so new code pays nothing.

Remove this module in version 0.4.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MOVED", "install"]

_PACKAGE = __name__.partition(".")[0]

# Old module -> new ones, without "skmeta.". A module that was split has several.
MOVED: dict[str, tuple[str, ...]] = {
    "backbones._table_bars": ("learners.in_context._binned",),
    "backbones._table_cells": ("learners.in_context._cells",),
    "backbones._table_encoders": ("learners.in_context._encoders",),
    "backbones._table_experts": ("learners.in_context._experts",),
    "backbones._table_transformer": ("learners.in_context._transformer",),
    "backend._crossing": ("backend._adapter",),
    "datasets._synthetic_tables": ("datasets.synthetic_tables._tables",),
    "datasets._table_batches": ("datasets.synthetic_tables._batches",),
    "datasets._table_functions": ("datasets.synthetic_tables._functions",),
    "learners._bars": ("learners.in_context._binned",),
    "learners._base": ("learners._core._base",),
    "learners._context": ("learners._core._context",),
    "learners._coordinates": ("learners._core._ravel",),
    "learners._docs": ("learners._core._docs",),
    "learners._family": ("learners.in_context._pooled_model",),
    "learners._gradient": ("learners._core._gradient",),
    "learners._guard": ("learners._safeguard",),
    "learners._heads": ("learners._core._heads",),
    "learners._in_context": ("learners.in_context._learner",),
    "learners._meta_fit": ("learners._core._fit", "learners._core._evaluation"),
    "learners._prior_io": ("learners._core._prior_io", "learners._core._session"),
    "learners._problem": ("learners._core._task_source", "learners._core._inputs"),
    "learners._table_members": ("learners.in_context._views",),
    "learners._table_training": ("learners.in_context._training",),
}

# Classes and functions that a pickle may hold and whose names have changed:
# (old module, old name) -> (new module, new name), the modules without "skmeta.".
RENAMED: dict[tuple[str, str], tuple[str, str]] = {
    ("backend._crossing", "Crossing"): ("backend._adapter", "TensorAdapter"),
}


class _OldModule(ModuleType):
    """A module that has moved; its names are looked up where they are now."""

    def __getattr__(self, name: str) -> Any:
        old = self.__name__.removeprefix(f"{_PACKAGE}.")
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if (old, name) in RENAMED:
            module, renamed = RENAMED[old, name]
            return getattr(import_module(f"{_PACKAGE}.{module}"), renamed)
        for new in MOVED[old]:
            module_now = import_module(f"{_PACKAGE}.{new}")
            if hasattr(module_now, name):
                return getattr(module_now, name)
        raise AttributeError(
            f"{self.__name__} has moved to {', '.join(f'{_PACKAGE}.{new}' for new in MOVED[old])}, "
            f"which has no {name!r}. It was removed after version 0.1."
        )


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of ``MOVED`` by their old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == _PACKAGE and rest in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _OldModule(spec.name, "A module that has moved.")

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run: names are looked up when they are asked for."""


def install() -> None:
    """Let Python find modules by the names that they had in version 0.1."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
