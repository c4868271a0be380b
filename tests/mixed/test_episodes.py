"""Predictions of episodes in function space against those in the space of coefficients."""

import math

import numpy as np
import pytest
import torch

from skmeta.learners.hierarchical._gaussian import (
    mixture_log_density,
    predictive,
    regression_posterior,
)
from skmeta.learners.hierarchical._laplace import (
    ClassTask,
    class_codes,
    find_mode,
    newton_parts,
    times_factor,
)
from skmeta.mixed import effect_scales, noise_levels
from skmeta.mixed._episodes import (
    Episodes,
    class_log_probabilities,
    draw_episodes,
    target_log_densities,
)


def episodes_of(n_classes, q=4):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(6), [4, 7, 9, 12, 30, 40])
    z = np.column_stack([np.ones(len(codes)), rng.normal(size=(len(codes), q - 1))])
    y = rng.integers(n_classes, size=len(codes)) if n_classes else rng.normal(size=len(codes))
    found = draw_episodes(z, y, codes, np.arange(6), rng)
    assert (found.w == 0).any()
    return found


def drawn_prior(j, q=4):
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(j, q, q, generator=generator, dtype=torch.float64).tril()
    return torch.randn(q, j, generator=generator, dtype=torch.float64), factor


@pytest.mark.parametrize("log_spread", [None, -0.7])
def test_densities_are_those_of_the_posterior_of_the_coefficients(log_spread):
    episodes = episodes_of(0)
    mean, factor = drawn_prior(1)
    levels, scales = noise_levels(-0.3, -0.5), effect_scales(log_spread)
    covariance = factor[0] @ factor[0].T
    arrays = map(np.asarray, (mean[:, 0], covariance))
    found = target_log_densities(episodes, *arrays, *levels, *scales)
    episodes = Episodes(*map(torch.from_numpy, episodes))
    levels, scales = (tuple(map(torch.from_numpy, part)) for part in (levels, scales))
    for k in range(len(episodes.y)):
        known = (episodes.z[k], episodes.y[k], episodes.w[k], mean[:, 0], factor[0])
        posterior = regression_posterior(*known, *levels, *scales)
        parts = (*predictive(posterior, episodes.query_z[k]), posterior.log_weight)
        expected = mixture_log_density(*parts, episodes.query_y[k])
        np.testing.assert_allclose(found[k], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities_are_those_of_the_posterior_of_the_coefficients(n_classes):
    episodes = episodes_of(n_classes)
    mean, factor = drawn_prior(1 if n_classes == 2 else n_classes)
    found = class_log_probabilities(episodes, mean.numpy(), (factor @ factor.mT).numpy())
    episodes = Episodes(*map(torch.from_numpy, episodes))
    codes = class_codes(n_classes, mean)
    for k in range(len(episodes.y)):
        p = torch.eye(n_classes).double()[episodes.y[k]]
        task = ClassTask(episodes.z[k], p, episodes.w[k], mean, factor, codes)
        u = find_mode(task)
        covariance = torch.linalg.inv(newton_parts(u, task)[1])
        at = episodes.query_z[k]
        logits = at @ (mean + times_factor(u, factor)) @ codes.T
        # The logit of class c at a row is z' L_j u_j times the code of c for each predictor j.
        moved = torch.einsum("mp,jpq,cj->mcjq", at, factor, codes).flatten(-2)
        if n_classes == 2:
            moved = (moved[:, 1] - moved[:, 0])[:, None]
            logits = (logits[:, 1] - logits[:, 0])[:, None]
        variance = ((moved @ covariance) * moved).sum(-1)
        scaled = logits / torch.sqrt(1 + math.pi * variance / 8)
        if n_classes == 2:
            scaled = torch.cat([torch.zeros_like(scaled), scaled], 1)
        expected = torch.log_softmax(scaled, 1).gather(1, episodes.query_y[k][:, None])[:, 0]
        np.testing.assert_allclose(found[k], expected, rtol=1e-4, atol=1e-4)
