"""Files of search priors: tensors as safetensors, everything else as JSON text in the header.

Reading a file runs no code from it.
"""

import json
import os
import secrets
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from skmeta.exceptions import PriorFormatError

FORMAT = "skmeta.search_prior"
FORMAT_VERSION = 1


def write_file(path: Path, fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Write JSON fields and tensors to one file, whole or not at all."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"The folder {str(path.parent)!r} does not exist. "
            f"Create it before saving a prior as {path.name!r}."
        )
    record = {
        "format_version": FORMAT_VERSION,
        "skmeta_version": _skmeta_version(),
        "fields": fields,
    }
    content = save(dict(tensors), metadata={FORMAT: json.dumps(record, sort_keys=True)})
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


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the fields and tensors of a file that `write_file` wrote."""
    try:
        with safe_open(path, framework="numpy") as file:
            fields = _read_fields(path, file.metadata())
            names = file.keys()
            return fields, {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise PriorFormatError(
            f"{str(path)!r} is not a safetensors file, or was cut short ({error}). "
            "Copy or save it again, or give a file written by SearchPrior.save."
        ) from error


def _read_fields(path: Path, header: Mapping[str, str] | None) -> dict[str, Any]:
    if not header or FORMAT not in header:
        raise PriorFormatError(
            f"{str(path)!r} is a safetensors file, but not a search prior of skmeta. "
            "Give a file written by SearchPrior.save."
        )
    try:
        record = json.loads(header[FORMAT])
        format_version, fields = int(record["format_version"]), dict(record["fields"])
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
    return fields


def _skmeta_version() -> str:
    try:
        return version("skmeta")
    except PackageNotFoundError:
        return "0+unknown"
