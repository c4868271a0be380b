"""Forms of cells, against NumPy and SciPy."""

import numpy as np
import torch
from scipy.stats import rankdata

from skmeta.learners.in_context import describe_cells, measure_columns

MISSING = 11
BINARY, THERE = 13, 14


def draw(n=12, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def describe(support, query=None, w=None, own=True):
    x = torch.tensor(support)[None]
    w = torch.ones(1, len(support), dtype=x.dtype) if w is None else torch.tensor(w)[None]
    columns = measure_columns(x, w)
    if query is None:
        return describe_cells(columns, x, w if own else None)[0].numpy()
    return describe_cells(columns, torch.tensor(query)[None])[0].numpy()


def test_standardised_values():
    support, query = draw(), draw(seed=1)
    z = (query - support.mean(0)) / support.std(0)
    found = describe(support, query)
    np.testing.assert_allclose(found[..., 0], np.arcsinh(z))
    np.testing.assert_allclose(found[..., 1], z.clip(-3, 3))


def test_ranks_of_query_rows_among_support_rows():
    support = np.round(draw(20, 3), 1)
    query = np.round(draw(9, 3, seed=1), 1)
    below = (support[None] < query[:, None]).mean(1)
    equal = (support[None] == query[:, None]).mean(1)
    found = describe(support, query)
    np.testing.assert_allclose(found[..., 2], 2 * (below + equal / 2) - 1, atol=1e-12)
    np.testing.assert_allclose(found[..., 3], equal, atol=1e-12)
    np.testing.assert_array_equal(found[..., 4], equal == 0)


def test_a_support_row_is_ranked_among_the_others():
    support = np.round(draw(15, 3), 1)
    for i in range(15):
        others = np.delete(support, i, 0)
        alone = describe(others, support[i : i + 1])[0]
        np.testing.assert_allclose(describe(support)[i][:, 2:5], alone[:, 2:5], atol=1e-12)


def test_ranks_of_distinct_values_are_those_of_scipy():
    support = draw(30, 2)
    found = describe(support, own=False)[..., 2]
    np.testing.assert_allclose(found, (2 * rankdata(support, axis=0) - 1) / 30 - 1, atol=1e-12)


def test_only_linear_forms_depend_on_monotone_maps():
    support, query = draw(), draw(seed=1)
    found, expected = describe(np.exp(support), np.exp(query)), describe(support, query)
    np.testing.assert_allclose(found[..., 2:], expected[..., 2:], atol=1e-12)
    assert not np.allclose(found[..., 0], expected[..., 0])


def test_missing_values_are_marked_and_left_out():
    support, query = draw(), draw(seed=1)
    support[[2, 5], 1] = query[0, 1] = np.nan
    found = describe(support, query)
    others = np.delete(support[:, [1]], [2, 5], 0)
    size = slice(0, THERE)
    expected = describe(others, query[1:, [1]])
    np.testing.assert_allclose(found[1:, 1, size], expected[:, 0, size], atol=1e-12)
    np.testing.assert_array_equal(found[0, 1, :MISSING], 0)
    assert found[0, 1, MISSING] == 1
    assert found[..., MISSING].sum() == 1
    np.testing.assert_allclose(found[:, 1, THERE], 10 / 12)


def test_a_column_without_any_value_and_a_constant_column_are_finite():
    support, query = draw(5, 3), draw(4, 3, seed=1)
    support[:, 0], support[:, 1] = np.nan, 1e6
    query[0] = 1e6
    for found in (describe(support), describe(support, query)):
        assert np.isfinite(found).all()
    np.testing.assert_allclose(describe(support, query)[0, 1, :2], 0)


def test_binary_columns_are_marked():
    support = np.column_stack([np.arange(6) % 2, np.arange(6) % 3, [3, 3, 3, 3, 3, 8], np.ones(6)])
    support[0, 2] = np.nan
    np.testing.assert_array_equal(describe(support)[0, :, BINARY], [1, 0, 1, 1])


def test_a_row_whose_weight_is_no_whole_number_is_left_out_whole():
    support, w = np.round(draw(8, 3), 1), np.array([0.5, 2, 1, 3, 1, 0.7, 1.5, 2])
    support[1, 2] = np.nan
    found = describe(support, w=w, own=True)
    for i in range(8):
        others = np.arange(8) != i
        expected = describe(support[others], support[[i]], w=w[others])
        np.testing.assert_allclose(found[i][:, [2, 3]], expected[0][:, [2, 3]], atol=1e-12)
