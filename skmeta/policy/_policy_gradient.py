"""Policy gradients: losses, advantages of actions, and a linear baseline.

Notation: M tasks, E episodes of each, T steps, d features; gamma the discount, lambda the weight
of longer estimates; pi the current policy, pi_0 the one that acted, A the advantages, w weights of
the steps (0 after the end of an episode).

All losses are weighted means over the steps, so an expected return over T steps is T times minus
the loss.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

ESTIMATORS = ("lvc", "dice")
BASELINES = ("linear", "none")

_RIDGE = 1e-5


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
        Log probabilities of the actions under pi_0.
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


def discounted_sums(values: np.ndarray, factor: float) -> np.ndarray:
    """Return discounted sums over future steps, with the discount ``factor`` per step.

    Parameters
    ----------
    values : ndarray of shape (..., T)
        Values of each step.
    factor : float
        The discount.

    Returns
    -------
    ndarray of shape (..., T)
        The sums.
    """
    sums = lfilter([1.0], [1.0, -factor], values[..., ::-1])
    return np.ascontiguousarray(sums[..., ::-1])


def linear_baseline(
    observation: np.ndarray, reward: np.ndarray, weight: np.ndarray, discount: float
) -> np.ndarray:
    """Predict future returns by a linear function of observation and time, for each task.

    Parameters
    ----------
    observation : ndarray of shape (M, E, T, d)
        Standardised observations.
    reward, weight : ndarray of shape (M, E, T)
        Rewards, and 1 for the steps that were made.
    discount : float
        gamma.

    Returns
    -------
    ndarray of shape (M, E, T)
        Predicted returns; 0 after the end of an episode.

    References
    ----------
    Duan et al. (2016), Benchmarking deep reinforcement learning for continuous control, section 5
    of the supplement (linear feature baseline).
    """
    clipped = np.clip(observation, -10, 10)
    steps = np.broadcast_to(np.arange(reward.shape[2]) / 100, reward.shape)
    time = np.stack([steps, steps**2, steps**3, np.ones_like(steps)], axis=-1)
    features = np.concatenate([clipped, clipped**2, time], axis=-1)
    x = features.reshape(len(features), -1, features.shape[-1])
    w = weight.reshape(len(x), -1, 1)
    y = discounted_sums(reward, discount).reshape(len(x), -1, 1)
    left = (w * x).transpose(0, 2, 1) @ x
    left += _RIDGE * np.maximum(1.0, w.sum(1, keepdims=True)) * np.eye(x.shape[2])
    coefficients = np.linalg.solve(left, (w * x).transpose(0, 2, 1) @ y)
    return np.asarray((x @ coefficients * w).reshape(reward.shape))


def generalised_advantages(
    reward: np.ndarray, value: np.ndarray, discount: float, trace: float
) -> np.ndarray:
    """Estimate advantages by exponentially weighted temporal differences.

    Parameters
    ----------
    reward : ndarray of shape (M, E, T)
        Rewards, 0 after the end of an episode.
    value : ndarray of shape (M, E, T)
        Predicted returns, 0 after the end of an episode.
    discount, trace : float
        gamma and lambda.

    Returns
    -------
    ndarray of shape (M, E, T)
        The advantages.

    References
    ----------
    Schulman et al. (2016), High-dimensional continuous control using generalized advantage
    estimation, equation 16.
    """
    after = np.zeros_like(value)
    after[..., :-1] = value[..., 1:]
    return discounted_sums(reward + discount * after - value, discount * trace)


def standardise(advantage: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Centre and scale the advantages of each task over the steps that were made.

    Parameters
    ----------
    advantage, weight : ndarray of shape (M, E, T)
        Advantages, and 1 for the steps that were made.

    Returns
    -------
    ndarray of shape (M, E, T)
        With mean 0 and standard deviation 1 for each task.
    """
    total = weight.sum((1, 2), keepdims=True)
    mean = (advantage * weight).sum((1, 2), keepdims=True) / total
    centred = (advantage - mean) * weight
    scale = np.sqrt((centred**2).sum((1, 2), keepdims=True) / total)
    return np.asarray(centred / np.maximum(scale, 1e-8))
