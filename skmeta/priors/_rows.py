"""What a prior knows of the rows of its meta-training, and what it says of those of a new task."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skmeta._columns import FrameEncoder, flatten_rows, is_data_frame
from skmeta._warnings import warn_caller
from skmeta.exceptions import PriorWarning
from skmeta.priors._seen_rows import count_seen, describe_rows
from skmeta.priors._units import columns_of, describe_units, find_misfit


def tensors_of_rows(
    X: np.ndarray,
    y: np.ndarray | None,
    tasks: np.ndarray,
    draw: Callable[[np.random.Generator], np.ndarray],
    *,
    is_image: bool,
    earlier: Any = None,
) -> dict[str, np.ndarray]:
    """Return the tensors by which a prior knows its rows (n, d) again, and their units.

    `tasks` (n,) is the class or group of each row, and `draw` returns the rows of a drawn task.
    Targets `y` (n,) are those of a regression. `earlier` is the prior that the meta-training
    started from, whose rows are known too.
    """
    kept = describe_rows(X, y, tasks, getattr(earlier, "tensors", {}))
    n_tasks = len(np.unique(tasks))
    return kept | describe_units(columns_of(X, is_image), n_tasks, draw)


def warn_if_seen(prior: Any, X: Any, y: Any) -> None:
    """Issue the warning of `MetaPrior.check_new_rows`."""
    rows, _ = flatten_rows(X, prior.input_shape)
    encoder = FrameEncoder.of(prior.provenance)
    if encoder is not None and is_data_frame(rows):
        rows = encoder.encode(rows)
    targets = y if prior.kind == "regression" else None
    n_seen, _ = count_seen(prior.tensors, np.asarray(rows), targets)
    if n_seen:
        warn_caller(
            "The prior was meta-trained on rows of this task, so scores are too good for new "
            "tasks. Divide the rows with skmeta.tasks.split_tasks before the meta-training. "
            "Ignore this warning if nothing is measured.",
            PriorWarning,
            _issued(prior, "_seen_at"),
        )


def warn_if_misfit(prior: Any, X: Any) -> None:
    """Warn if the rows (n, d) of one task cannot have the units of the meta-training."""
    is_image = len(prior.input_shape or ()) > 1
    misfit = find_misfit(prior.tensors, columns_of(X, is_image))
    if misfit is None:
        return
    if is_image:
        what = f"The {('mean', 'deviation')[misfit.column]} of the pixels of an image"
    else:
        what = f"Column {_name(prior, misfit.column)}"
    warn_caller(
        f"{what} does not have the units that the prior was meta-trained on: it has {misfit.now} "
        f"here, but had {misfit.before} there. Predictions may be poor. A scaler must not be "
        "fitted to each task: fit it to the rows of all tasks before the meta-training, and put "
        "FrozenEstimator(scaler) in front of the estimator. "
        "See the page 'A prior in a pipeline' of the documentation.",
        PriorWarning,
        _issued(prior, "_misfit_at"),
    )


def _name(prior: Any, column: int) -> str:
    """Return the name of an encoded column, or its position."""
    encoder = FrameEncoder.of(prior.provenance)
    names = prior.feature_names_in if encoder is None else encoder.names_out()
    return str(column) if names is None else repr(names[column])


def _issued(prior: Any, name: str) -> set[Any]:
    """Return the places at which a warning about a prior was issued."""
    places: set[Any] = vars(prior).setdefault(name, set())
    return places
