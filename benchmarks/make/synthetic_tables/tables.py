"""Tasks of synthetic tables as rows with groups, as learners take them."""

from typing import Any

import numpy as np
import torch

from benchmarks.make.synthetic_tables.batches import draw_tables

# Number of tables made at once, to bound the memory. It changes the tables of a seed.
_BATCH = 64


def make_table_tasks(
    n_tasks: int,
    n_samples: int,
    n_features: int,
    *,
    kind: str = "classification",
    n_classes: int | None = None,
    random_state: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make small tables, as varied as real ones (see `draw_tables`); rows with the group of each.

    References: Mueller et al. (2022), Transformers can do Bayesian inference, section 5 (random
    networks). Hollmann et al. (2023), TabPFN, section 4 (structural causal models).
    """
    seed = int(np.random.default_rng(random_state).integers(2**63))
    generator = torch.Generator().manual_seed(seed)
    settings: dict[str, Any] = {"kind": kind, "n_classes": n_classes}
    batches = [
        draw_tables(generator, min(_BATCH, n_tasks - start), n_samples, n_features, **settings)
        for start in range(0, n_tasks, _BATCH)
    ]
    X, y = (torch.cat(part).flatten(0, 1).numpy() for part in zip(*batches, strict=True))
    if kind == "regression":
        y = y.astype(np.float64)
    return X, y, np.repeat(np.arange(n_tasks), n_samples)
