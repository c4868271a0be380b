"""Losses whose gradients are policy gradients.

Notation: E episodes, T steps, pi the policy at hand, pi_0 the one that acted, A the advantages,
w weights of the steps (0 after the end of an episode), tau an episode.

All losses are weighted means over the steps, so an expected return over T steps is T times minus
the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from skmeta.policy._core._distributions import ActionDistribution

ESTIMATORS = ("lvc", "dice", "likelihood", "e-maml")


class Sample(NamedTuple):
    """Episodes of one task, on the device.

    Attributes
    ----------
    x : Tensor of shape (E, T, d)
        Standardised observations.
    action : Tensor of shape (E, T) or (E, T, d)
        In the policy's units.
    weight : Tensor of shape (E, T)
        w.
    advantage : Tensor of shape (E, T)
        A.
    log_prob : Tensor of shape (E, T)
        Of the actions, under pi_0.
    outputs : Tensor of shape (E, T, k)
        Of the network of pi_0.
    old : dict of Tensor
        Parameters of pi_0's distribution other than the outputs.
    credit : Tensor of shape ()
        How much better than other tasks the episodes were, as a mean over steps; for E-MAML.
    """

    x: Tensor
    action: Tensor
    weight: Tensor
    advantage: Tensor
    log_prob: Tensor
    outputs: Tensor
    old: dict[str, Tensor]
    credit: Tensor


def mean_over_steps(values: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over episodes and steps."""
    return (weight * values).sum() / weight.sum()


def inner_loss(estimator: str, log_prob: Tensor, sample: Sample) -> Tensor:
    """Return minus the advantage of the current policy, for a step of adaptation.

    All estimators have the same gradient at pi = pi_0. They differ in how this gradient depends on
    the policy, which the meta-gradient sees:

    * ``"lvc"``: A pi / pi_0, the low-variance estimator of ProMP (equation 8).
    * ``"dice"``: right in each order of derivative, with more variance (Loaded DiCE, equation 11).
    * ``"likelihood"``, ``"e-maml"``: A log pi, which takes the episodes as given. MAML's own
      code does so; E-MAML adds :func:`sampling_loss`.

    Parameters
    ----------
    estimator : {"lvc", "dice", "likelihood", "e-maml"}
        Which.
    log_prob : Tensor of shape (E, T)
        log pi of the actions.
    sample : Sample
        The episodes.

    Returns
    -------
    Tensor of shape ()
        The loss.

    References
    ----------
    Rothfuss et al. (2019), ProMP: proximal meta-policy search.
    Farquhar, Whiteson and Foerster (2019), Loaded DiCE: trading off bias and variance in
    any-order score function gradient estimators for reinforcement learning.
    Al-Shedivat et al. (2018), Continuous adaptation via meta-learning in nonstationary and
    competitive environments; Stadie et al. (2018), Some considerations on learning to explore via
    meta-reinforcement learning (E-MAML).
    """
    if estimator in ("likelihood", "e-maml"):
        terms = log_prob
    else:
        step = torch.where(sample.weight > 0, log_prob - sample.log_prob, 0.0)
        if estimator == "dice":
            so_far = step.cumsum(-1)
            terms = so_far.exp() - (so_far - step).exp()
        else:
            terms = step.exp()
    return -mean_over_steps(terms * sample.advantage, sample.weight)


def sampling_loss(log_prob: Tensor, sample: Sample, credit: Tensor) -> Tensor:
    """Return the score-function term of the episodes of an adaptation.

    Its gradient is minus the sum of grad log pi over all steps, times ``credit``
    (Stadie et al. 2018, equation 6).

    Parameters
    ----------
    log_prob : Tensor of shape (E, T)
        log pi of the actions.
    sample : Sample
        The episodes.
    credit : Tensor of shape ()
        What was gained after the adaptation.

    Returns
    -------
    Tensor of shape ()
        The loss; its value is 0 at pi = pi_0.
    """
    made = (sample.weight > 0).to(log_prob.dtype)
    return -(made * (log_prob - sample.log_prob)).sum() * credit


def outer_loss(log_prob: Tensor, sample: Sample, clip_ratio: float | None) -> Tensor:
    """Return the clipped surrogate of PPO after adaptation (ProMP, equation 12), or the ratio.

    Parameters
    ----------
    log_prob : Tensor of shape (E, T)
        log pi of the actions, pi after adaptation.
    sample : Sample
        Episodes after adaptation.
    clip_ratio : float or None
        epsilon; None does not clip.

    Returns
    -------
    Tensor of shape ()
        The loss.
    """
    ratio = torch.where(sample.weight > 0, log_prob - sample.log_prob, 0.0).exp()
    gain = ratio * sample.advantage
    if clip_ratio is not None:
        clipped = ratio.clamp(1 - clip_ratio, 1 + clip_ratio) * sample.advantage
        gain = torch.minimum(gain, clipped)
    return -mean_over_steps(gain, sample.weight)


def mean_kl(
    distribution: ActionDistribution,
    state: Mapping[str, Tensor],
    outputs: Tensor,
    sample: Sample,
) -> Tensor:
    """Return the mean divergence of the current policy from the one that acted.

    Parameters
    ----------
    distribution : ActionDistribution
        Of the actions.
    state : mapping of str to Tensor
        The policy's parameters.
    outputs : Tensor of shape (E, T, k)
        Of its network.
    sample : Sample
        The episodes.

    Returns
    -------
    Tensor of shape ()
        The divergence, 0 or more.
    """
    kl = distribution.kl(sample.old, sample.outputs, state, outputs)
    return mean_over_steps(kl, sample.weight)
