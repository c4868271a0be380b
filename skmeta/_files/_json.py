"""JSON text that may come from a stranger."""

import json
from typing import Any

MAX_DEPTH = 32


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
        If it is no JSON, or is nested more than 32 deep.

    Examples
    --------
    >>> parse_json('{"n": [1, 2.5, null]}')
    {'n': [1, 2.5, None]}
    >>> parse_json("[" * 33 + "]" * 33)
    Traceback (most recent call last):
    ...
    ValueError: it is nested more than 32 deep
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        value = json.loads(text)
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


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
