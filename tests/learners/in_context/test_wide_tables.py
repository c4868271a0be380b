"""Views of wide tables and of long ones, and their number."""

import pickle

import numpy as np
import pytest
from sklearn.decomposition import PCA

from skmeta import MetaFewShotClassifier
from skmeta._tabular import WeightedRows
from skmeta._tabular.table_prior import choose_views


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
