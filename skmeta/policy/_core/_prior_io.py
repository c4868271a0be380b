"""Write a policy learner's state as a prior, and read it back."""

from __future__ import annotations

from typing import Any

import torch

from skmeta.backbones import build_backbone, check_backbone
from skmeta.backend import State
from skmeta.exceptions import PriorError
from skmeta.policy._core._distributions import restore_distribution
from skmeta.policy._core._session import PolicySession
from skmeta.policy._core._settings import POLICY_LEARNERS
from skmeta.priors import MetaPrior
from skmeta.training import make_prior, scaler_of, settings_by_role, state_of

_SPACES = ("action_space", "max_episode_steps")


def write_prior(session: PolicySession, state: State, **provenance: Any) -> MetaPrior:
    """Make a prior of the state of a policy learner.

    Parameters
    ----------
    session : PolicySession
        Learner, network and distribution of actions.
    state : dict of Tensor
        Its state.
    **provenance
        Where the state comes from.

    Returns
    -------
    MetaPrior
        A prior of kind ``"policy"``.
    """
    learner, network = session.learner, session.context.network
    settings = dict(settings_by_role(learner, "prior"))
    spaces = {"action_space": session.distribution.describe()}
    return make_prior(
        learner,
        session.scaler,
        state,
        provenance=provenance,
        learner_params=settings | spaces | {"max_episode_steps": session.max_steps},
        backbone="mlp",
        backbone_params={"hidden": tuple(learner.hidden), "activation": "tanh"},
        kind="policy",
        n_features_in=network.input_shape[0],
        input_shape=network.input_shape,
    )


def read_prior(
    prior: MetaPrior,
    *,
    device: str | torch.device,
    precision: str,
    max_steps: int | None = None,
    **overrides: Any,
) -> tuple[PolicySession, State]:
    """Make a policy learner and its state of a prior.

    Parameters
    ----------
    prior : MetaPrior
        The prior.
    device : str or torch.device
        The device to compute on.
    precision : {"float32", "float64"}
        Precision of the adaptation.
    max_steps : int, optional
        Steps of an episode, at most; by default as in meta-training.
    **overrides
        Settings of the learner to use instead of the prior's.

    Returns
    -------
    session : PolicySession
        Learner, network and distribution of actions.
    state : dict of Tensor
        Its state.

    Raises
    ------
    PriorError
        If the prior is not that of a policy, or its tensors are not those of the network it
        names.
    """
    if prior.learner not in POLICY_LEARNERS:
        raise PriorError(
            f"The prior was learned by {prior.learner}, but a policy needs one of "
            f"{', '.join(sorted(POLICY_LEARNERS))}. Meta-train one of these, or import the module "
            "that defines the learner."
        )
    settings = {n: v for n, v in prior.learner_params.items() if n not in _SPACES}
    described = prior.learner_params["action_space"]
    network = dict(prior.backbone_params)
    shape = tuple(prior.input_shape or ())
    check_backbone(str(prior.backbone), shape, network, prior.tensors)
    settings |= {"hidden": network["hidden"]} | overrides
    learner = POLICY_LEARNERS[prior.learner](**settings)
    distribution = restore_distribution(described, learner.initial_std)
    session = PolicySession.on_device(
        learner,
        build_backbone(str(prior.backbone), shape, network),
        scaler_of(prior),
        distribution,
        max_steps=int(max_steps or prior.learner_params["max_episode_steps"]),
        n_trained_steps=int(prior.learner_params["n_inner_steps"]),
        device=device,
        precision=precision,
    )
    return session, dict(state_of(prior, session.adapter.device, session.adapter.dtype))
