"""Numbers of classes from a range, and classes that mean the same in every group or are missing."""

from functools import partial

import builders
import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid

from skmeta import MetaFewShotClassifier
from skmeta.exceptions import UnusedDataWarning
from skmeta.learners import (
    ANIL,
    MAML,
    FineTuning,
    LSTMMetaLearner,
    MetaSGD,
    ProtoNet,
    Reptile,
    Validation,
)
from skmeta.tasks import ClassEpisodes, EpisodeSplit

# Tasks of the meta-training are learned again on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

SMALL = {"backbone_params": {"hidden": (8,)}, "n_shot": 2, "n_query": 3, "n_iterations": 12}
SMALL |= {"meta_batch_size": 3, "validation": Validation(0.2, n_tasks=9, every=4)}
SMALL |= {"random_state": 0}


make_classes = partial(builders.make_classes, 30, 8, 5, 1.0)


def test_a_range_of_ways_is_drawn_evenly_and_is_one_for_a_batch():
    rng = np.random.default_rng(0)
    sampler = ClassEpisodes(make_classes()[1], n_way=(3, 5), n_shot=2, n_query=1)
    assert sampler.n_classes == 5
    batches = [sampler.sample_batch(rng, 4) for _ in range(600)]
    ways = [batch.n_classes for batch in batches]
    assert all(batch.query.shape == (4, n) for batch, n in zip(batches, ways, strict=True))
    counts = np.bincount(ways, minlength=6)
    assert abs(counts[3:] - 200).max() < 5 * np.sqrt(200)
    for task in (sampler.sample(rng) for _ in range(20)):
        n = task.n_classes
        assert (len(task.support), len(task.query)) == (2 * n, n)
        assert set(task.y_query) == set(range(n))


@pytest.mark.parametrize(
    ("n_way", "match"),
    [
        ((4, 2), r"n_way=\(4, 2\) is empty. Give the lower number first"),
        ((1, 4), "each end of n_way must be an integer of at least 2, got 1"),
        ((3,), r"n_way must be a number of classes or a range \(low, high\), got \(3,\)"),
        ((5, 40), r"n_way=\(5, 40\), but the number of classes is 30"),
    ],
)
def test_ranges_that_are_none_are_refused(n_way, match):
    X, y = make_classes()
    with pytest.raises(ValueError, match=match):
        ProtoNet(**SMALL | {"validation": 0}, n_way=n_way).fit(X, y)
    with pytest.raises(ValueError, match=match):
        list(EpisodeSplit(n_way, n_query=1).split(X, y))


def test_a_range_of_one_number_is_the_number():
    X, y = make_classes()
    new = make_classes(first=30)
    one, same = (MAML(**SMALL, n_way=n_way).fit(X, y) for n_way in (4, (4, 4)))
    for name, value in one.prior_.tensors.items():
        np.testing.assert_array_equal(same.prior_.tensors[name], value)
    scores = [each.score_tasks(*new) for each in (one, same)]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("mode", ["loop", "threads", "vmap"])
def test_scores_of_tasks_of_several_sizes_are_those_of_the_nearest_centroid(mode):
    X, y = make_classes()
    learner = ProtoNet(
        backbone="identity", n_way=(2, 6), n_shot=2, n_query=3, n_iterations=1, validation=0,
        standardize=False, execution=mode, random_state=0,
    ).fit(X[:80], y[:80])  # fmt: skip
    found = learner.score_tasks(X[80:], y[80:], n_tasks=50, random_state=3)
    rng, expected = np.random.default_rng(3), []
    sampler = ClassEpisodes(y[80:], (2, 6), 2, 3)
    for task in sorted((sampler.sample(rng) for _ in range(50)), key=lambda task: task.n_classes):
        x, labels, query, truth = task.take(X[80:])
        expected.append(NearestCentroid().fit(x, labels).score(query, truth))
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("head", ["prototype", "shared", "learned"])
def test_a_prior_of_several_sizes_learns_tasks_of_each(head):
    X, y = make_classes()
    learner = ANIL(**SMALL, n_way=(2, 5), head_init=head).fit(X[:160], y[:160])
    assert learner.prior_.learner_params["n_way"] == (2, 5)
    assert np.isfinite(learner.learning_curve_["validation_loss"]).all()
    if head == "learned":
        assert learner.prior_.tensors["head.weight"].shape == (5, 8)
    for n_way in (2, 3, 5):
        rows = y[160:] < 20 + n_way
        clf = MetaFewShotClassifier(learner.prior_).fit(X[160:][rows], y[160:][rows])
        assert clf.predict_proba(X[160:]).shape == (80, n_way)


