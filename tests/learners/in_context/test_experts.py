"""Experts, against scikit-learn and against fits without a row."""

import numpy as np
import pytest
import torch
from builders import describe_table
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from skmeta._tabular.table_prior import (
    EXPERTS,
    cells_of_kernels,
    compare,
    find_relevance,
    predict_experts,
    prepare_experts,
)


def draw(n, d=4, c=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, n, d, generator=generator, dtype=torch.float64)
    x[..., 1] = x[..., 1].round()
    return x, torch.randn(1, n, c, generator=generator, dtype=torch.float64)


def fit(cell_features, y, w=None):
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
    x, y = draw(9)
    w = torch.ones(1, 9, dtype=torch.float64) * torch.tensor(weights, dtype=torch.float64)
    cell_features = describe_table(x, w)
    # The cell_features of the others stay as they are, and so does the relevance of columns.
    found, nearest, whole = fit(cell_features, y, w)
    uniform = [k for k, expert in enumerate(EXPERTS) if not expert.by_relevance]
    for i in range(9):
        others = [k for k in range(9) if k != i]
        _, _, fitted = fit(cell_features[:, others], y[:, others], w[:, others])
        expected, near = ask(fitted, cell_features[:, [i]])
        torch.testing.assert_close(found[:, [i]][:, :, uniform], expected[:, :, uniform])
        torch.testing.assert_close(nearest[:, [i]][:, :, uniform], near[:, :, uniform])
    asked, _ = ask(whole, cell_features)
    assert not torch.allclose(asked, found, atol=0.1)


def test_the_normal_kernel_is_that_of_a_gaussian_process():
    x, y = draw(12, c=1)
    query, _ = draw(5, seed=1)
    cell_features = describe_table(x)
    found, _ = ask(fit(cell_features, y)[2], describe_table(x, query=query))
    k = next(k for k, e in enumerate(EXPERTS) if e.kernel == "normal" and not e.by_relevance)
    scale = np.sqrt(4 / (2 * EXPERTS[k].scale))
    kernel = RBF(scale) + ConstantKernel(1.0)
    model = GaussianProcessRegressor(kernel, alpha=EXPERTS[k].noise, optimizer=None)
    model.fit(cell_features[0, ..., 1].numpy(), y[0, :, 0].numpy())
    expected = model.predict(describe_table(x, query=query)[0, ..., 1].numpy())
    np.testing.assert_allclose(found[0, :, k, 0], expected, atol=1e-8)
