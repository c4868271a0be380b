"""Parts of the table network against scikit-learn, integrals and fits without a row."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from builders import describe_table
from scipy.integrate import quad
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import Ridge

from skmeta import MetaFewShotClassifier
from skmeta._tabular import WeightedRows
from skmeta._tabular.table_prior import (
    EXPERTS,
    N_BINS,
    SupportRows,
    bin_edges,
    binned_moments,
    binned_quantiles,
    cells_of_kernels,
    choose_views,
    compare,
    find_relevance,
    predict_experts,
    prepare_experts,
)
from skmeta.learners.in_context import LinearEvidence, TableTransformer, binned_loss

B, N_KNOWN, M, D = 3, 11, 5, 4


@pytest.fixture(params=["classification", "regression"])
def kind(request):
    return request.param


@pytest.fixture
def network(kind):
    n_labels = 10 if kind == "classification" else None
    network = TableTransformer(n_labels, width=16, n_layers=2).double()
    generator = torch.Generator().manual_seed(0)
    network.draw(generator)
    with torch.no_grad():
        for parameter in network.parameters():
            # No weight is special: a drawn head is all zero.
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.fixture
def task(kind):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(B, N_KNOWN + M, D, generator=generator, dtype=torch.float64)
    x[:, ::4, 1] = torch.nan
    y = torch.randn(B, N_KNOWN, generator=generator, dtype=torch.float64)
    if kind == "classification":
        y = torch.arange(N_KNOWN).expand(B, -1) % 3
    task = {"x": x[:, :N_KNOWN], "y": y, "w": torch.ones(B, N_KNOWN).double()}
    return task | {"slots": torch.tensor([[5, 1, 60, 7]]), "query": x[:, N_KNOWN:]}


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def test_a_support_row_does_not_hear_its_own_label_from_its_columns(network):
    encoder = network.cells
    generator = torch.Generator().manual_seed(2)
    cells = torch.randn(B, N_KNOWN, D, 4, generator=generator, dtype=torch.float64)
    code = torch.randn(B, N_KNOWN, encoder.n_label, generator=generator, dtype=torch.float64)

    def bin_predictions(rows, asking, **own):
        bins = encoder._bins(cells)
        sums = torch.einsum("bndhg,bnv->bdhgv", bins[:, rows], code[:, rows])
        return encoder._predict_from_bins(sums, bins[:, rows].sum(1), bins[:, asking], **own)

    every = list(range(N_KNOWN))
    overlap = (encoder._bins(cells) ** 2).sum(4)
    with torch.no_grad():
        found = bin_predictions(every, every, overlap=overlap, code=code)
        for i in every:
            others = [k for k in every if k != i]
            close(found[:, [i]], bin_predictions(others, [i]))


def test_autocast_changes_the_gradient_by_little(network, task, kind):
    network.float()
    task = {n: v.float() if v.is_floating_point() else v for n, v in task.items()}
    gradients = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = network(**task)
        assert outputs.dtype == torch.float32
        outputs.float().log_softmax(2)[..., 0].mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
        network.zero_grad()
    exact, rounded = gradients
    assert not torch.equal(exact, rounded)
    assert torch.cosine_similarity(exact, rounded, 0) > 0.999


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return 1.5 * torch.randn(3, N_BINS, generator=generator, dtype=torch.float64)


def density(logits, t):
    return float(torch.exp(-binned_loss(logits, torch.tensor(t, dtype=torch.float64))))


def integrate(logits, function, upper=np.inf):
    """Piece by piece, since the density has a step at each edge."""
    edges = bin_edges()
    ends = [-np.inf, *edges, np.inf]
    total = 0.0
    for low, high in pairwise(ends):
        if low < upper:
            total += quad(lambda t: function(t) * density(logits, t), low, min(high, upper))[0]
    return total


def test_it_is_a_density_with_the_moments_reported(logits):
    for row in logits[:2]:
        mean, variance = binned_moments(row.softmax(0))
        assert integrate(row, lambda t: 1.0) == pytest.approx(1, abs=1e-5)
        assert integrate(row, lambda t: t) == pytest.approx(float(mean), abs=1e-5)
        spread = integrate(row, lambda t, mean=float(mean): (t - mean) ** 2)
        assert spread == pytest.approx(float(variance), abs=1e-4)


def test_quantiles_are_the_inverse_of_the_integral(logits):
    levels = np.array([0.003, 0.05, 0.3, 0.5, 0.77, 0.95, 0.998])
    found = binned_quantiles(logits.softmax(1).numpy(), levels)
    assert found.shape == (3, 7)
    assert (np.diff(found) > 0).all()
    for level, value in zip(levels, found[0], strict=True):
        assert integrate(logits[0], lambda t: 1.0, value) == pytest.approx(level, abs=1e-5)


def draw_table(n, d=4, c=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, n, d, generator=generator, dtype=torch.float64)
    x[..., 1] = x[..., 1].round()
    return x, torch.randn(1, n, c, generator=generator, dtype=torch.float64)


def fit_experts(cell_features, y, w=None):
    w = torch.ones(y.shape[:2], dtype=y.dtype) if w is None else w
    cells = cells_of_kernels(cell_features)
    systems = prepare_experts(cells, find_relevance(cells, y, w), w)
    predicted, dual = systems.solve(y)
    return predicted, systems.nearest, (systems, dual)


def ask(fitted, cell_features):
    kernels, nearest = compare(fitted[0], cell_features)
    return predict_experts(kernels, fitted[1]), nearest


@pytest.mark.parametrize("weights", [1.0, [0.3, 1, 2, 1.7, 0.6, 3, 1, 1, 0.2]])
def test_a_support_row_is_predicted_by_the_others(weights):
    x, y = draw_table(9)
    w = torch.ones(1, 9, dtype=torch.float64) * torch.tensor(weights, dtype=torch.float64)
    cell_features = describe_table(x, w)
    # The cell_features of the others stay as they are, and so does the relevance of columns.
    found, nearest, whole = fit_experts(cell_features, y, w)
    uniform = [k for k, expert in enumerate(EXPERTS) if not expert.by_relevance]
    for i in range(9):
        others = [k for k in range(9) if k != i]
        _, _, fitted = fit_experts(cell_features[:, others], y[:, others], w[:, others])
        expected, near = ask(fitted, cell_features[:, [i]])
        torch.testing.assert_close(found[:, [i]][:, :, uniform], expected[:, :, uniform])
        torch.testing.assert_close(nearest[:, [i]][:, :, uniform], near[:, :, uniform])
    asked, _ = ask(whole, cell_features)
    assert not torch.allclose(asked, found, atol=0.1)


def test_the_normal_kernel_is_that_of_a_gaussian_process():
    x, y = draw_table(12, c=1)
    query, _ = draw_table(5, seed=1)
    cell_features = describe_table(x)
    found, _ = ask(fit_experts(cell_features, y)[2], describe_table(x, query=query))
    k = next(k for k, e in enumerate(EXPERTS) if e.kernel == "normal" and not e.by_relevance)
    scale = np.sqrt(4 / (2 * EXPERTS[k].scale))
    kernel = RBF(scale) + ConstantKernel(1.0)
    model = GaussianProcessRegressor(kernel, alpha=EXPERTS[k].noise, optimizer=None)
    model.fit(cell_features[0, ..., 1].numpy(), y[0, :, 0].numpy())
    expected = model.predict(describe_table(x, query=query)[0, ..., 1].numpy())
    np.testing.assert_allclose(found[0, :, k, 0], expected, atol=1e-8)


PENALTIES = np.logspace(-4, 1, 9)


def draw_line(n, d=4, c=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, n, d, generator=generator, dtype=torch.float64)
    y = x[..., :c] + 0.3 * torch.randn(1, n, c, generator=generator, dtype=torch.float64)
    return x, y - y.mean(1, keepdim=True)


def fit_line(x, y, expert=None, present=None):
    w = torch.ones(x.shape[:2], dtype=y.dtype)
    expert = torch.zeros_like(y)[:, :, None] if expert is None else expert
    line = LinearEvidence(None if present is None else y.shape[2])
    line.reset()
    with torch.no_grad():
        return line.read(describe_table(x), y, w, expert, present)


@pytest.mark.parametrize("weights", [1.0, [0.3, 1, 2, 1.7, 0.6, 3, 1, 1, 0.2, 1, 1, 0.5]])
def test_the_line_is_a_mixture_of_ridge_regressions(weights):
    n, d, x, y = 12, 4, *draw_line(12)
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
    x, _ = draw_line(40)
    y = (x[..., 0] > 0).long()
    label = torch.nn.functional.one_hot(y, 5).double()
    present = label.any(1)
    label = label - 0.5 * present[:, None]
    expert = torch.zeros(1, 20, 1, 5, dtype=torch.float64)
    both = [torch.cat([v[:, ..., :], v.flip(-1)]) for v in (label[:, :20], expert, present)]
    fitted = fit_line(x[:, :20], *both)
    own = torch.zeros(2, 20, 5, dtype=torch.float64)
    p = fitted.mix(describe_table(x[:, :20], query=x[:, 20:]), own).exp()
    torch.testing.assert_close(p[1], p[0].flip(1))
    torch.testing.assert_close(p.sum(2), torch.ones_like(p[..., 0]))
    assert (p[0, :, 2:] < 1e-30).all()
    assert (p[0].argmax(1) == y[0, 20:]).double().mean() > 0.7
    # The evidence is for the line, which gets half of the mixture and not more.
    torch.testing.assert_close(fitted.logit, torch.zeros(2, 1, 1, dtype=torch.float64))


def views_of(X, y=None, weight=None, *, n_classes=2, e=4, max_rows=1000):
    y = np.arange(len(X)) % 2 if y is None else y
    weight = np.ones(len(X)) if weight is None else weight
    return choose_views(WeightedRows(X, y, weight), n_classes, e, max_rows)


def test_every_second_view_of_a_wide_table_has_its_principal_components():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 5)) @ rng.normal(size=(5, 90)) + 0.1 * rng.normal(size=(30, 90))
    X[:, 3] *= 1e3
    views = views_of(X)
    found = views.widen(X)[:, 90:]
    model = PCA(21).fit(((X - X.mean(0)) / X.std(0)).clip(-6, 6))
    expected = model.transform(((X - X.mean(0)) / X.std(0)).clip(-6, 6))
    # Their signs are arbitrary.
    np.testing.assert_allclose(abs(found), abs(expected), atol=1e-6)
    repeated, weight = views_of(X[[*range(30), 4]]), np.ones(30)
    weight[4] = 2
    weighted = views_of(X, weight=weight)
    np.testing.assert_allclose(
        weighted.components.loadings, repeated.components.loadings, atol=1e-8
    )
    assert (views.columns[::2] < 90).all()
    assert (np.bincount(views.columns[1])[90:] >= 3).all()
    assert views.columns[1].min() == 90
    assert views.columns[1].max() == 110
    # A table of more rows than columns, with a missing value.
    tall = rng.normal(size=(100, 70))
    tall[0, 0] = np.nan
    assert views_of(tall).widen(tall).shape == (100, 91)
    assert views_of(tall[:, :64]).components is None
    assert views_of(tall[:1]).components is None


@pytest.mark.slow
def test_signal_spread_over_many_columns_is_found():
    rng = np.random.default_rng(0)
    y = np.arange(130) % 3
    X = rng.normal(size=(3, 300))[y] * 0.5 + rng.normal(size=(130, 300))
    clf = MetaFewShotClassifier().fit(X[:30], y[:30])
    expected = clf.predict_proba(X[30:])
    assert np.mean(expected.argmax(1) == y[30:]) > 0.9
    one_by_one = np.concatenate([clf.predict_proba(X[[i]]) for i in range(30, 35)])
    np.testing.assert_allclose(one_by_one, expected[:5], atol=1e-5)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_allclose(again.predict_proba(X[30:]), expected, atol=1e-6)
    columns, rows = rng.permutation(300), rng.permutation(30)
    clf.fit(X[:30][rows][:, columns], y[:30][rows])
    np.testing.assert_allclose(clf.predict_proba(X[30:][:, columns]), expected, atol=1e-4)


@pytest.mark.parametrize("n_classes", [0, 3])
def test_views_of_a_long_table_have_each_row(n_classes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 3))
    y = (X[:, 0] > 1).astype(int) + (X[:, 0] > 2) if n_classes else X[:, 1]
    rows = views_of(X, y, n_classes=n_classes, e="auto", max_rows=500).rows
    assert rows.shape == (2, 500)
    assert len(np.unique(rows)) == 1000
    # In another order, the rows of a view are the same.
    order = rng.permutation(1000)
    other = views_of(X[order], y[order], n_classes=n_classes, e="auto", max_rows=500).rows
    for found, expected in zip(order[other], rows, strict=True):
        assert set(found.tolist()) == set(expected.tolist())
