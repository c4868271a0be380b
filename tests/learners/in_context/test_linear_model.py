"""The linear model that is mixed in, against scikit-learn's ridge regression."""

import numpy as np
import pytest
import torch
from builders import describe_table
from sklearn.linear_model import Ridge

from skmeta._tabular.table_prior import SupportRows
from skmeta.learners.in_context import LinearEvidence

PENALTIES = np.logspace(-4, 1, 9)


def draw(n, d=4, c=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, n, d, generator=generator, dtype=torch.float64)
    y = x[..., :c] + 0.3 * torch.randn(1, n, c, generator=generator, dtype=torch.float64)
    return x, y - y.mean(1, keepdim=True)


def fit(x, y, expert=None, present=None):
    w = torch.ones(x.shape[:2], dtype=y.dtype)
    expert = torch.zeros_like(y)[:, :, None] if expert is None else expert
    line = LinearEvidence(None if present is None else y.shape[2])
    line.reset()
    with torch.no_grad():
        return line.read(describe_table(x), y, w, expert, present)


@pytest.mark.parametrize("weights", [1.0, [0.3, 1, 2, 1.7, 0.6, 3, 1, 1, 0.2, 1, 1, 0.5]])
def test_the_line_is_a_mixture_of_ridge_regressions(weights):
    n, d, x, y = 12, 4, *draw(12)
    w = np.ones(n) * weights
    centred = x[0].numpy() - np.average(x[0].numpy(), weights=w, axis=0)
    z = centred / np.sqrt(np.average(centred**2, weights=w, axis=0))
    columns, target = np.c_[z / np.sqrt(d), np.full(n, 3.0)], y[0].numpy()
    others, coef = [], []
    for penalty in PENALTIES:
        model = Ridge(penalty, fit_intercept=False)
        coef.append(model.fit(columns, target, w).coef_.T)
        kept = ~np.eye(n, dtype=bool)
        left_out = [
            model.fit(columns[kept[i]], target[kept[i]], w[kept[i]]).predict(columns[[i]])[0]
            for i in range(n)
        ]
        others.append(left_out)
    error = ((np.array(others) - target) ** 2).sum(2) @ w
    share = error / ((target**2).sum(1) @ w) + 1e-4
    chance = share ** (-w.sum() / 2) / (share ** (-w.sum() / 2)).sum()
    weight = torch.from_numpy(w)[None]
    predicted, found = SupportRows.of(describe_table(x, weight), weight).fit(y)
    np.testing.assert_allclose(predicted[0], np.einsum("g,gnc->nc", chance, others), atol=1e-8)
    np.testing.assert_allclose(found[0], np.einsum("g,gpc->pc", chance, coef), atol=1e-8)


def test_classes_without_rows_have_no_probability_and_orders_of_classes_agree():
    x, _ = draw(40)
    y = (x[..., 0] > 0).long()
    label = torch.nn.functional.one_hot(y, 5).double()
    present = label.any(1)
    label = label - 0.5 * present[:, None]
    expert = torch.zeros(1, 20, 1, 5, dtype=torch.float64)
    both = [torch.cat([v[:, ..., :], v.flip(-1)]) for v in (label[:, :20], expert, present)]
    fitted = fit(x[:, :20], *both)
    own = torch.zeros(2, 20, 5, dtype=torch.float64)
    p = fitted.mix(describe_table(x[:, :20], query=x[:, 20:]), own).exp()
    torch.testing.assert_close(p[1], p[0].flip(1))
    torch.testing.assert_close(p.sum(2), torch.ones_like(p[..., 0]))
    assert (p[0, :, 2:] < 1e-30).all()
    assert (p[0].argmax(1) == y[0, 20:]).double().mean() > 0.7
    # The evidence is for the line, which gets half of the mixture and not more.
    torch.testing.assert_close(fitted.logit, torch.zeros(2, 1, 1, dtype=torch.float64))
