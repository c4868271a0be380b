"""HierarchicalLinear and ALPaCA as learners."""

import numpy as np
import pytest
import torch
from mixed_tables import load_sleepstudy

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.exceptions import EpisodeError
from skmeta.learners import ALPaCA, ExecutionOptions, HierarchicalLinear
from skmeta.learners._core import read_prior
from skmeta.priors import MetaPrior

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")


def made_classes(n_classes, seed=0, n_tasks=40, n_rows=20):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(groups), 2))
    eta = X @ rng.normal(size=(2, n_classes)) + rng.normal(size=(n_tasks, n_classes))[groups]
    return X, (eta + rng.gumbel(size=eta.shape)).argmax(1), groups


def proba(prior, X, y, at, n_classes):
    """Probabilities of all classes of a prior after rows of any of them."""
    session, state = read_prior(
        prior, HierarchicalLinear, classes=range(n_classes), device="cpu", precision="float64"
    )
    adapter = session.adapter
    rows = adapter.rows(adapter.upload(X), np.asarray(y), np.ones(len(y)))
    adapted = session.algorithm.adapt(session.context, state, rows)
    outputs = session.algorithm.forward(
        session.context, adapted, adapter.inputs(adapter.upload(at))
    )
    return torch.softmax(outputs, 1).detach().numpy()


def test_groups_are_needed():
    X, y, _ = made_classes(2)
    for learner in (HierarchicalLinear(), ALPaCA()):
        with pytest.raises(EpisodeError, match="groups is None"):
            learner.fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_support_sets_may_lack_classes(n_classes):
    X, y, groups = made_classes(n_classes)
    prior = HierarchicalLinear().fit(X, y, groups=groups).prior_
    before = proba(prior, X[:1], [0], X[:50], n_classes)
    after = proba(prior, X[:6], [0] * 6, X[:50], n_classes)
    np.testing.assert_allclose(after.sum(1), 1.0)
    assert (after > 0).all()
    assert (after[:, 0] > before[:, 0]).mean() > 0.9


def test_classifier_takes_the_prior(tmp_path):
    X, y, groups = made_classes(3)
    labels = np.array(["a", "b", "c"])[y]
    prior = HierarchicalLinear().fit(X, labels, groups=groups).prior_
    prior.save(tmp_path / "prior.skmeta")
    loaded = MetaPrior.load(tmp_path / "prior.skmeta")
    rows = np.flatnonzero(groups == 3)
    clf = MetaFewShotClassifier(loaded).fit(X[rows], labels[rows])
    np.testing.assert_array_equal(clf.classes_, ["a", "b", "c"])
    expected = proba(prior, X[rows], y[rows], X[:20], 3)
    np.testing.assert_allclose(clf.predict_proba(X[:20]), expected, rtol=1e-6)
    assert set(clf.predict(X)) <= {"a", "b", "c"}


@pytest.mark.slow
def test_alpaca_on_the_rows_themselves_is_the_hierarchical_model():
    X, y, subjects = load_sleepstudy()
    linear = HierarchicalLinear().fit(X, y, groups=subjects).prior_
    settings = {"backbone": "identity", "random_state": 0}
    settings |= {"execution": ExecutionOptions(precision="float64")}
    same = ALPaCA(n_iterations=0, validation=0, **settings)
    same.fit(X, y, groups=subjects)
    for name, value in linear.tensors.items():
        np.testing.assert_array_equal(same.prior_.tensors[name], value)
    # The closed form is close to what meta-training by gradient steps finds from there.
    learner = ALPaCA(n_iterations=150, n_shot=4, n_query=6, validation=0, **settings)
    trained = learner.fit(X, y, groups=subjects).prior_
    for few in (slice(0, 4), slice(10, 14)):
        found, expected = (
            MetaFewShotRegressor(prior).fit(X[few], y[few]).predict(X[:10])
            for prior in (trained, linear)
        )
        np.testing.assert_allclose(found, expected, rtol=0.06)


def test_groups_of_few_rows_are_used():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 3)
    X, effect = rng.normal(size=(300, 1)), rng.normal(size=100)
    y = X[:, 0] + effect[groups] + 0.1 * rng.normal(size=300)
    prior = HierarchicalLinear(effects="intercept").fit(X, y, groups=groups).prior_
    assert len(prior.trained_on) == 100
    assert MetaFewShotRegressor(prior).fit([[0.0]], [3.0]).predict([[1.0]]) == pytest.approx(4, 0.1)
    scores = (
        HierarchicalLinear()
        .fit(X, y, groups=groups)
        .score_tasks(X + 0.5, y, groups + 100, n_tasks=7, n_shot=(1, 2), n_query=1, random_state=3)
    )
    assert scores.shape == (7,)
    # An outer loop and a validation draw tasks of n_shot rows.
    for needs in ({"validation": 0.1}, {"n_iterations": 1}):
        with pytest.raises(EpisodeError, match="None of the 100 groups can be a task"):
            ALPaCA(**{"n_iterations": 0, "validation": 0} | needs).fit(X, y, groups=groups)
