"""Predictions of episodes in function space against those in the space of coefficients."""

import math

import numpy as np
import pytest
import torch

from skmeta.learners.hierarchical._function_space import (
    class_log_probabilities,
    query_log_proba,
    target_log_densities,
)
from skmeta.learners.hierarchical._gaussian import (
    effect_scales,
    mixture_log_density,
    noise_levels,
    predictive,
    regression_posterior,
)
from skmeta.learners.hierarchical._laplace import (
    ClassTask,
    class_codes,
    class_log_proba,
    find_mode,
    mode_with_derivative,
    newton_parts,
    times_factor,
)
from skmeta.learners.hierarchical._structure import draw_episodes


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


@pytest.mark.parametrize("log_spread", [None, torch.tensor(-0.7).double()])
def test_densities_are_those_of_the_posterior_of_the_coefficients(log_spread):
    episodes = episodes_of(0)
    mean, factor = drawn_prior(1)
    levels = noise_levels(torch.tensor(-0.3).double(), torch.tensor(-0.5).double())
    scales = effect_scales(log_spread, like=mean)
    covariance = factor[0] @ factor[0].T
    found = target_log_densities(episodes, mean[:, 0], covariance, *levels, *scales)
    for k in range(len(episodes.y)):
        known = (episodes.z[k], episodes.y[k], episodes.w[k], mean[:, 0], factor[0])
        posterior = regression_posterior(*known, *levels, *scales)
        parts = (*predictive(posterior, episodes.query_z[k]), posterior.log_weight)
        expected = mixture_log_density(*parts, episodes.query_y[k])
        torch.testing.assert_close(found[k], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities_are_those_of_the_posterior_of_the_coefficients(n_classes):
    episodes = episodes_of(n_classes)
    mean, factor = drawn_prior(1 if n_classes == 2 else n_classes)
    found = class_log_probabilities(episodes, mean, factor @ factor.mT)
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
        torch.testing.assert_close(found[k], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("n_classes", "classes"), [(2, [0, 1]), (2, [1, 0]), (4, [0, 1, 2, 3]), (4, [3, 1])]
)
def test_probabilities_of_query_rows_are_those_from_coefficients(n_classes, classes):
    episodes = episodes_of(len(classes))
    mean, factor = drawn_prior(1 if n_classes == 2 else n_classes)
    codes = class_codes(n_classes, mean)[classes]
    p = torch.eye(len(classes)).double()[episodes.y[3]]
    w = torch.linspace(0, 2, len(p)).double()
    task = ClassTask(episodes.z[3], p, w, mean, factor, codes)
    parts = (find_mode(task), task, episodes.query_z[3])
    found, expected = query_log_proba(*parts), class_log_proba(*parts)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_derivatives_of_probabilities_are_those_from_coefficients(n_classes):
    episodes = episodes_of(n_classes)
    codes = class_codes(n_classes, episodes.z)
    p = torch.eye(n_classes).double()[episodes.y[3]]
    w = torch.linspace(0, 2, len(p)).double().floor()
    found = []
    for proba in (query_log_proba, class_log_proba):
        mean, factor = drawn_prior(1 if n_classes == 2 else n_classes)
        leaves = [mean, 0.5 * factor, episodes.z[3].clone(), episodes.query_z[3].clone()]
        mean, factor, z, at = (leaf.requires_grad_() for leaf in leaves)
        task = ClassTask(z, p, w, mean, factor, codes)
        mode = mode_with_derivative(find_mode(task), task)
        value = (proba(mode, task, at) * torch.arange(n_classes)).sum()
        found.append(torch.autograd.grad(value, leaves))
    for own, expected in zip(*found, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-5)
