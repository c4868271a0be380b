"""A file from which a killed run goes on, to the bit."""

from __future__ import annotations

import os
import pickle
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from skmeta.exceptions import CheckpointError

FORMAT = 1


def save_checkpoint(path: str | PathLike[str], fingerprint: str, content: dict[str, Any]) -> None:
    """Write a checkpoint; a kill at any moment leaves the old file or the new one.

    Parameters
    ----------
    path : path
        The file.
    fingerprint : str
        Identifies the run.
    content : dict
        Tensors, numbers, strings, lists and dicts.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"format": FORMAT, "fingerprint": fingerprint, "content": content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_checkpoint(path: str | PathLike[str], fingerprint: str) -> dict[str, Any] | None:
    """Read a checkpoint.

    Parameters
    ----------
    path : path
        The file.
    fingerprint : str
        What the run at hand is identified by.

    Returns
    -------
    dict or None
        What was saved; None if there is no file yet.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or belongs to another run.
    """
    if not Path(path).exists():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        version, found, content = saved["format"], saved["fingerprint"], saved["content"]
    except (RuntimeError, EOFError, LookupError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or "the file ends too early."
        raise CheckpointError(
            f"checkpoint={os.fspath(path)!r} cannot be read as a checkpoint of skmeta: {reason} "
            "Give another path, or delete the file to start anew."
        ) from error
    if version != FORMAT:
        raise CheckpointError(
            f"checkpoint={os.fspath(path)!r} has format {version}, and this version of skmeta "
            f"reads format {FORMAT}. Finish the run with the version that began it, or start anew."
        )
    if found != fingerprint:
        raise CheckpointError(
            f"checkpoint={os.fspath(path)!r} belongs to a run with other parameters or data. "
            "Give another path, or delete the file to start anew."
        )
    return dict(content)
