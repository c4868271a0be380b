"""Prior files: the plain, immutable values of a prior, and what is checked before they are used.

Each value equals itself after a round trip through JSON. A pickle has a copy of a prior, but of one
in the package the name and the digest.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any

import numpy as np

from skmeta._files import FileFormat, read_tensor_file, skmeta_version, write_tensor_file
from skmeta.exceptions import PriorError

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


def is_of_rows(name: str) -> bool:
    """Whether a tensor describes the rows of the meta-training, and was not learned."""
    return name.startswith(("scaler.", "rows."))


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
KINDS = ("classification", "regression", "policy", "optimizer")
_TRAINED_ON_KINDS = ("classes", "groups")
_ITEMS: dict[str, type] = {"feature_names_in": str, "input_shape": int}


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raise if the fields of a prior contradict each other."""
    if fields["kind"] not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {fields['kind']!r}.")
    names_kind, is_given = fields["trained_on_kind"], fields["trained_on"] is not None
    if is_given == (names_kind is None) or names_kind not in (None, *_TRAINED_ON_KINDS):
        raise ValueError(
            f"trained_on_kind must be one of {_TRAINED_ON_KINDS} where trained_on is given, "
            f"and None where it is not; got trained_on_kind={names_kind!r} and "
            f"trained_on {'given' if is_given else 'missing'}."
        )
    names, n_features = fields["feature_names_in"], fields["n_features_in"]
    if names is not None and len(names) != n_features:
        raise ValueError(
            f"feature_names_in must name each of the n_features_in={n_features} features, "
            f"got {len(names)} names."
        )


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
    """Return the name of a field of the wrong type, or None."""
    for name, types in FIELDS.items():
        items = fields[name] if name in _ITEMS and isinstance(fields[name], list) else ()
        if type(fields[name]) not in types or any(type(v) is not _ITEMS[name] for v in items):
            return name
    return None


def _find_broken(tensors: Mapping[str, np.ndarray]) -> str | None:
    """Return the name of a tensor with values that are not finite, or None."""
    return next((name for name, t in tensors.items() if not np.isfinite(t).all()), None)


_FOLDER = Path(__file__).parent / "data"


def packaged_names() -> list[str]:
    """Return the names of the files, without their suffix."""
    return sorted(path.stem for path in _FOLDER.glob("*.skmeta"))


@cache
def load_packaged(cls: Any, name: str) -> Any:
    """Load a prior from the package, once per process; `name` is one of :func:`packaged_names`.

    ``cls`` is :class:`MetaPrior`, whose module imports this one.
    """
    prior = cls.load(_FOLDER / f"{name}.skmeta")
    vars(prior)["_packaged_as"] = name
    return prior


def reference(prior: Any) -> dict[str, Any]:
    """Return what stands for a prior of the package."""
    version = skmeta_version()
    return {"name": prior._packaged_as, "digest": prior.digest, "skmeta_version": version}


def dereference(cls: Any, state: Mapping[str, Any]) -> Any:
    """Return the prior that a :func:`reference` stands for, or raise a PriorError."""
    name, version = state["name"], state["skmeta_version"]
    if name not in packaged_names():
        now = "no prior of this name"
    elif (prior := load_packaged(cls, name)).digest == state["digest"]:
        return prior
    else:
        now = f"another prior of this name, with digest {prior.digest[:12]}"
    raise PriorError(
        f"What is loaded was fitted by skmeta {version} from the prior {name!r} of the package, "
        f"with digest {state['digest']:.12}, but skmeta {skmeta_version()} has {now}. Install "
        f"skmeta {version}, or fit again."
    )
