"""Losses whose gradients are policy gradients.

Notation: E episodes, T steps, pi the policy at hand, pi_0 the one that acted, A the advantages,
w weights of the steps (0 after the end of an episode), tau an episode.

All losses are weighted means over the steps, so an expected return over T steps is T times minus
the loss.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ESTIMATORS = ("lvc", "dice")


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
    """

    x: Tensor
    action: Tensor
    weight: Tensor
    advantage: Tensor
    log_prob: Tensor


def surrogate_loss(estimator: str, log_prob: Tensor, sample: Sample) -> Tensor:
    """Return minus the advantage of the current policy, as a mean over steps.

    Both estimators have the same gradient at pi = pi_0. They differ in how this gradient depends on
    the policy, which the meta-gradient sees:

    * ``"lvc"``: A pi / pi_0, the low-variance estimator of ProMP (equation 8).
    * ``"dice"``: right in each order of derivative, with more variance (Loaded DiCE, equation 11).

    Parameters
    ----------
    estimator : {"lvc", "dice"}
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
    """
    step = torch.where(sample.weight > 0, log_prob - sample.log_prob, 0.0)
    if estimator == "dice":
        so_far = step.cumsum(-1)
        terms = so_far.exp() - (so_far - step).exp()
    else:
        terms = step.exp()
    return -(sample.weight * (terms * sample.advantage)).sum() / sample.weight.sum()
