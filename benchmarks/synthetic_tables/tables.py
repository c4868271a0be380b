"""Classification and regression tasks of many kinds: small synthetic tables."""

from typing import Any, Literal

import numpy as np

from skmeta._random import check_rng
from skmeta._validation import check_count

__all__ = ["make_table_tasks"]

_KINDS = ("classification", "regression")
# Number of tables made at once, to bound the memory. It changes the tables of a seed.
_BATCH = 64


def make_table_tasks(
    n_tasks: int = 100,
    n_samples: int = 64,
    n_features: int = 10,
    *,
    kind: Literal["classification", "regression"] = "classification",
    n_classes: int | None = None,
    device: Any = "cpu",
    random_state: Any = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make small tables, as varied as real ones.

    The latent columns of each task are correlated normals, clusters, or nodes of a random causal
    network. They are observed as numbers (plain, skewed, heavy-tailed, censored, rounded), counts,
    dates, ordinal levels, categories or binary flags. Some columns repeat others, and some values
    are missing, at random or not.

    Labels are a function of some of the columns: linear or nearly so, products, linear with
    conditions, a sum of functions of one column, a network with mixed activations, a Gaussian
    process, a decision tree, a sum of oblivious trees, rules, the nearest prototype or several
    neighbours; or a sum of all columns, none of which stands out. In other tasks they depend on
    further nodes of the network, or on the clusters. Classes are of equal, unequal or very unequal
    size. Targets are plain, skewed, heavy-tailed, rounded, counts, censored, or zero in many rows.
    The noise varies.

    A network that predicts such tasks from a few labelled rows has learned how to learn from a
    table: see :class:`~skmeta.learners.InContextLearner`.

    Parameters
    ----------
    n_tasks : int, default=100
        Number of tasks.
    n_samples : int, default=64
        Number of rows of each task.
    n_features : int, default=10
        Number of columns.
    kind : {"classification", "regression"}, default="classification"
        Kind of the tasks.
    n_classes : int or None, default=None
        Number of classes of each task, at most 10. A rare class may have no row. None draws 2 to
        10 for each task; small numbers are more frequent. It has no effect on regressions.
    device : str or torch.device, default="cpu"
        Device of the computation. Another device gives other tasks.
    random_state : int, Generator, RandomState or None, default=None
        Pass an int for reproducible tasks.

    Returns
    -------
    X : ndarray of shape (n_tasks * n_samples, n_features), float32
        The rows, task by task, in random order within a task; missing values are NaN.
    y : ndarray of shape (n_tasks * n_samples,)
        Class positions (int64), or targets (float64).
    groups : ndarray of shape (n_tasks * n_samples,), int64
        The task of each row, from 0 to ``n_tasks - 1``.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    Mueller et al. (2022), Transformers can do Bayesian inference, section 5 (random networks).
    Hollmann et al. (2023), TabPFN, section 4 (structural causal models).

    Examples
    --------
    >>> from synthetic_tables import make_table_tasks
    >>> X, y, groups = make_table_tasks(n_tasks=3, n_samples=20, n_features=5, random_state=0)
    >>> X.shape, y.shape, int(groups.max())
    ((60, 5), (60,), 2)
    """
    # torch is imported here, because most data sets do not need it.
    import torch

    from synthetic_tables.batches import draw_tables
    from synthetic_tables.targets import MAX_CLASSES

    n_tasks = check_count(n_tasks, "n_tasks")
    n_samples = check_count(n_samples, "n_samples", 2)
    n_features = check_count(n_features, "n_features")
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {kind!r}.")
    if n_classes is not None and check_count(n_classes, "n_classes", 2) > MAX_CLASSES:
        raise ValueError(
            f"n_classes must be at most {MAX_CLASSES}, got {n_classes}. Lower it, or join "
            "several tasks."
        )
    seed = int(check_rng(random_state).integers(2**63))
    generator = torch.Generator(device).manual_seed(seed)
    parts = []
    for start in range(0, n_tasks, _BATCH):
        x, y = draw_tables(
            generator,
            min(_BATCH, n_tasks - start),
            n_samples,
            n_features,
            kind=kind,
            n_classes=n_classes,
        )
        parts.append((x.flatten(0, 1).cpu().numpy(), y.flatten().cpu().numpy()))
    X, y_all = (np.concatenate(part) for part in zip(*parts, strict=True))
    if kind == "regression":
        y_all = y_all.astype(np.float64)
    return X, y_all, np.repeat(np.arange(n_tasks), n_samples)
