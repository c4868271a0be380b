"""What a prior knows of the rows of its meta-training: which they were, and their units."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.exceptions import PriorWarning
from skmeta.learners import FineTuning, HierarchicalLinear, ProtoNet
from skmeta.priors import MetaPrior
from skmeta.priors._seen_rows import (
    BOUND,
    DIGESTS,
    MAX_DIGESTS,
    count_seen,
    describe_rows,
    row_digests,
)
from skmeta.priors._units import UNITS, describe_units, find_misfit
from skmeta.tasks import EpisodeSplit

BRIEF = {"n_way": 3, "n_shot": 5, "n_query": 5, "n_iterations": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    prior = ProtoNet(**BRIEF, validation=0, random_state=0).fit(X[y < 7], y[y < 7]).prior_
    return X, y, prior


def messages(call, category):
    with warnings.catch_warnings(record=True, action="always") as found:
        call()
    return [str(one.message) for one in found if issubclass(one.category, category)]


def test_a_fit_to_known_rows_warns_whatever_the_splits(digits):
    X, y, prior = digits
    old, new = y < 3, y > 6
    clf = MetaFewShotClassifier(prior)
    assert len(messages(lambda: clf.fit(X[old][::20], y[old][::20]), PriorWarning)) == 1
    assert messages(lambda: clf.fit(X[new][::20], y[new][::20]), Warning) == []
    for cv in (EpisodeSplit(n_episodes=3, random_state=0), StratifiedKFold(3)):
        score = partial(cross_val_score, clf, X[old], y[old], cv=cv)
        assert len(messages(score, PriorWarning)) == 3


@pytest.mark.parametrize(("action", "n_warnings"), [("default", 1), ("always", 5), ("ignore", 0)])
def test_a_cross_validation_warns_once_unless_filters_say_otherwise(digits, action, n_warnings):
    X, y, _ = digits
    prior = ProtoNet(**BRIEF, validation=0, random_state=0).fit(X[y < 3], y[y < 3]).prior_
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter(action)
        cross_val_score(MetaFewShotClassifier(prior), X[y < 3], y[y < 3], cv=5)
    assert len(found) == n_warnings


def test_episode_split_compares_rows_and_not_the_names_of_groups():
    first, again = (make_sinusoid_tasks(n_tasks=30, random_state=seed) for seed in (0, 1))
    X, y, groups = first
    learner = HierarchicalLinear().fit(X, y, groups=groups)
    for prior in (learner, learner.prior_):
        cv = EpisodeSplit(n_shot=5, n_episodes=2, prior=prior)
        assert len(messages(lambda cv=cv: cv.split(X, y, groups), PriorWarning)) == 1
        assert messages(lambda cv=cv: cv.split(*again), PriorWarning) == []
    reg = MetaFewShotRegressor(learner)
    assert messages(lambda: reg.fit(again[0][:10], again[1][:10]), Warning) == []
    assert len(messages(lambda: reg.fit(X[:10], y[:10]), PriorWarning)) == 1
    # The same places with other targets are no rows of the meta-training.
    assert messages(lambda: reg.fit(X[:10], y[:10] + 0.1), PriorWarning) == []


def test_files_and_precision_keep_what_was_seen(digits, tmp_path):
    X, _, prior = digits
    prior.save(tmp_path / "prior.skmeta")
    loaded = MetaPrior.load(tmp_path / "prior.skmeta")
    assert loaded == prior
    for dtype in (np.float64, np.float32, np.uint8):
        assert count_seen(loaded.tensors, X[:20].astype(dtype), None)[0] == 14


def test_a_data_frame_is_known_by_its_encoded_rows():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"size": rng.normal(size=300), "kind": rng.choice(["a", "b", "c"], 300)})
    y, groups = rng.integers(2, size=300), np.arange(300) % 30
    prior = HierarchicalLinear(target_type="classification").fit(X, y, groups=groups).prior_
    assert len(messages(lambda: prior.check_new_rows(X[:20]), PriorWarning)) == 1
    assert messages(lambda: prior.check_new_rows(X.assign(size=X["size"] + 1)[:20]), Warning) == []


def test_a_later_meta_training_knows_the_rows_of_the_first(digits):
    X, y, prior = digits
    later = ProtoNet(**BRIEF, validation=0, prior=prior, random_state=0).fit(X[y > 6], y[y > 6])
    for k in range(10):
        assert count_seen(later.prior_.tensors, X[y == k][:8], None)[0] == 8


def test_rows_of_categories_are_no_evidence():
    rng = np.random.default_rng(0)
    X, groups = rng.integers(2, size=(2000, 3)).astype(float), np.arange(2000) % 40
    tensors = describe_rows(X, None, groups, {})
    assert count_seen(tensors, X[:30], None)[0] == 0


def test_chance_is_that_of_rows_that_two_tasks_have():
    # A fifth of the rows of each task are also those of another one.
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(1000, 2)), np.repeat(np.arange(20), 50)
    for k in range(0, 20, 2):
        X[50 * k : 50 * k + 10] = X[50 * (k + 1) : 50 * (k + 1) + 10]
    tensors = describe_rows(X, None, groups, {})
    new = rng.normal(size=(20, 2))
    new[:4] = X[[10, 20, 30, 40]]
    assert count_seen(tensors, new, None) == (0, 20)
    new[4:16] = X[100:1000:75]
    assert count_seen(tensors, new, None)[0] >= 10


def test_files_stay_small_and_a_sample_of_rows_is_known():
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(50_000, 2)), np.arange(50_000) % 100
    tensors = describe_rows(X, None, groups, {})
    assert len(tensors[DIGESTS]) == MAX_DIGESTS
    n_seen, n = count_seen(tensors, X[:300], None)
    assert n_seen == n
    assert 60 < n < 140
    assert count_seen(tensors, rng.normal(size=(300, 2)), None)[0] == 0
    more = describe_rows(X[:5000] + 10, None, groups[:5000], tensors)
    assert more[BOUND] < tensors[BOUND]
    assert count_seen(more, X[:3000], None)[0] > 600


def test_digests_differ_where_a_bit_does():
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.eye(500), -np.eye(500), 2 * np.eye(500), np.zeros((1, 500))])
    assert len(np.unique(row_digests(rows, None))) == len(rows)
    table = rng.integers(256, size=(20_000, 4))
    assert len(np.unique(row_digests(table, None))) == len(np.unique(table, axis=0))
    twice = row_digests(np.array([[0.0, np.nan], [-0.0, -np.nan]]), np.array([1.0, 1.0]))
    assert twice[0] == twice[1]


@pytest.fixture(scope="module")
def machines():
    """Tasks whose columns have other means and deviations, some of which vary between tasks."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(80), 40)
    centre = np.array([50.0, 0.02, 7.0]) + rng.normal(size=(80, 3)) * [5, 0.002, 0]
    X = centre[groups] + rng.normal(size=(3200, 3)) * [10, 0.004, 1]
    y = ((X - centre[groups]) / [10, 0.004, 1]).sum(1) + rng.normal(size=3200)
    return pd.DataFrame(X, columns=["heat", "flow", "load"]), y, groups


