"""Tables that are made by rules, physics and games: nearly free of noise, or with skewed targets.

Real tables of some thousand rows are noisy as a rule, and a prior that learned from them only
expects small models to be best everywhere. Functions of physics are those of simulation studies
(borehole, piston, robot arm: Surjanovic and Bingham, "Virtual Library of Simulation Experiments").
"""

from collections.abc import Callable

import numpy as np
from sklearn.datasets import make_classification

N_ROWS = 30_000
Table = tuple[np.ndarray, np.ndarray]


def make_table(name: str) -> Table:
    """Return X and y of a table; the same ones for the same name."""
    rng = np.random.default_rng(list(name.encode()))
    return MAKERS[name](rng)


def clusters(rng, n_informative, n_clusters, n_classes, n_columns=20):
    """Gaussian clusters at the corners of a hypercube, without wrong labels."""
    settings = {"n_informative": n_informative, "n_redundant": 2, "n_classes": n_classes}
    settings |= {"n_clusters_per_class": n_clusters, "flip_y": 0.0, "class_sep": 1.0}
    seed = int(rng.integers(1 << 30))
    return make_classification(N_ROWS, n_columns, **settings, random_state=seed)


def ring(rng):
    """A Gaussian within a wider one (Breiman's ringnorm)."""
    y = rng.integers(0, 2, N_ROWS)
    X = rng.normal(size=(N_ROWS, 20)) * np.where(y, 1.0, 2.0)[:, None]
    return X + y[:, None] * 2 / np.sqrt(20), y


def two_normals(rng):
    """Two Gaussians that a plane divides (Breiman's twonorm)."""
    y = rng.integers(0, 2, N_ROWS)
    return rng.normal(size=(N_ROWS, 20)) + np.where(y, 1, -1)[:, None] * 2 / np.sqrt(20), y


def spirals(rng):
    """Two spirals, and three columns of noise."""
    y, turn = rng.integers(0, 2, N_ROWS), rng.uniform(0.3, 3, N_ROWS)
    angle = 2 * np.pi * turn + np.pi * y
    X = np.column_stack([turn * np.cos(angle), turn * np.sin(angle)])
    return np.hstack([X + rng.normal(0, 0.03, X.shape), rng.normal(size=(N_ROWS, 3))]), y


def bananas(rng):
    """Two bent clouds that overlap little."""
    y, angle = rng.integers(0, 2, N_ROWS), rng.uniform(0, np.pi, N_ROWS)
    X = np.column_stack([np.cos(angle), np.sin(angle)]) * np.where(y, 1, -1)[:, None]
    return X + y[:, None] * [-1, -0.5] + rng.normal(0, 0.25, X.shape), y


def multiplexer(rng):
    """Four bits choose one of sixteen others; two more do nothing."""
    X = rng.integers(0, 2, (N_ROWS, 22))
    return X.astype(float), X[np.arange(N_ROWS), 4 + X[:, :4] @ [8, 4, 2, 1]]


def poker(rng):
    """Five cards by suit and rank; nothing, a pair, two pairs or three, and better."""
    cards = np.argsort(rng.random((N_ROWS, 52)), axis=1)[:, :5]
    rank, suit = cards % 13, cards // 13
    counts = -np.sort(-(rank[:, :, None] == np.arange(13)).sum(1), axis=1)
    value = np.select(
        [
            (suit == suit[:, :1]).all(1) | (counts[:, 0] > 3) | (counts[:, :2] == [3, 2]).all(1),
            (counts[:, 0] == 3) | (counts[:, 1] == 2),
            counts[:, 0] == 2,
        ],
        [3, 2, 1],
        0,
    )
    return np.column_stack([rank, suit]).astype(float), value


def three_in_a_row(rng):
    """A 4 by 4 board after ten moves: whether the first player has three in a row."""
    board = np.zeros((N_ROWS, 16))
    order = np.argsort(rng.random((N_ROWS, 16)), axis=1)
    for move in range(10):
        board[np.arange(N_ROWS), order[:, move]] = 1 - 2 * (move % 2)
    own, won = (board == 1).reshape(-1, 4, 4), np.zeros(N_ROWS, dtype=bool)
    for i in range(4):
        for j in range(2):
            won |= own[:, i, j : j + 3].all(1) | own[:, j : j + 3, i].all(1)
    return board, won.astype(int)


def eligibility(rng):
    """Rules of an office on age, income, months of work and family: grant, part of it, or none."""
    age, work = rng.integers(16, 80, N_ROWS), rng.integers(0, 480, N_ROWS)
    income, assets = rng.lognormal(7.5, 0.6, N_ROWS), rng.lognormal(9, 1.2, N_ROWS)
    children, single = rng.integers(0, 5, N_ROWS), rng.integers(0, 2, N_ROWS)
    region = rng.integers(0, 6, N_ROWS)
    limit = np.array([1500, 1600, 1450, 1700, 1550, 1900])[region] + 350 * children + 200 * single
    whole = (income < limit) & (assets < 10_000 + 2_000 * children) & (age >= 18)
    whole &= (work >= 12) | (age >= 67) | (children > 0)
    part = ~whole & (income < 1.4 * limit) & (assets < 25_000) & (age >= 18)
    X = np.column_stack([age, work, income, assets, children, single, region])
    return np.hstack([X, rng.normal(size=(N_ROWS, 3))]), np.select([whole, part], [2, 1], 0)


