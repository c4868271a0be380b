"""Checkpoints, from which a killed meta-training resumes.

They are tensor files with a digest, as priors are. The state of a run is in them as bytes that
torch writes, and reads without running any code (``weights_only``). A ``fingerprint`` identifies
the run; a file that is damaged or belongs to another run raises a FileFormatError.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmeta._backend import tree_map
from skmeta._files import FileFormat, read_tensor_file, write_tensor_file
from skmeta.exceptions import FileFormatError

FORMAT = FileFormat("skmeta.checkpoint", 3, "a checkpoint", "meta-training", FileFormatError)

_ADVICE = "Give another path, or delete the file to start anew."


def save_checkpoint(path: str | PathLike[str], fingerprint: str, content: dict[str, Any]) -> None:
    """Write a checkpoint; if the process is killed, the old or the new file is complete.

    `content` may hold tensors, numbers, strings, None, and lists, tuples and dicts of these.
    """
    buffer = io.BytesIO()
    # On the CPU, as tensors of some devices cannot be read without running code.
    torch.save(tree_map(lambda v: v.cpu() if isinstance(v, Tensor) else v, content), buffer)
    tensors = {"content": np.frombuffer(buffer.getbuffer(), np.uint8)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_tensor_file(path, FORMAT, {"fingerprint": fingerprint}, tensors, mode=0o600)


def load_checkpoint(path: str | PathLike[str], fingerprint: str) -> dict[str, Any] | None:
    """Read a checkpoint, or return None if there is no file yet."""
    path, place = Path(path), f"checkpoint={os.fspath(path)!r}"
    try:
        if not path.exists():
            return None
        record, tensors = read_tensor_file(path, FORMAT, place)
        owner = record["fields"]["fingerprint"]
        saved = io.BytesIO(tensors["content"].tobytes())
        content = torch.load(saved, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or not isinstance(owner, str):
            raise TypeError("its fields are of other types")
    except FileFormatError as error:
        raise FileFormatError(f"{error} {_ADVICE}") from error
    except UnpicklingError:  # Torch's own message advises to run the code in the file.
        raise FileFormatError(
            f"{place} holds other objects than tensors and plain values. {_ADVICE}"
        ) from None
    except (OSError, ValueError, TypeError, LookupError, RuntimeError) as error:
        raise FileFormatError(
            f"{place} cannot be read as a checkpoint of skmeta: {error}. {_ADVICE}"
        ) from error
    if owner != fingerprint:
        raise FileFormatError(f"{place} belongs to a run with other parameters or data. {_ADVICE}")
    return content


def open_checkpoint(path: str | PathLike[str], fingerprint: str) -> dict[str, Any] | None:
    """Read a checkpoint, or make its folder and return None if there is no file yet."""
    place, folder = f"checkpoint={os.fspath(path)!r}", Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if Path(path).is_dir():
            raise IsADirectoryError("it is a folder")
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{str(folder)!r} is read-only")
    except OSError as error:
        raise FileFormatError(
            f"{place} cannot be written ({error}). "
            "Give the path of a file in a folder that you may write to."
        ) from error
    return load_checkpoint(path, fingerprint)


def resume_checkpoint(
    path: str | PathLike[str],
    saved: dict[str, Any] | None,
    restore: Callable[[dict[str, Any]], None],
) -> None:
    """Go on from what :func:`open_checkpoint` returned, or raise an error if it does not fit."""
    if saved is None:
        return
    try:
        restore(saved)
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise FileFormatError(
            f"checkpoint={os.fspath(path)!r} cannot be resumed: what it holds does not fit the run "
            f"({error}). Delete the file to start anew."
        ) from error
