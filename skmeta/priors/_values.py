"""Plain, immutable values of a prior. Each equals itself after a round trip through JSON."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

_LABEL_DTYPES: dict[type, Any] = {bool: np.bool_, int: np.int64, float: np.float64, str: np.str_}


def freeze_tensor(name: str, tensor: np.ndarray) -> np.ndarray:
    """Return a read-only copy of a float16, float32 or float64 array."""
    # Files and digests use little-endian numbers in C order, so the copy does too.
    dtype = np.asarray(tensor).dtype.newbyteorder("<")
    if dtype.str not in ("<f2", "<f4", "<f8"):
        raise TypeError(
            f"tensors[{name!r}] must be a float16, float32 or float64 array, got {dtype}. "
            "Convert it first."
        )
    copy = np.array(tensor, dtype=dtype, order="C", copy=True)
    copy.setflags(write=False)
    return copy


def freeze_tuple(values: Iterable[Any] | None, convert: type) -> tuple[Any, ...] | None:
    """Return converted values as a tuple; None stays None."""
    return None if values is None else tuple(map(convert, values))


def freeze_labels(labels: Sequence[Any] | np.ndarray | None, name: str) -> np.ndarray | None:
    """Return labels of one type as a read-only array; None stays None."""
    if labels is None:
        return None
    values = [v.item() if isinstance(v, np.generic) else v for v in labels]
    types = {type(value) for value in values}
    if len(types) > 1 or not types <= set(_LABEL_DTYPES):
        raise TypeError(
            f"{name} must be all bools, all ints, all floats or all strings, got "
            f"{' and '.join(sorted(t.__name__ for t in types))}. Convert the labels to one type."
        )
    array = np.array(values, dtype=_LABEL_DTYPES[types.pop()] if types else None)
    array.setflags(write=False)
    return array


def freeze(value: Any, name: str) -> Any:
    """Return a setting as plain, immutable values: sequences as tuples, numpy as Python."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return value
    for plain in (int, float, str):  # also strips subclasses, such as torch's version string
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, list | tuple):
        return tuple(freeze(item, f"{name}[{i}]") for i, item in enumerate(value))
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return MappingProxyType({k: freeze(item, f"{name}[{k!r}]") for k, item in value.items()})
    raise TypeError(
        f"{name} must be None, a bool, a number, a string, or a sequence or a mapping with string "
        f"keys of these, got {value!r} of type {type(value).__name__}. Leave it out, or describe "
        "it by a string."
    )


def thaw(value: Any) -> Any:
    """Return a frozen value as a JSON value: the inverse of `freeze` and `freeze_labels`."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [thaw(item) for item in value]
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    return value
