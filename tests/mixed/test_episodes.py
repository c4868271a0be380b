"""Predictions of episodes in function space against those in the space of coefficients."""

import numpy as np
import pytest
import torch

from skmeta.learners.hierarchical._gaussian import (
    mixture_log_density,
    predictive,
    regression_posterior,
)
from skmeta.mixed import effect_scales, noise_levels
from skmeta.mixed._episodes import (
    Episodes,
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
