"""Few-shot estimators on unusual input, and what has no effect on any table."""

import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from marks import slow
from table_properties import failures

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.exceptions import UnusedDataWarning
from skmeta.learners import MAML, FineTuning, InContextLearner


def small_prior(kind="classification", **settings):
    """A tabular prior of a small network with random weights."""
    learner = InContextLearner(width=8, n_layers=1, **settings)
    network = learner.make_network(kind)
    network.draw(torch.Generator().manual_seed(0))
    return learner.table_prior(network, kind)


def make_rows(n=60, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, 3))
    return X, np.arange(n) % 3


def test_a_prior_that_needs_a_value_for_each_row_and_class_says_so_first():
    n = 12_000
    X = np.zeros((n, 2))
    clf = MetaFewShotClassifier(FineTuning().initial_prior(X))
    clf.fit(X[:4], [0, 0, 1, 1])  # What a fit imports takes memory, too.
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"12,000 rows of 6,000 classes make 72,000,000 log"):
            clf.fit(X, np.arange(n) // 2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6


def test_weights_that_no_number_of_rows_has_are_refused():
    X, y = make_rows()
    weight = np.ones(60)
    weight[7] = 1e200
    for estimator in (MetaFewShotClassifier(), MetaFewShotRegressor()):
        with pytest.raises(ValueError, match=r"sample_weight is 1e\+200 in row 7.*Divide all"):
            estimator.fit(X, y, sample_weight=weight)
    weight[7] = 1e9
    proba = MetaFewShotClassifier().fit(X, y, sample_weight=weight).predict_proba(X)
    assert np.isfinite(proba).all()


def test_times_are_refused():
    X, y = make_rows()
    times = np.array(["2020-01-01"] * 60, dtype="datetime64[D]")
    with pytest.raises(ValueError, match=r"y holds times \(datetime64\[D\]\).*days since"):
        MetaFewShotRegressor().fit(X, times)
    with pytest.raises(ValueError, match=r"X holds times \(datetime64\[D\]\).*days since"):
        MetaFewShotClassifier().fit(np.column_stack([times, times]), y)


def test_a_learner_that_is_not_fitted():
    X, y = make_rows()
    with pytest.raises(ValueError, match=r"prior=MAML\(\.\.\.\) .* not fitted\. Call fit first"):
        MetaFewShotClassifier(MAML()).fit(X, y)
    with pytest.raises(ValueError, match=r"prior=MAML is a class.*call fit first"):
        MetaFewShotClassifier(MAML).fit(X, y)
    with pytest.raises(ValueError, match=r"'tabluar' is not 'tabular'\. Did you mean 'tabular'\?"):
        MetaFewShotClassifier("tabluar").fit(X, y)
    with pytest.raises(TypeError, match=r"prior must be a MetaPrior.* got 3 of type int"):
        MetaFewShotClassifier(3).fit(X, y)


def test_an_unknown_parameter_is_answered_with_the_nearest():
    message = r"MetaFewShotClassifier has no parameter 'n_view'\. Did you mean 'n_views'"
    with pytest.raises(TypeError, match=message):
        MetaFewShotClassifier(n_view=3)
    with pytest.raises(TypeError, match=r"MetaFewShotRegressor has no parameter 'zz'\. It has dev"):
        MetaFewShotRegressor(zz=3)


def test_rows_that_no_view_has_are_named():
    X, y = make_rows(100)
    clf = MetaFewShotClassifier(small_prior(max_rows=20, n_views=4))
    with pytest.warns(UnusedDataWarning, match=r"100 rows, but the views .* have 80 rows in all"):
        clf.fit(X, y)
    clf.set_params(n_views=5).fit(X, y)


@pytest.mark.parametrize(
    ("shape", "n_classes", "message"),
    [
        ((30, 1001), 2, r"^1,001 columns are more than the 1,000 .* TruncatedSVD in front"),
        slow((404, 2), 101, r"^101 classes are more than the 100 .* ProtoNet"),
        slow((1001, 2), 2, r"^1,001 rows are more than the 1,000 .* random forest"),
        slow(
            (4001, 2),
            2,
            r"^X has 4,001 rows, .* not see some rows\. Raise .* 4,001 rows are more than",
        ),
    ],
)
def test_tables_larger_than_the_prior_is_made_for(shape, n_classes, message):
    X, y = np.random.default_rng(0).normal(size=shape), np.arange(shape[0]) % n_classes
    clf = MetaFewShotClassifier(small_prior(n_views=4))
    with pytest.warns(UnusedDataWarning, match=message) as found:
        clf.fit(X, y)
    assert len(found) == 1
    if len(X) < 4001:  # At the limit there is no warning.
        clf.fit(X[:1000, :1000], y[:1000] % 100)


def test_images_for_a_prior_of_tables():
    images = np.random.default_rng(0).normal(size=(20, 1, 5, 5))
    with pytest.warns(UnusedDataWarning, match=r"\(1, 5, 5\), which are images.*for tables"):
        MetaFewShotClassifier("tabular").fit(images, np.arange(20) % 2)


def test_a_prediction_that_is_not_finite_names_its_row():
    X, y = make_rows()
    far = X.copy()
    far[7] = 1.7e308
    clf = MetaFewShotClassifier(FineTuning().initial_prior(X), device="cpu").fit(X, y)
    for predict in (clf.predict, clf.predict_proba, clf.decision_function):
        with pytest.raises(ValueError, match=r"The prediction of row 7 is not finite \(1 such"):
            predict(far)
    prior = FineTuning().initial_prior(X, X[:, 0], kind="regression")
    reg = MetaFewShotRegressor(prior, device="cpu").fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"The prediction of row 7 is not finite \(1 such"):
        reg.predict(far)


