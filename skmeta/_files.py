"""Tensor files: arrays, and a record of everything else, checked before anything in them is used.

A tensor file is a safetensors file. It begins with the length of its header in 8 bytes, the header
is JSON text, and the arrays follow. The header's ``__metadata__`` holds two strings: the record
(format, version, fields) as JSON text under the name of the format, and ``sha256``, the digest of
the whole file with 64 zeros in its own place. A change of any bit is therefore detected.

The library safetensors packs arrays, reads a file and checks its header. The strings are added
here, because the library may write them in any order. Nothing unpickles or runs what a file says,
so a file may come from a stranger. The digest shows damage; it does not show who wrote the file.
"""

import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from skmeta.exceptions import SkmetaError

MAX_DEPTH = 32


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that may come from a stranger; a ValueError if it is none, or nested too deep."""
    try:
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


MAX_HEADER = 2**25  # bytes; parsed JSON takes up to 20 times as much memory
_DIGEST = "sha256"
_ZEROS = "0" * 64

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class FileFormat:
    """One kind of tensor file.

    `name` is the key of its record in the header, such as ``"skmeta.prior"``; `version` is written,
    and the highest that is read; `kind` (``"a prior"``) and `source` (``"MetaPrior.save"``) are
    what errors call the file and what writes it; `error` is raised for a file that cannot be read.
    """

    name: str
    version: int
    kind: str
    source: str
    error: type[SkmetaError]


def write_tensor_file(
    path: str | os.PathLike[str],
    form: FileFormat,
    fields: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    *,
    mode: int = 0o666,
) -> None:
    """Write fields that JSON can hold and arrays to one file, whole or not at all.

    The permissions are `mode` without the umask. Fields of over 32 MiB raise a ValueError.
    """
    record = {"format_version": form.version, "skmeta_version": skmeta_version(), "fields": fields}
    metadata = {form.name: dump_json(record), _DIGEST: _ZEROS}
    arrays = {}
    for name, tensor in tensors.items():
        if tensor.dtype.kind not in "biuf":
            raise TypeError(
                f"The tensor {name!r} has dtype {tensor.dtype}. Convert it to a number."
            )
        arrays[name] = tensor.astype(tensor.dtype.newbyteorder("<"), order="C", copy=False)
    saved = save(arrays)
    size = 8 + int.from_bytes(saved[:8], "little")
    header = {"__metadata__": metadata, **json.loads(saved[8:size])}
    text = dump_json(header).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(
            f"The settings of {form.kind} take {len(text):,} bytes, but {MAX_HEADER:,} is the "
            "most. Leave out long lists of names or labels."
        )
    content = b"".join([len(text).to_bytes(8, "little"), text, saved[size:]])
    at = content.index(f'"{_DIGEST}":"{_ZEROS}"'.encode()) + len(_DIGEST) + 4
    digest = hashlib.sha256(content).hexdigest().encode()
    with atomic_writer(path, mode=mode) as file:
        for part in (content[:at], digest, content[at + len(digest) :]):
            file.write(part)


def read_tensor_file(
    path: str | os.PathLike[str], form: FileFormat, place: str | None = None
) -> tuple[dict[str, Any], Arrays]:
    """Read what :func:`write_tensor_file` wrote, as read-only arrays, or raise ``form.error``."""
    place = repr(os.fspath(path)) if place is None else place
    kind = os.stat(path).st_mode
    # A pipe or a device may never end; a folder has an error of its own.
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise form.error(f"{place} is not a file. Give a file written by {form.source}.")
    return parse_tensor_file(Path(path).read_bytes(), form, place)


def parse_tensor_file(
    content: bytes, form: FileFormat, place: str
) -> tuple[dict[str, Any], Arrays]:
    """Return what :func:`read_tensor_file` returns, from the bytes of the file."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 10 or content[8:9] != b"{" or not 2 <= size <= MAX_HEADER:
        raise form.error(
            f"{place} is not {form.kind} of skmeta: it is not a safetensors file. "
            f"Give a file written by {form.source}."
        )
    try:
        tensors = load(content)
        metadata = parse_json(content[8 : 8 + size]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError) as error:
        raise form.error(
            f"{place} is damaged, or was cut short ({error}). Copy or save it again."
        ) from error
    if form.name not in metadata:
        raise form.error(
            f"{place} is a safetensors file, but not {form.kind} of skmeta. "
            f"Give a file written by {form.source}."
        )
    record = _read_record(place, form, metadata[form.name])
    if not _matches(content, metadata.get(_DIGEST)):
        raise form.error(
            f"{place} was altered after it was saved: its contents do not match its digest. "
            "Copy or save it again from a source that you trust."
        )
    for tensor in tensors.values():
        tensor.setflags(write=False)
    return record, tensors


def skmeta_version() -> str:
    """Return the version of skmeta that is installed."""
    try:
        return version("skmeta")
    except PackageNotFoundError:
        return "0+unknown"


def _read_record(place: str, form: FileFormat, text: str) -> dict[str, Any]:
    try:
        record = parse_json(text)
        version_read = record["format_version"]
        if type(version_read) is not int or version_read < 1:
            raise ValueError(f"format_version is {version_read!r}")
        fields = record["fields"] if version_read <= form.version else {}
    except (ValueError, TypeError, LookupError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise form.error(
            f"{place} was altered: its description cannot be read ({what}). Copy or save it again."
        ) from error
    if version_read > form.version:
        raise form.error(
            f"{place} was written by skmeta {record.get('skmeta_version', 'unknown')} with "
            f"format {version_read}; this version ({skmeta_version()}) reads up to format "
            f"{form.version}. Upgrade skmeta to load it."
        )
    if not isinstance(fields, dict):
        raise form.error(f"{place} was altered: its fields are missing. Copy or save it again.")
    return dict(record)


def _matches(content: bytes, digest: Any) -> bool:
    if not isinstance(digest, str) or len(digest) != len(_ZEROS) or not digest.isascii():
        return False
    where = f'"{_DIGEST}":"{digest}"'.encode()
    at = content.find(where) + len(_DIGEST) + 4
    if content.count(where) != 1:
        return False
    view = memoryview(content)
    sha = hashlib.sha256(view[:at])
    sha.update(_ZEROS.encode())
    sha.update(view[at + len(_ZEROS) :])
    return sha.hexdigest() == digest


@contextmanager
def atomic_writer(path: str | os.PathLike[str], *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file that replaces the old one once it is written and on disk; a link is followed."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, f"{str(target)!r} is a folder. Give the path of a file in it"
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT,
            f"The folder {str(target.parent)!r} does not exist. "
            f"Create it before {target.name!r} is written to it",
        )
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