@pytest.fixture(scope="module")
def prior(machines):
    X, y, groups = machines
    old = groups < 60
    settings = {"n_shot": 10, "n_query": 10, "n_iterations": 1, "device": "cpu"}
    return FineTuning(**settings, random_state=0).fit(X[old], y[old], groups=groups[old]).prior_


def test_a_scaler_that_is_fitted_to_each_task_is_named(machines, prior):
    X, y, groups = machines
    for scaler in (StandardScaler(), RobustScaler(), MinMaxScaler()):
        model = make_pipeline(scaler, MetaFewShotRegressor(prior))
        for task in range(60, 80, 4):
            rows = np.flatnonzero(groups == task)[:15]
            (text,) = messages(partial(model.fit, X.iloc[rows], y[rows]), Warning)
            assert "FrozenEstimator(scaler)" in text
            assert text.startswith(("Column 'heat'", "Column 'flow'", "Column 'load'"))


def test_new_tasks_in_the_same_units_are_no_alarm(machines, prior):
    X, y, groups = machines
    for task in range(60, 80, 4):
        rows = np.flatnonzero(groups == task)
        for n in (1, 2, 5, 15, 40):
            fit = partial(MetaFewShotRegressor(prior).fit, X.iloc[rows[:n]], y[rows[:n]])
            assert messages(fit, Warning) == []


