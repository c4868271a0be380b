"""Read and check files of search priors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skmeta._files import FileFormat, read_tensor_file
from skmeta.exceptions import PriorError
from skmeta.search.prior._past_surfaces import PastTask
from skmeta.search.space import Encoding

FORMAT = FileFormat("skmeta.search_prior", 2, "a search prior", "SearchPrior.save", PriorError)

# Beyond these, arithmetic in double and in single precision overflows.
_LARGE = 1e300
_LARGE_TENSOR = 1e12

Tensors = dict[str, np.ndarray]

# Types of the labels of a past task in JSON.
_LABELS = {"dataset": str, "metric": str, "estimator": str, "data_digest": str} | {
    "data_sketch": list,
    "n_evaluations": int,
    "dataset_features": dict,
}


def read_file(path: Path) -> tuple[Encoding, list[PastTask], Tensors]:
    """Return encoding, past tasks and tensors of a file that `SearchPrior.save` wrote."""
    record, tensors = read_tensor_file(path, FORMAT)
    try:
        tasks = [_read_task(task) for task in record["fields"]["tasks"]]
        encoding = Encoding.from_json(record["fields"]["encoding"])
        n_groups = int(encoding.groups.max(initial=-1)) + 1
        _check_encoding(encoding.to_json())
        _check_tensors(tensors, [t.n_evaluations for t in tasks], encoding.n_columns, n_groups)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise PriorError(
            f"{str(path)!r} holds a field that cannot be read: {what}. "
            "Give a file written by SearchPrior.save."
        ) from error
    return encoding, tasks, tensors


def _read_task(described: Any) -> PastTask:
    for name, kind in _LABELS.items():
        if type(described[name]) is not kind:
            raise TypeError(f"{name} of a task is a {type(described[name]).__name__}")
    if described["n_evaluations"] < 0:
        raise ValueError(f"n_evaluations of a task is {described['n_evaluations']}")
    if any(type(v) is not int or not 0 <= v < 2**64 for v in described["data_sketch"]):
        raise ValueError("data_sketch of a task holds more than 64-bit numbers")
    if any(type(v) not in (int, float) for v in described["dataset_features"].values()):
        raise ValueError("dataset_features of a task holds more than numbers")
    return PastTask(**described)


def _check_encoding(parameters: Sequence[Mapping[str, Any]]) -> None:
    names = [parameter["name"] for parameter in parameters]
    if len(set(names)) < len(names):
        raise ValueError("a parameter is encoded twice")
    for parameter in parameters:
        low, high = parameter["low"], parameter["high"]
        if not -_LARGE <= low <= high <= _LARGE or 0 < high - low < 1 / _LARGE:
            raise ValueError(f"{parameter['name']!r} ranges from {low} to {high}")


def _check_tensors(
    tensors: Mapping[str, np.ndarray], sizes: Sequence[int], n_columns: int, n_groups: int
) -> None:
    """Check names, types, shapes and values of the tensors of a prior."""
    n_evaluations, n_tasks = sum(sizes), len(sizes)
    shapes: dict[str, tuple[int, ...]] = {
        "X": (n_evaluations, n_columns),
        "weights": (n_evaluations,),
        "offsets": (n_tasks,),
        "noise": (n_tasks,),
        "uncertainty": (n_tasks,),
        "levels": (n_tasks, 2),
        "length_scales": (n_groups,),
    }
    if tensors.keys() != shapes.keys():
        missing = sorted(shapes.keys() - tensors.keys())
        raise KeyError(missing[0]) if missing else ValueError("it has a tensor too many")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has shape {tensors[name].shape}, but {shape} is needed")
        if tensors[name].dtype.kind != "f" or not np.isfinite(tensors[name]).all():
            raise ValueError(f"{name} holds values that are no finite numbers")
        # As a Python float, since half precision does not hold the bound.
        if name != "levels" and float(np.abs(tensors[name]).max(initial=0)) > _LARGE_TENSOR:
            raise ValueError(f"{name} holds numbers that are too large")
    if (tensors["length_scales"] < 1 / _LARGE_TENSOR).any():
        raise ValueError("length_scales must be positive")
    if (tensors["noise"] < 0).any() or (tensors["uncertainty"] < 0).any():
        raise ValueError("noise and uncertainty must not be negative")
