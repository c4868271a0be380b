"""Where meta-training of an InContextLearner starts: the weights of a prior."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from skmeta.backend import State
from skmeta.exceptions import PriorError
from skmeta.priors import MetaPrior, load_table_prior


def weights_of_prior(
    given: MetaPrior | str, learner: str, kind: str, state: Mapping[str, Tensor]
) -> State:
    """Return the weights of a prior, which replace the drawn ones.

    Parameters
    ----------
    given : MetaPrior or "tabular"
        The prior, or the name of the one that ships.
    learner : str
        Name of the learner that starts from it.
    kind : {"classification", "regression"}
        Kind of its tasks.
    state : mapping of str to Tensor
        The drawn state.

    Returns
    -------
    dict of Tensor
        A state with the names and shapes of ``state``.

    Raises
    ------
    PriorError
        If the prior is of another learner, kind or size.
    """
    prior = load_table_prior(kind) if isinstance(given, str) else given
    if prior.learner != learner or prior.kind != kind:
        raise PriorError(
            f"Meta-training of an {learner} on {kind} tasks cannot start from {prior!r}. Give a "
            "prior of the same learner and kind."
        )
    for name, value in state.items():
        shape = prior.tensors[name].shape if name in prior.tensors else None
        if shape != tuple(value.shape):
            params = prior.learner_params
            sizes = {n: params.get(n) for n in ("width", "n_layers", "n_heads", "cell_width")}
            raise PriorError(
                f"The prior's {name!r} has shape {shape}, but the learner's has "
                f"{tuple(value.shape)}. Set {sizes} and the backbone as the prior has them."
            )
    return {n: torch.tensor(prior.tensors[n]).to(v.dtype) for n, v in state.items()}