def test_both_right_ways_are_silent(machines):
    X, y, groups = machines
    old = groups < 60
    scaler = StandardScaler().fit(X[old])
    settings = {"n_shot": 10, "n_query": 10, "n_iterations": 1, "device": "cpu"}
    learner = FineTuning(**settings, random_state=0)
    learner.fit(scaler.transform(X[old]), y[old], groups=groups[old])
    model = make_pipeline(FrozenEstimator(scaler), MetaFewShotRegressor(learner))
    rows = np.flatnonzero(groups == 70)[:15]
    assert messages(lambda: model.fit(X.iloc[rows], y[rows]), Warning) == []


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_one_column_in_another_unit_is_named(machines, prior, factor):
    X, y, groups = machines
    rows = np.flatnonzero(groups == 70)[:15]
    wrong = X.iloc[rows].assign(flow=factor * X["flow"].iloc[rows])
    (text,) = messages(lambda: MetaFewShotRegressor(prior).fit(wrong, y[rows]), Warning)
    assert text.startswith("Column 'flow' does not have the units")


def test_gaps_where_no_task_had_any_are_named():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(600, 2))
    tensors = describe_units(table, 60, lambda rng: rng.integers(60) + np.arange(0, 600, 60))
    new = rng.normal(size=(20, 2))
    new[0, 1] = np.nan
    assert find_misfit(tensors, new) is None
    new[:18, 1] = np.nan
    assert find_misfit(tensors, new).column == 1
    assert "90% missing" in find_misfit(tensors, new).now


def test_tasks_that_were_scaled_one_by_one_may_be_so_again():
    rng = np.random.default_rng(0)
    tasks = [StandardScaler().fit_transform(rng.normal(size=(20, 3))) for _ in range(40)]
    table = np.concatenate(tasks)
    tensors = describe_units(table, 40, lambda rng: 20 * rng.integers(40) + np.arange(20))
    new = StandardScaler().fit_transform(rng.normal(size=(20, 3)))
    assert find_misfit(tensors, new) is None


def test_numbers_whose_squares_are_infinite_are_kept_finite():
    table = np.random.default_rng(0).normal(size=(600, 2)) * [1e200, 1]
    tensors = describe_units(table, 60, lambda rng: rng.integers(60) + np.arange(0, 600, 60))
    assert np.isfinite(tensors[UNITS]).all()
    assert find_misfit(tensors, table[::60]) is None


def test_images_have_one_unit():
    rng = np.random.default_rng(0)
    X, y = rng.random((200, 1, 8, 8)), np.arange(200) % 20
    learner = ProtoNet(backbone="conv4", backbone_params={"n_channels": 4}, **BRIEF, random_state=0)
    prior = learner.fit(X, y).prior_
    assert prior.tensors[UNITS].shape[1] == 2
    new, labels = rng.random((10, 1, 8, 8)), np.arange(10) % 2
    clf = MetaFewShotClassifier(prior)
    assert messages(lambda: clf.fit(new, labels), Warning) == []
    (text,) = messages(lambda: clf.fit(255 * new, labels), Warning)
    assert "of the pixels of an image" in text
