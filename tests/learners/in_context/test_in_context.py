"""InContextLearner: order, parts of large tables, and what it learns."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.utils.class_weight import compute_sample_weight

from benchmarks.make.synthetic_tables import make_table_tasks
from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta._backend import Rows
from skmeta._tabular import WeightedRows
from skmeta._tabular.table_prior import N_SLOTS, choose_views
from skmeta.exceptions import PriorError
from skmeta.learners import ExecutionOptions, FineTuning, InContextLearner
from skmeta.learners.in_context import view_task
from skmeta.priors import MetaPrior

SMALL = {"width": 32, "n_layers": 2}


def shaken(kind):
    """A prior whose outputs depend on everything that they can depend on."""
    learner = InContextLearner(**SMALL, n_views=3)
    network = learner.make_network(kind)
    generator = torch.Generator().manual_seed(0)
    network.draw(generator)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return learner.table_prior(network, kind)


@pytest.fixture(scope="module")
def priors():
    return {kind: shaken(kind) for kind in ("classification", "regression")}


def make_task(n=24, d=5, n_classes=3, n_query=9, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n + n_query, d))
    X[:, 1] = np.round(X[:, 1])
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 0] *= 1e6
    return X[:n], np.arange(n) % n_classes, X[n:]


@pytest.mark.parametrize("n_classes", [3, 14])
def test_order_of_rows_columns_and_classes_does_not_matter(priors, n_classes):
    X, y, X_query = make_task(56, 5, n_classes)
    clf = MetaFewShotClassifier(priors["classification"])
    expected = clf.fit(X, y).predict_proba(X_query)
    assert np.ptp(expected, axis=0).max() > 1e-3
    rng = np.random.default_rng(0)
    rows, columns, classes = (rng.permutation(k) for k in (len(X), X.shape[1], n_classes))
    found = clf.fit(X[rows][:, columns], y[rows]).predict_proba(X_query[:, columns])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    found = clf.fit(X, classes[y]).predict_proba(X_query)
    np.testing.assert_allclose(found[:, classes], expected, atol=1e-5)


def test_weights_are_repetitions(priors):
    X, y, X_query = make_task(14)
    w = np.array([1, 2, 0, 1, 3, 1, 1, 0, 1, 2, 1, 1, 1, 1])
    clf = MetaFewShotClassifier(priors["classification"])
    weighted = clf.fit(X, y, sample_weight=w).predict_proba(X_query)
    repeated = clf.fit(np.repeat(X, w, 0), np.repeat(y, w)).predict_proba(X_query)
    np.testing.assert_allclose(weighted, repeated, atol=1e-5)
    assert not np.allclose(weighted, clf.fit(X, y).predict_proba(X_query), atol=1e-4)


def test_weights_that_are_no_whole_numbers_are_relative():
    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(540, 3)), rng.normal(size=540)
    y = X[:, 0] + noise
    reg = MetaFewShotRegressor(device="cpu")
    expected = reg.fit(X[:40], y[:40]).predict(X[40:], return_std=True)
    equal = reg.fit(X[:40], y[:40], sample_weight=np.full(40, 1.3))
    np.testing.assert_allclose(equal.predict(X[40:], return_std=True), expected, atol=1e-5)
    low, _, high = reg.fit(X[:40], y[:40], rng.uniform(0.3, 3, 40)).predict_quantiles(X[40:]).T
    assert 0.8 < ((low <= y[40:]) & (y[40:] <= high)).mean() < 0.97
    # Thirty rows of one class and ten of the other: weights make up for it, as in other models.
    kept = np.r_[np.flatnonzero(y < 0)[:30], np.flatnonzero(y > 0)[:10]]
    labels = y > 0
    weight = compute_sample_weight("balanced", labels[kept])
    clf = MetaFewShotClassifier(device="cpu")
    mean = [clf.fit(X[kept], labels[kept], w).predict_proba(X)[:, 1].mean() for w in (None, weight)]
    assert mean[0] + 0.05 < mean[1] < 0.6


def test_ranks_are_taken_before_values_are_rounded(priors):
    # Differences that float32 does not know.
    X, y, X_query = make_task()
    X, X_query = np.nan_to_num(X), np.nan_to_num(X_query)
    clf = MetaFewShotClassifier(priors["classification"])
    expected = clf.fit(X, y).predict_proba(X_query)
    moved = clf.fit(X + 1e7, y).predict_proba(X_query + 1e7)
    np.testing.assert_allclose(moved, expected, atol=1e-3)


def test_more_classes_than_codes_are_told_apart():
    prior = MetaPrior.load_shipped("classification")
    rng = np.random.default_rng(0)
    centres = 6 * rng.normal(size=(25, 2))
    y = np.arange(200) % 25
    X = centres[y] + 0.3 * rng.normal(size=(200, 2))
    clf = MetaFewShotClassifier(prior).fit(X[:150], y[:150])
    p = clf.predict_proba(X[150:])
    np.testing.assert_allclose(p.sum(1), 1)
    assert clf.score(X[150:], y[150:]) > 0.8  # Chance is 0.04.


def test_large_tables_are_seen_in_parts(priors):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 150)), np.arange(120) % 3
    prior = priors["classification"].replace(
        learner_params={**priors["classification"].learner_params, "max_rows": 40}
    )
    clf = MetaFewShotClassifier(prior).fit(X, y)
    expected = clf.predict_proba(X[:5])
    memories = clf._open()[0].context._tables[0].memories
    assert [len(columns) for columns, _ in memories] == [N_SLOTS] * 3
    columns = rng.permutation(150)
    found = clf.fit(X[:, columns], y).predict_proba(X[:5][:, columns])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_part_of_the_rows_has_each_class_in_its_proportion():
    X, y, w = (
        np.random.default_rng(0).normal(size=(200, 6)),
        (np.arange(200) % 10).clip(0, 3),
        np.ones(200),
    )
    views = choose_views(WeightedRows(X, y, w), 4, 8, 40)
    assert views.rows.shape == (8, 40)
    expected = np.bincount(y) * 40 / 200
    for rows in views.rows:
        assert len(set(rows.tolist())) == 40
        assert abs(np.bincount(y[rows]) - expected).max() <= 1
    assert len(np.unique(views.rows)) == 200
    # A class of one row is there in every view.
    y = np.zeros(200, int)
    y[17] = 1
    assert (choose_views(WeightedRows(X, y, w), 2, 8, 40).rows == 17).any(1).all()


@pytest.mark.parametrize(("max_rows", "n_rows"), [(40, 40), (150, 150), (300, 200)])
def test_rows_without_weight_are_read_only_where_there_are_no_others(max_rows, n_rows):
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(200, 6, generator=generator), torch.ones(200)
    w[::2] = 0
    support = Rows(x, (x[:, 0] > 0).long(), w)
    # Under vmap, as in meta-training.
    both = Rows(*(torch.stack([part, part]) for part in support))
    viewed = torch.func.vmap(lambda rows: view_task(rows, rows.x, 2, 3, max_rows))(both)
    first = view_task(support, x, 2, 3, max_rows)
    for found, expected in zip(viewed, first, strict=True):
        torch.testing.assert_close(found, torch.stack([expected, expected]))
    assert first.w.shape[1] == n_rows
    assert (first.w.sum(1) == min(100, max_rows)).all()


def test_missing_values_are_allowed_where_the_prior_knows_them(priors):
    X, y, X_query = make_task()
    assert np.isnan(X).any()
    clf = MetaFewShotClassifier(priors["classification"])
    assert clf.__sklearn_tags__().input_tags.allow_nan
    assert np.isfinite(clf.fit(X, y).predict_proba(X_query)).all()
    assert MetaFewShotClassifier().__sklearn_tags__().input_tags.allow_nan
    tuned = MetaFewShotClassifier(FineTuning().initial_prior([[0.0]]))
    assert not tuned.__sklearn_tags__().input_tags.allow_nan
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="contains infinity"):
        clf.fit(X, y)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 16}, r"'table.* has shape .* Set {'width': 32"),
        ({"target_type": "regression"}, r"on regression tasks cannot start from"),
    ],
)
def test_a_prior_of_another_kind_or_size_is_refused(priors, changes, message):
    X, y, groups = make_table_tasks(12, 24, 4, n_classes=2, random_state=1)
    settings = SMALL | {"n_shot": 2, "n_query": 2, "sampling": "class"} | changes
    learner = InContextLearner(prior=priors["classification"], **settings)
    with pytest.raises(PriorError, match=message):
        learner.fit(X, y, groups)


def test_the_prior_that_ships_learns_small_tables():
    X, y = load_iris(return_X_y=True)
    X[::7, 2] = np.nan
    rows = np.random.default_rng(0).permutation(150)
    clf = MetaFewShotClassifier().fit(X[rows[:30]], y[rows[:30]])
    assert clf.score(X[rows[30:]], y[rows[30:]]) > 0.9
    assert clf.prior_ is MetaPrior.load_shipped("classification")
    assert clf.prior is None
    named = MetaFewShotClassifier("tabular").fit(X[rows[:30]], y[rows[:30]])
    assert named.prior_ is clf.prior_
    assert clone(clf).__sklearn_tags__().input_tags.allow_nan


def test_the_prior_that_ships_predicts_distributions():
    X, y = load_diabetes(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))
    few, rest = rows[:60], rows[60:]
    reg = MetaFewShotRegressor().fit(X[few], y[few])
    assert reg.prior_ is MetaPrior.load_shipped("regression")
    assert reg.score(X[rest], y[rest]) > 0.35
    low, high = reg.predict_quantiles(X[rest], [0.05, 0.95]).T
    assert 0.82 < np.mean((low <= y[rest]) & (y[rest] <= high)) < 0.97
    assert np.mean(high - low) < 3.2 * y.std()


def test_heads_divide_the_width():
    X, y, groups = make_table_tasks(12, 24, 4, n_classes=2, random_state=1)
    with pytest.raises(ValueError, match="width must be a multiple of 8, got 20"):
        InContextLearner(sampling="task", width=20).fit(X, y, groups)


def test_a_kind_without_a_prior_is_an_error():
    with pytest.raises(PriorError, match="No prior ships for rankings tables"):
        MetaPrior.load_shipped("rankings")


def test_tasks_of_more_classes_than_codes_are_meta_trained_at_once():
    rng = np.random.default_rng(0)
    group, X = np.repeat(range(12), 60), rng.normal(size=(720, 3))
    y = np.digitize(X[:, 0] * rng.choice([-1, 1], 12)[group], np.linspace(-1.2, 1.2, 11))
    learner = InContextLearner(
        **SMALL, target_type="classification", n_shot=24, n_query=5, n_iterations=2, random_state=0
    )
    by_mode = [
        clone(learner).set_params(execution=ExecutionOptions(mode)).fit(X, y, group).learning_curve_
        for mode in ("loop", "vmap")
    ]
    expected, found = (history["train_loss"] for history in by_mode)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