def throws(rng):
    """A ball thrown over a wall: whether it lands in a box, by speed, angle, wind and places."""
    speed, angle = rng.uniform(8, 25, N_ROWS), rng.uniform(0.2, 1.3, N_ROWS)
    height, wind = rng.uniform(0.5, 3, N_ROWS), rng.normal(0, 2, N_ROWS)
    box, width = rng.uniform(8, 45, N_ROWS), rng.uniform(3, 12, N_ROWS)
    wall = rng.uniform(1, 6, N_ROWS)
    up, along = speed * np.sin(angle), speed * np.cos(angle) + wind
    time = (up + np.sqrt(up**2 + 2 * 9.81 * height)) / 9.81
    at_wall = 5 / np.maximum(along, 0.1)
    clears = height + up * at_wall - 4.905 * at_wall**2 > wall
    hit = clears & (np.abs(along * time - box) < width)
    return np.column_stack([speed, angle, height, wind, box, width, wall]), hit.astype(int)


def friedman(rng):
    """Friedman's first function, with five columns that do nothing and little noise."""
    X = rng.random((N_ROWS, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2
    return X, y + 10 * X[:, 3] + 5 * X[:, 4] + rng.normal(0, 0.1, N_ROWS)


def robot_arm(rng):
    """Distance of the hand of a flat arm of four joints."""
    angles, lengths = rng.uniform(0, 2 * np.pi, (N_ROWS, 4)), rng.random((N_ROWS, 4))
    total = np.cumsum(angles, axis=1)
    u, v = (lengths * np.cos(total)).sum(1), (lengths * np.sin(total)).sum(1)
    return np.hstack([angles, lengths]), np.hypot(u, v)


def borehole(rng):
    """Flow of water through a borehole."""
    low = [0.05, 100, 63070, 990, 63.1, 700, 1120, 9855]
    high = [0.15, 50000, 115600, 1110, 116, 820, 1680, 12045]
    X = rng.uniform(low, high, (N_ROWS, 8))
    rw, r, Tu, Hu, Tl, Hl, L, Kw = X.T
    logs = np.log(r / rw)
    return X, 2 * np.pi * Tu * (Hu - Hl) / (logs * (1 + 2 * L * Tu / (logs * rw**2 * Kw) + Tu / Tl))


def piston(rng):
    """Cycle time of a piston in a cylinder."""
    low = [30, 0.005, 0.002, 1000, 90000, 290, 340]
    high = [60, 0.020, 0.010, 5000, 110000, 296, 360]
    X = rng.uniform(low, high, (N_ROWS, 7))
    M, S, V0, k, P0, Ta, T0 = X.T
    A = P0 * S + 19.62 * M - k * V0 / S
    V = S / (2 * k) * (np.sqrt(A**2 + 4 * k * P0 * V0 * Ta / T0) - A)
    return X, 2 * np.pi * np.sqrt(M / (k + S**2 * P0 * V0 * Ta / (T0 * V**2)))


def tariff(rng):
    """A price list: steps by weight and zone, surcharges and discounts."""
    weight, zone = rng.lognormal(1, 1, N_ROWS), rng.integers(0, 9, N_ROWS)
    express, insured = rng.integers(0, 2, N_ROWS), rng.lognormal(4, 1.5, N_ROWS)
    pieces, length = rng.integers(1, 20, N_ROWS), rng.uniform(5, 200, N_ROWS)
    price = np.array([4, 5, 6, 7, 9, 11, 14, 18, 25])[zone] * (1 + np.ceil(weight) ** 0.8 / 4)
    price *= np.where(express, 1.9, 1.0) * np.where(pieces >= 10, 0.85, 1.0)
    price += np.where(length > 120, 22, 0) + np.maximum(0, 0.01 * (insured - 100))
    return np.column_stack([weight, zone, express, insured, pieces, length]), price.round(2)


def claims(rng):
    """Amounts of claims: mostly none, else skewed, by columns of which three matter little."""
    X = rng.normal(size=(N_ROWS, 9))
    X[:, 0], X[:, 1] = rng.integers(18, 90, N_ROWS), rng.integers(0, 12, N_ROWS)
    often = np.exp(-1.6 + 0.9 * (X[:, 0] < 26) + 0.5 * X[:, 2] - 0.3 * X[:, 3] * (X[:, 1] > 6))
    number = rng.poisson(often)
    each = np.exp(6 + 0.4 * X[:, 4] + 0.2 * X[:, 1] / 6)
    return X, rng.gamma(np.maximum(0.7 * number, 1e-9), each) * (number > 0)


def visits(rng):
    """Counts with a long tail: negative binomial, by an interaction and two steps."""
    X = rng.normal(size=(N_ROWS, 10))
    X[:, 0], X[:, 1] = rng.integers(0, 24, N_ROWS), rng.integers(0, 7, N_ROWS)
    mean = np.exp(
        0.5 + np.sin(2 * np.pi * X[:, 0] / 24) + 0.4 * X[:, 2] * X[:, 3] + 0.8 * (X[:, 1] > 4)
    )
    return X, rng.poisson(mean * rng.gamma(0.8, 1 / 0.8, N_ROWS)).astype(float)


MAKERS: dict[str, Callable[[np.random.Generator], Table]] = {
    "clusters of six": lambda rng: clusters(rng, 6, 2, 2),
    "clusters of twelve": lambda rng: clusters(rng, 12, 3, 3, 30),
}
OF_CLASSES = (ring, two_normals, spirals, bananas, multiplexer, poker, three_in_a_row, eligibility)
OF_NUMBERS = (throws, friedman, robot_arm, borehole, piston, tariff, claims, visits)
MAKERS |= {maker.__name__.replace("_", " "): maker for maker in OF_CLASSES + OF_NUMBERS}
