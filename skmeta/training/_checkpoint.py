"""Checkpoints, from which a killed meta-training resumes.

They are tensor files, as priors are. The state of a run is written as JSON, in which the
name of a tensor stands for each array.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skmeta._files import FileFormat, read_tensor_file, write_tensor_file
from skmeta.exceptions import CheckpointError

FORMAT = FileFormat("skmeta.checkpoint", 2, "a checkpoint", "meta-training", CheckpointError)

_ADVICE = "Give another path, or delete the file to start anew."

# Keys of JSON objects that stand for what JSON does not have.
_TENSOR, _ARRAY, _TUPLE, _PAIRS = "$tensor", "$array", "$tuple", "$pairs"


def save_checkpoint(path: str | PathLike[str], fingerprint: str, content: dict[str, Any]) -> None:
    """Write a checkpoint; a kill at any moment leaves the old file or the new one.

    Parameters
    ----------
    path : path
        The file.
    fingerprint : str
        Identifies the run.
    content : dict
        Tensors, arrays, numbers, strings, None, and lists, tuples and dicts of these.

    Raises
    ------
    TypeError
        If `content` holds something else.
    OSError
        If the file cannot be written.
    """
    tensors: dict[str, np.ndarray] = {}
    fields = {"fingerprint": fingerprint, "content": _pack(content, tensors)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_tensor_file(path, FORMAT, fields, tensors, mode=0o600)


def load_checkpoint(path: str | PathLike[str], fingerprint: str) -> dict[str, Any] | None:
    """Read a checkpoint.

    Parameters
    ----------
    path : path
        The file.
    fingerprint : str
        Identifies the run that wants to resume.

    Returns
    -------
    dict or None
        What was saved; None if there is no file yet.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is damaged, or belongs to another run.
    """
    path, place = Path(path), f"checkpoint={os.fspath(path)!r}"
    try:
        if not path.exists():
            return None
        record, tensors = read_tensor_file(path, FORMAT, place)
        owner = record["fields"]["fingerprint"]
        content = _unpack(record["fields"]["content"], tensors)
        if not isinstance(content, dict) or not isinstance(owner, str):
            raise TypeError("its fields are of other types")
    except CheckpointError as error:
        raise CheckpointError(f"{error} {_ADVICE}") from error
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise CheckpointError(
            f"{place} cannot be read as a checkpoint of skmeta: {error}. {_ADVICE}"
        ) from error
    if owner != fingerprint:
        raise CheckpointError(f"{place} belongs to a run with other parameters or data. {_ADVICE}")
    return content


def resume_checkpoint(
    path: str | PathLike[str], fingerprint: str, restore: Callable[[dict[str, Any]], None]
) -> None:
    """Go on from a checkpoint, if there is one; make its folder, if there is none.

    Parameters
    ----------
    path : path
        The file.
    fingerprint : str
        Identifies the run.
    restore : callable
        Takes what was saved.

    Raises
    ------
    CheckpointError
        If the file cannot be read or written, is damaged, or belongs to another run.
    """
    place, folder = f"checkpoint={os.fspath(path)!r}", Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if Path(path).is_dir():
            raise IsADirectoryError("it is a folder")
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{str(folder)!r} is read-only")
    except OSError as error:
        raise CheckpointError(
            f"{place} cannot be written ({error}). "
            "Give the path of a file in a folder that you may write to."
        ) from error
    saved = load_checkpoint(path, fingerprint)
    if saved is None:
        return
    try:
        restore(saved)
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{place} cannot be resumed: what it holds does not fit the run "
            f"({error}). Delete the file to start anew."
        ) from error


def _pack(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Return a value as JSON knows it; its tensors and arrays go to `tensors`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    name = str(len(tensors))
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().cpu().numpy()
        return {_TENSOR: name}
    if isinstance(value, np.ndarray):
        tensors[name] = value
        return {_ARRAY: name}
    if isinstance(value, list):
        return [_pack(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {_TUPLE: [_pack(item, tensors) for item in value]}
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _pack(item, tensors) for key, item in value.items()}
        return {_PAIRS: [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]}
    raise TypeError(
        f"A checkpoint holds tensors, numbers, strings, lists and dicts, got {value!r} of type "
        f"{type(value).__name__}."
    )


def _unpack(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Return the value that `_pack` packed."""
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(key, item)] = value.items()
        if key == _TENSOR:
            return torch.from_numpy(tensors[item].copy())
        if key == _ARRAY:
            return tensors[item].copy()
        if key == _TUPLE:
            return tuple(_unpack(item, tensors))
        if key == _PAIRS:
            return {_unpack(k, tensors): _unpack(v, tensors) for k, v in item}
    return {key: _unpack(item, tensors) for key, item in value.items()}
