"""What a prior keeps of any learner: its state, its standardisation, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from skmeta.backend import Scaler, State, state_to_numpy, state_to_torch
from skmeta.priors import MetaPrior
from skmeta.training._parameters import learner_name


def make_prior(
    learner: Any,
    scaler: Scaler,
    state: State,
    *,
    provenance: Mapping[str, Any],
    **fields: Any,
) -> MetaPrior:
    """Make a prior of a learner's state.

    Parameters
    ----------
    learner : object
        The learner.
    scaler : Scaler
        Its standardisation.
    state : dict of Tensor
        Its state.
    provenance : mapping
        Where the state comes from.
    **fields
        Other fields of the prior.

    Returns
    -------
    MetaPrior
        The prior.
    """
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    return MetaPrior(
        state_to_numpy(state) | {f"scaler.{n}": np.asarray(v) for n, v in scaler._asdict().items()},
        learner=learner_name(type(learner)),
        provenance=dict(provenance) | versions,
        **fields,
    )


def scaler_of(prior: MetaPrior) -> Scaler:
    """Return the standardisation of a prior's features and targets."""
    return Scaler(*(prior.tensors[f"scaler.{n}"] for n in Scaler._fields))


@lru_cache(maxsize=2)
def state_of(prior: MetaPrior, device: torch.device, dtype: torch.dtype) -> State:
    """The state of a prior. It is cached for the next task: the methods of learners are pure."""
    tensors = {n: v for n, v in prior.tensors.items() if not n.startswith("scaler.")}
    return state_to_torch(tensors, device, dtype)
