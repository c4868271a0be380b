"""Predictions of episodes in function space against those in the space of coefficients."""

import numpy as np
import pytest
import torch

from skmeta.learners.hierarchical._function_space import (
    query_log_proba,
)
from skmeta.learners.hierarchical._laplace import (
    ClassTask,
    class_codes,
    class_log_proba,
    find_mode,
    mode_with_derivative,
)
from skmeta.mixed._episodes import Episodes, draw_episodes


def episodes_of(n_classes, q=4):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(6), [4, 7, 9, 12, 30, 40])
    z = np.column_stack([np.ones(len(codes)), rng.normal(size=(len(codes), q - 1))])
    y = rng.integers(n_classes, size=len(codes)) if n_classes else rng.normal(size=len(codes))
    found = draw_episodes(z, y, codes, np.arange(6), rng)
    assert (found.w == 0).any()
    return Episodes(*map(torch.from_numpy, found))


def drawn_prior(j, q=4):
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(j, q, q, generator=generator, dtype=torch.float64).tril()
    return torch.randn(q, j, generator=generator, dtype=torch.float64), factor


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
