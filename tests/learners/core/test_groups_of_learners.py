"""Learners that take one group after another."""

import numpy as np
import pytest
import torch

from skmeta.backbones import build_backbone
from skmeta.exceptions import EpisodeError
from skmeta.learners import MAML, ALPaCA, ExecutionOptions
from skmeta.learners._core import read_prior

SIZES = [1, 0, 3, 3, 12, 40, 2, 0, 7]


def table(kind, n_classes=2, d=3):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 14)
    X = rng.normal(size=(len(groups), d))
    effects = rng.normal(size=(30, d + 1, max(n_classes, 1)))
    eta = np.einsum("nd,ndc->nc", np.column_stack([np.ones(len(X)), X]), effects[groups])
    if kind == "regression":
        noise = np.exp(0.5 * rng.normal(size=30))[groups]
        return X, eta[:, 0] + noise * rng.normal(size=len(X)), groups
    return X, (eta + rng.gumbel(size=eta.shape)).argmax(1), groups


def open_session(learner, kind, n_classes=2):
    X, y, groups = table(kind, n_classes)
    prior = learner.fit(X, y, groups=groups).prior_
    n_outputs = n_classes if kind == "classification" else 1
    return read_prior(
        prior, type(learner), classes=range(n_outputs), device="cpu", precision="float64"
    )


def rows_of_groups(session, kind, n_classes=2, d=3, sizes=SIZES):
    rng = np.random.default_rng(1)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = rng.normal(size=(len(codes), d))
    y = rng.integers(n_classes, size=len(codes))
    y = y if kind == "classification" else X.sum(1) + codes + rng.normal(size=len(codes))
    rows = session.adapter.rows(torch.from_numpy(X), y, rng.choice([1.0, 2.0, 0.5], len(codes)))
    codes_at = rng.permutation(np.repeat(np.arange(len(sizes)), 18 - np.arange(len(sizes))))
    at = session.adapter.inputs(torch.from_numpy(rng.normal(size=(len(codes_at), d))))
    return rows, torch.from_numpy(codes), at, torch.from_numpy(codes_at)


def one_at_a_time(session, state, rows, codes, at, codes_at, predict):
    found = {}
    for k in range(int(codes_at.max()) + 1):
        own = type(rows)(*(values[codes == k] for values in rows))
        adapted = session.learner.adapt(session.context, state, own)
        found[k] = predict(session.context, adapted, at[codes_at == k])
    return found


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_other_learners_take_one_group_after_another(kind):
    options = {"backbone_params": {"hidden": (4,)}, "n_iterations": 2, "validation": 0}
    session, state = open_session(MAML(**options, random_state=0), kind)
    rows, codes, at, codes_at = rows_of_groups(session, kind, sizes=[3, 5, 2])
    adapted = session.adapt_groups(state, rows, codes, 3)
    found = session.forward_groups(adapted, at, codes_at)
    each = one_at_a_time(session, state, rows, codes, at, codes_at, session.learner.forward)
    for k, expected in each.items():
        torch.testing.assert_close(found[codes_at == k], expected)
    with pytest.raises(EpisodeError, match="Group 3 has no rows, but MAML learns"):
        session.adapt_groups(state, rows, codes, 4)


def test_batch_statistics_of_a_backbone_are_those_of_each_group():
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    build_backbone(module, (3,), None, torch.Generator())
    learner = ALPaCA(backbone=module, n_iterations=0, validation=0)
    learner.set_params(execution=ExecutionOptions(precision="float64"))
    session, state = open_session(learner, "regression")
    assert session.context.network.has_statistics
    rows, codes, at, codes_at = rows_of_groups(session, "regression", sizes=[4, 5])
    found = session.forward_groups(session.adapt_groups(state, rows, codes, 2), at, codes_at)
    each = one_at_a_time(session, state, rows, codes, at, codes_at, session.learner.forward)
    for k, expected in each.items():
        torch.testing.assert_close(found[codes_at == k], expected)