@pytest.mark.parametrize("n_rows", [1, 2, 20])
@pytest.mark.parametrize("value", [0.0, -5.0, 1e6])
def test_targets_that_are_all_equal(value, n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    reg = MetaFewShotRegressor().fit(X, np.full(n_rows, value))
    mean, std = reg.predict(X, return_std=True)
    np.testing.assert_allclose(mean, value, atol=1e-9, rtol=1e-9)
    low, median, high = reg.predict_quantiles(X).T
    np.testing.assert_allclose(median, value, atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(high - median, median - low, rtol=1e-6)
    assert (std > 0).all()


@pytest.mark.parametrize("kind", [MetaFewShotClassifier, MetaFewShotRegressor])
def test_rows_that_threads_add_at_once_all_arrive(kind):
    (X, y), prior = make_rows(20), small_prior(kind._kind)
    model = kind(prior, device="cpu").fit(X[:6], y[:6])

    def add(k):
        model.partial_fit(X[k : k + 1], y[k : k + 1])
        model.predict(X)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(add, range(6, 20)))
    whole = kind(prior, device="cpu").fit(X, y)
    np.testing.assert_allclose(model.predict(X), whole.predict(X), atol=1e-4)
    with pytest.warns(UnusedDataWarning, match="1 row of partial_fit, row 0 first, is equal to"):
        again = pickle.loads(pickle.dumps(model)).partial_fit(X[:1], y[:1])
    assert again.predict(X).shape == (20,)


@pytest.mark.parametrize("kind", [MetaFewShotClassifier, MetaFewShotRegressor])
def test_a_fit_that_fails_leaves_the_model_as_it_was(kind):
    X, y = make_rows(12)
    model = kind(small_prior(kind._kind), device="cpu").fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"y has one class|y is nan"):
        model.fit(X[:, :2], np.full(12, 0 if kind is MetaFewShotClassifier else np.nan))
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.n_features_in_ == 3


def test_the_row_of_a_target_of_another_kind_is_named():
    X, y = make_rows(12)
    model = MetaFewShotRegressor(target_type="count", device="cpu")
    y = y.astype(float)
    y[7] = -1
    with pytest.raises(ValueError, match="whole numbers from 0 on, but y is -1 in row 7"):
        model.fit(X, y)
    y[7] = 1
    model.fit(X, y)
    with pytest.raises(ValueError, match=r"whole numbers from 0 on, but y is 0\.5 in row 1"):
        model.partial_fit(X[:2], [1, 0.5])


def test_a_value_that_is_next_to_a_known_one_is_that_value():
    X, y = make_rows(40)
    model = MetaFewShotClassifier(device="cpu").fit(X, y)
    expected = model.predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(X + 1e-12), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X * (1 - 1e-13)), expected, atol=1e-6)


pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.UnusedDataWarning")

# A smaller failing table is not searched for: each costs some fits.
EXAMPLES = settings(
    max_examples=2,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)


@pytest.mark.parametrize("name", [slow("MetaFewShotRegressor"), "MetaFewShotClassifier"])
@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_what_holds_on_any_table(name, seed):
    assert not {key: error for key, error in failures(name, seed).items() if error}


def test_too_many_classes_are_refused_before_work():
    X = np.arange(2002.0)[:, None]
    with pytest.raises(ValueError, match=r"y has 1,001 classes, but at most 1,000 are allowed"):
        MetaFewShotClassifier(device="cpu").fit(X, np.arange(2002) % 1001)
