"""All groups at once against one group at a time."""

import numpy as np
import pytest
import torch

from skmeta.backbones import build_backbone
from skmeta.exceptions import EpisodeError
from skmeta.learners import MAML, ALPaCA, ExecutionOptions, HierarchicalLinear
from skmeta.learners._core import read_prior
from skmeta.learners.hierarchical._groups import batches_of_groups, group_statistics

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


@pytest.mark.parametrize("options", [{}, {"varied_noise": False, "heavy_tails": False}])
def test_regressions_are_those_of_one_group_at_a_time(options):
    session, state = open_session(HierarchicalLinear(**options), "regression")
    learner, context = session.learner, session.context
    rows, codes, at, codes_at = rows_of_groups(session, "regression")
    levels = torch.tensor([0.05, 0.5, 0.9], dtype=torch.float64)
    adapted = learner.adapt_groups(context, state, rows, codes, len(SIZES))
    found = learner.predict_distribution_groups(context, adapted, at, codes_at, levels)
    outputs = session.forward_groups(adapted, at, codes_at)
    torch.testing.assert_close(outputs[:, 0], found[0], rtol=1e-12, atol=1e-12)

    def predict(context, adapted, x):
        return learner.predict_distribution(context, adapted, x, levels)

    each = one_at_a_time(session, state, rows, codes, at, codes_at, predict)
    for k, expected in each.items():
        for values, of_group in zip(found, expected, strict=True):
            torch.testing.assert_close(values[codes_at == k], of_group, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("n_classes", "d"), [(2, 3), (3, 3), (2, 1)])
def test_classifications_are_those_of_one_group_at_a_time(n_classes, d):
    learner = HierarchicalLinear(effects="correlated")
    X, y, groups = table("classification", n_classes, d)
    prior = learner.fit(X, y, groups=groups).prior_
    session, state = read_prior(
        prior, HierarchicalLinear, classes=range(n_classes), device="cpu", precision="float64"
    )
    rows, codes, at, codes_at = rows_of_groups(session, "classification", n_classes, d)
    adapted = session.adapt_groups(state, rows, codes, len(SIZES))
    found = session.forward_groups(adapted, at, codes_at)
    each = one_at_a_time(session, state, rows, codes, at, codes_at, session.learner.forward)
    for k, expected in each.items():
        torch.testing.assert_close(found[codes_at == k], expected, rtol=1e-10, atol=1e-10)


def test_groups_without_rows_are_as_uncertain_as_groups_differ():
    session, state = open_session(HierarchicalLinear(heavy_tails=False), "regression")
    learner, context = session.learner, session.context
    rows, codes, at, codes_at = rows_of_groups(session, "regression")
    adapted = learner.adapt_groups(context, state, rows, codes, len(SIZES))
    levels = torch.tensor([0.5], dtype=torch.float64)
    mean, std, _ = learner.predict_distribution_groups(context, adapted, at, codes_at, levels)
    is_new = codes_at == 1
    z = torch.cat([torch.ones_like(at[:, :1]), at], 1)[is_new]
    shared = z @ torch.cat([state["head.bias"], state["head.weight"][0]])
    torch.testing.assert_close(mean[is_new], shared)
    between = ((z @ state["head.factor"][0]) ** 2).sum(1)
    noise = std[is_new] ** 2 - between
    torch.testing.assert_close(noise, noise[:1].expand_as(noise))
    assert (noise > 0).all()
    assert (std[is_new].mean() > std[codes_at == 5].mean()).all()


def test_a_table_without_rows_of_any_group():
    for kind in ("regression", "classification"):
        session, state = open_session(HierarchicalLinear(effects="slopes"), kind)
        rows, codes, at, codes_at = rows_of_groups(session, kind, sizes=[0, 0])
        adapted = session.adapt_groups(state, rows, codes, 2)
        found = session.forward_groups(adapted, at, codes_at)
        assert found.isfinite().all()
        torch.testing.assert_close(found, session.forward_groups(adapted, at, 0 * codes_at))


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


def test_batches_have_each_row_of_each_group_once():
    codes = torch.from_numpy(np.random.default_rng(0).permutation(np.repeat(np.arange(9), SIZES)))
    seen = []
    for groups, rows, there in batches_of_groups(codes, len(SIZES)):
        sizes = there.sum(1)
        assert sizes.min() >= 1
        assert sizes.max() <= 1.5 * sizes.min() + 1
        own = codes[rows] == groups[:, None]
        assert own.all()
        seen.append(rows[there > 0])
    assert torch.equal(torch.cat(seen).sort().values, torch.arange(len(codes)))


def test_statistics_are_sums_over_rows():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(len(SIZES)), SIZES)
    z, y = rng.normal(size=(len(codes), 4)), rng.normal(size=len(codes))
    w = rng.uniform(size=len(codes))
    parts = group_statistics(*map(torch.from_numpy, (z, y, w, codes)), len(SIZES))
    for k in range(len(SIZES)):
        own = codes == k
        weighted = w[own, None] * z[own]
        np.testing.assert_allclose(parts.gram[k], weighted.T @ z[own], atol=1e-12)
        np.testing.assert_allclose(parts.moment[k], weighted.T @ y[own], atol=1e-12)
        np.testing.assert_allclose(parts.square[k], w[own] @ y[own] ** 2)
        np.testing.assert_allclose(parts.n_rows[k], w[own].sum())
