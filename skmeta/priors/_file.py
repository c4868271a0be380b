"""Prior files: which fields and tensors make a prior, and what is checked before they are used."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from skmeta._files import FileFormat, read_tensor_file, write_tensor_file
from skmeta.exceptions import PriorError

FORMAT = FileFormat("skmeta.prior", 2, "a prior", "MetaPrior.save", PriorError)

# Fields of a prior, and what they are in JSON.
FIELDS: dict[str, tuple[type, ...]] = {
    "learner": (str,),
    "learner_params": (dict,),
    "backbone": (str, NoneType),
    "backbone_params": (dict,),
    "kind": (str,),
    "n_features_in": (int, NoneType),
    "feature_names_in": (list, NoneType),
    "input_shape": (list, NoneType),
    "classes": (list, NoneType),
    "trained_on": (list, NoneType),
    "trained_on_kind": (str, NoneType),
    "provenance": (dict,),
    "user_module": (bool,),
}
_ITEMS: dict[str, type] = {"feature_names_in": str, "input_shape": int}


def write_prior(path: Path, fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a prior's JSON fields and tensors to one file, whole or not at all."""
    broken = _find_broken(tensors)
    if broken:
        raise ValueError(
            f"The prior cannot be saved: tensors[{broken!r}] holds NaN or infinity. "
            "Meta-train again with a lower inner_lr, meta_lr or clip_norm."
        )
    write_tensor_file(path, FORMAT, fields, tensors)


def read_prior(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the fields and tensors of a prior file, checked against its digest."""
    record, tensors = read_tensor_file(path, FORMAT)
    fields: dict[str, Any] = record["fields"]
    missing = sorted(FIELDS.keys() - fields.keys())
    if missing:
        raise PriorError(
            f"{str(path)!r} lacks {', '.join(missing)}. Give a file written by MetaPrior.save."
        )
    wrong, broken = _find_wrong(fields), _find_broken(tensors)
    if wrong or broken:
        what = f"{wrong}={fields[wrong]!r:.40}" if wrong else f"NaN or infinity in {broken!r}"
        raise PriorError(
            f"{str(path)!r} holds a field that is not allowed: {what}. "
            "Give a file written by MetaPrior.save."
        )
    return fields, tensors


def compute_digest(fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of JSON fields and tensors, whatever the order they come in."""
    names = sorted(tensors)
    described = [[name, tensors[name].dtype.name, tensors[name].shape] for name in names]
    # The description fixes the length of each tensor's bytes, so nothing can move between them.
    text = json.dumps([fields, described], sort_keys=True, separators=(",", ":"))
    sha = hashlib.sha256(text.encode())
    for name in names:
        sha.update(tensors[name].tobytes())
    return sha.hexdigest()


def _find_wrong(fields: Mapping[str, Any]) -> str | None:
    """Return the name of a field of another type than it should have, if there is one."""
    for name, types in FIELDS.items():
        items = fields[name] if name in _ITEMS and isinstance(fields[name], list) else ()
        if type(fields[name]) not in types or any(type(v) is not _ITEMS[name] for v in items):
            return name
    return None


def _find_broken(tensors: Mapping[str, np.ndarray]) -> str | None:
    """Return the name of a tensor with values that are not finite, if there is one."""
    return next((name for name, t in tensors.items() if not np.isfinite(t).all()), None)
