"""Surfaces of past tasks, interpolated between nodes."""

from itertools import pairwise

import numpy as np

from skmeta.search.prior._past_surfaces import weighted_kernel_sums
from skmeta.search.surrogate import SurfaceInterpolation, matern

RNG = np.random.default_rng(0)
Z = RNG.uniform(0, 3, (400, 2))
CENTRES = RNG.uniform(0, 3, (30, 2))
WEIGHTS = RNG.normal(size=(4, 30))


def surfaces_of(Z):
    return 5.0 + WEIGHTS @ matern(CENTRES, Z)


def test_surfaces_are_exact_at_the_nodes():
    every = SurfaceInterpolation(surfaces_of, Z, 1000)
    np.testing.assert_allclose(every.F, surfaces_of(Z), atol=1e-12)
    some = SurfaceInterpolation(surfaces_of, Z, 100)
    is_exact = np.isclose(some.F, surfaces_of(Z), rtol=0, atol=1e-12).all(axis=0)
    assert is_exact.sum() == 100


def test_between_the_nodes_they_are_close():
    exact = surfaces_of(Z)
    errors = [
        np.abs(SurfaceInterpolation(surfaces_of, Z, n).F - exact).max() for n in (20, 100, 300)
    ]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.05 * exact.std()


def test_kernel_sums_are_those_of_each_task_alone():
    sizes = [1, 700, 3, 300, 300, 2]  # in blocks of 512 evaluations
    ends = np.cumsum([0, *sizes])
    X = RNG.uniform(0, 3, (ends[-1], 2)).astype(np.float32)
    weights = RNG.normal(size=ends[-1]).astype(np.float32)
    Z32 = Z.astype(np.float32)
    alone = [
        weights[a:b].astype(np.float64) @ matern(X[a:b].astype(np.float64), Z)
        for a, b in pairwise(ends)
    ]
    np.testing.assert_allclose(weighted_kernel_sums(X, weights, ends, Z32), alone, atol=1e-3)
    assert weighted_kernel_sums(X, weights, ends, Z32[:0]).shape == (6, 0)
