"""Prior files: tensors as safetensors, everything else as one JSON text in the header.

Reading a file runs no code from it.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from skmeta.exceptions import PriorFormatError

FORMAT = "skmeta.prior"
FORMAT_VERSION = 1


def write_prior(
    path: Path, fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray], digest: str
) -> None:
    """Write a prior's JSON fields and tensors to one file, whole or not at all."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"The folder {str(path.parent)!r} does not exist. "
            f"Create it before saving a prior as {path.name!r}."
        )
    record = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "skmeta_version": _skmeta_version(),
        "fields": fields,
        "digest": digest,
    }
    _write_atomically(path, save(dict(tensors), metadata={FORMAT: _to_json(record)}))


def read_prior(path: Path, required: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the fields and tensors of a prior file, checked against its digest."""
    try:
        with safe_open(path, framework="numpy") as file:
            record = _read_record(path, file.metadata(), required)
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise PriorFormatError(
            f"{str(path)!r} is not a safetensors file, or was cut short ({error}). "
            "Copy or save it again, or give a file written by MetaPrior.save."
        ) from error
    if compute_digest(record["fields"], tensors) != record["digest"]:
        raise PriorFormatError(
            f"{str(path)!r} was altered after it was saved: its contents do not match its "
            "digest. Copy or save it again from a source that you trust."
        )
    return record["fields"], tensors


def compute_digest(fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of JSON fields and tensors, whatever the order they come in."""
    names = sorted(tensors)
    described = [[name, tensors[name].dtype.name, tensors[name].shape] for name in names]
    # The description fixes the length of each tensor's bytes, so nothing can move between them.
    sha = hashlib.sha256(_to_json([fields, described]).encode())
    for name in names:
        sha.update(tensors[name].tobytes())
    return sha.hexdigest()


def _to_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _read_record(
    path: Path, header: Mapping[str, str] | None, required: Sequence[str]
) -> dict[str, Any]:
    """Return the JSON record of a file's header, checked for format, version and fields."""
    if not header or FORMAT not in header:
        raise PriorFormatError(
            f"{str(path)!r} is a safetensors file, but not a prior of skmeta. "
            "Give a file written by MetaPrior.save."
        )
    try:
        record = json.loads(header[FORMAT])
        format_version = int(record["format_version"])
    except (ValueError, TypeError, KeyError) as error:
        raise PriorFormatError(
            f"{str(path)!r} was altered: its description cannot be read ({error}). "
            "Copy or save it again."
        ) from error
    if format_version > FORMAT_VERSION:
        raise PriorFormatError(
            f"{str(path)!r} was written by skmeta {record.get('skmeta_version', 'unknown')} with "
            f"format {format_version}; this version ({_skmeta_version()}) reads up to format "
            f"{FORMAT_VERSION}. Upgrade skmeta to load it."
        )
    fields = record.get("fields")
    missing = sorted(set(required) - set(fields if isinstance(fields, dict) else ()))
    if missing or "digest" not in record:
        raise PriorFormatError(
            f"{str(path)!r} lacks {', '.join(missing) or 'its digest'}. "
            "Give a file written by MetaPrior.save."
        )
    return dict(record)


def _write_atomically(path: Path, content: bytes) -> None:
    # tempfile would make a file that only its owner can read; open follows the umask.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _skmeta_version() -> str:
    try:
        return version("skmeta")
    except PackageNotFoundError:
        return "0+unknown"
