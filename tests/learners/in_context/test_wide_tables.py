"""Views of wide tables and of long ones, and their number."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from skmeta import MetaFewShotClassifier
from skmeta.learners.in_context import (
    add_components,
    choose_views,
    fit_components,
)


def test_every_second_view_of_a_wide_table_has_its_principal_components():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 5)) @ rng.normal(size=(5, 90)) + 0.1 * rng.normal(size=(30, 90))
    X[:, 3] *= 1e3
    x, w = torch.tensor(X), torch.ones(30).double()
    fitted = fit_components(x, w)
    found = add_components(fitted, x)[:, 90:].numpy()
    model = PCA(21).fit(((X - X.mean(0)) / X.std(0)).clip(-6, 6))
    expected = model.transform(((X - X.mean(0)) / X.std(0)).clip(-6, 6))
    # Their signs are arbitrary.
    np.testing.assert_allclose(abs(found), abs(expected), atol=1e-6)
    repeated = fit_components(x[[*range(30), 4]], torch.ones(31).double())["loadings"]
    w[4] = 2
    torch.testing.assert_close(fit_components(x, w)["loadings"], repeated)
    views = choose_views(x, torch.arange(30) % 2, w, 2, 4, 1000, n_components=21).columns
    assert (views[::2] < 90).all()
    assert (torch.bincount(views[1])[90:] >= 3).all()
    assert views[1].min() == 90
    assert views[1].max() == 110
    # A table of more rows than columns, with a missing value.
    tall = torch.tensor(rng.normal(size=(100, 70)))
    tall[0, 0] = torch.nan
    components = fit_components(tall, torch.ones(100).double())
    assert add_components(components, tall).shape == (100, 91)
    assert not fit_components(tall[:, :64], torch.ones(100).double())
    assert not fit_components(tall[:1], torch.ones(1).double())


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
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1000, 3, generator=generator, dtype=torch.float64)
    y = (x[:, 0] > 1).long() + (x[:, 0] > 2).long() if n_classes else x[:, 1]
    views = choose_views(x, y, torch.ones(1000).double(), n_classes, "auto", 500)
    assert views.rows.shape == (2, 500)
    assert len(set(views.rows.flatten().tolist())) == 1000
    # In another order, the rows of a view are the same.
    order = torch.randperm(1000, generator=generator)
    other = choose_views(x[order], y[order], torch.ones(1000).double(), n_classes, "auto", 500)
    for found, expected in zip(order[other.rows], views.rows, strict=True):
        assert set(found.tolist()) == set(expected.tolist())
