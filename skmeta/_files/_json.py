"""JSON text that may come from a stranger."""

import json
import math
from typing import Any

MAX_DEPTH = 32
_MAX_DIGITS = 40  # the state of a random generator has 128 bits


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that may come from a stranger.

    Parameters
    ----------
    text : str or bytes
        The text, UTF-8 if it is bytes.

    Returns
    -------
    object
        What it holds. NaN and infinity may be written as Python writes them.

    Raises
    ------
    ValueError
        If it is no JSON, is nested more than 32 deep, has a number that is out of range, or names
        a key twice.

    Examples
    --------
    >>> parse_json('{"n": [1, 2.5, null]}')
    {'n': [1, 2.5, None]}
    >>> parse_json("1e999")
    Traceback (most recent call last):
    ...
    ValueError: the number 1e999 is out of range
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        value = json.loads(
            text, parse_int=_parse_int, parse_float=_parse_float, object_pairs_hook=_unique
        )
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from None
    layer = [value]
    for _ in range(MAX_DEPTH):
        layer = [item for parent in layer for item in _items(parent)]
        if not layer:
            return value
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def dump_json(value: Any) -> str:
    """Return compact JSON text that does not depend on the order of keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _parse_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits is out of range")
    return int(digits)


def _parse_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits[:_MAX_DIGITS]} is out of range")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is there twice")
    return values


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
