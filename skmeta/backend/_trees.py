"""Trees of tensors: tuples, named tuples, lists and dictionaries, nested in any way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def tree_map(fn: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply a function to corresponding leaves of trees of the same structure.

    Leaves are all objects except dicts, tuples and lists.
    """
    if isinstance(tree, dict):
        return {k: tree_map(fn, v, *(other[k] for other in others)) for k, v in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [tree_map(fn, *leaves) for leaves in zip(tree, *others, strict=True)]
        # The constructor of a named tuple takes one argument per field.
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return fn(tree, *others)


def tree_leaves(tree: Any) -> Iterator[Any]:
    """Iterate over the leaves of a tree, in the order of :func:`tree_map`."""
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, tuple | list):
        yield tree
        return
    for part in tree:
        yield from tree_leaves(part)