def test_a_recording_of_each_size_changes_nothing(monkeypatch):
    from skmeta.learners._core import _session

    X, y = make_classes()
    plain = MAML(**SMALL, n_way=(2, 4)).fit(X, y)
    monkeypatch.setattr(_session, "WORTH_RECORDING", 1)
    recorded = MAML(**SMALL, n_way=(2, 4)).fit(X, y)
    for name, value in plain.prior_.tensors.items():
        np.testing.assert_allclose(recorded.prior_.tensors[name], value, rtol=1e-4, atol=1e-6)


GROUPS = builders.SMALL | {"backbone_params": {"hidden": (16,)}, "sampling": "class"}
GROUPS |= {"n_iterations": 20, "meta_lr": 0.02, "validation": Validation(n_tasks=4)}
LEARNERS = [ProtoNet, MAML, ANIL, MetaSGD, Reptile, FineTuning, LSTMMetaLearner]
CENTRES = np.array([[4.0, 0.0], [0.0, 4.0], [-4.0, -4.0]])


def make_groups(n_groups=10, seed=0):
    """Three classes that lie in the same places in every group."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), 12)
    y = np.arange(len(groups)) % 3
    X = CENTRES[y] + rng.normal(size=(len(y), 2)) + rng.normal(size=(n_groups, 2))[groups]
    return X, np.array(["ant", "bee", "cat"])[y], groups


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_new_task_may_lack_a_class(learner):
    X, y, groups = make_groups()
    prior = learner(**GROUPS | {"n_iterations": 60}).fit(X, y, groups=groups).prior_
    assert prior.classes.tolist() == ["ant", "bee", "cat"]
    X_new, y_new, _ = make_groups(n_groups=1, seed=1)
    kept = y_new != "bee"
    clf = MetaFewShotClassifier(prior)
    clf.partial_fit(X_new[kept], y_new[kept], classes=["ant", "cat"])
    assert clf.predict_proba(X_new).shape == (12, 2)
    assert clf.score(X_new[kept], y_new[kept]) > 0.7
    clf.fit(X_new[kept], y_new[kept])
    # A head with a row for each class of the family knows the one that is lacking.
    knows_all = prior.learner_params.get("head_init") == "learned"
    expected = ["ant", "bee", "cat"] if knows_all else ["ant", "cat"]
    assert clf.classes_.tolist() == expected
    assert clf.predict_proba(X_new).shape == (12, len(expected))
    assert (clf.predict_proba(X_new) > 0).all()


def test_groups_that_are_too_small_are_reported_once():
    X, y, groups = make_groups(n_groups=20)
    small = np.arange(len(y)) % 12 < np.where(groups % 2, 12, 2)
    learner = MAML(**{**GROUPS, "n_iterations": 1, "sampling": "task", "validation": 0.3})
    with pytest.warns(UnusedDataWarning, match="10 of 20 groups cannot be tasks") as caught:
        learner.fit(X[small], y[small], groups=groups[small])
    assert len([w for w in caught if w.category is UnusedDataWarning]) == 1


def test_protonet_learns_a_class_that_no_group_had():
    X, y, groups = make_groups()
    prior = ProtoNet(**GROUPS).fit(X, y, groups=groups).prior_
    labels = np.where(y == "ant", "owl", y)[:12]
    clf = MetaFewShotClassifier(prior).fit(X[:12], labels)
    assert clf.classes_.tolist() == ["bee", "cat", "owl"]
    assert clf.score(X[:12], labels) > 0.9


def test_meta_sgd_takes_the_step_sizes_of_the_classes_at_hand():
    X, y, groups = make_groups()
    prior = MetaSGD(**GROUPS).fit(X, y, groups=groups).prior_
    tensors = dict(prior.tensors)
    # Without step sizes, the rows of "ant" and "cat" stay where the prior has them.
    for name in ("inner_lr.head.weight", "inner_lr.head.bias"):
        rate = tensors[name].copy()
        rate[:, [0, 2]] = 0.0
        tensors[name] = rate
    kept = y[:12] != "bee"
    clf = MetaFewShotClassifier(prior.replace(tensors=tensors))
    clf.partial_fit(X[:12][kept], y[:12][kept], classes=["ant", "cat"])
    expected = prior.tensors["head.weight"][[0, 2]]
    np.testing.assert_allclose(clf.adapted_["head.weight"], expected, rtol=1e-6)
