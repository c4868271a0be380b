import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, AutoLearner, HierarchicalLinear, ProtoNet, Validation
from skmeta.plotting import LearningCurveDisplay

SHORT = {"n_iterations": 6, "validation": Validation(n_tasks=2, every=2), "random_state": 0}


@pytest.fixture(scope="module")
def regression():
    X, y, groups = make_sinusoid_tasks(n_tasks=20, random_state=0)
    return MAML(n_shot=5, n_query=5, **SHORT).fit(X, y, groups=groups)


@pytest.fixture(scope="module")
def classification():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), np.repeat(np.arange(12), 10)
    return ProtoNet(
        n_way=2, n_shot=1, n_query=3, **SHORT | {"validation": Validation(0.0, every=2)}
    ).fit(X, y)


def test_curves_are_those_of_the_history(regression):
    display = LearningCurveDisplay.from_estimator(regression)
    train, validation = display.lines_
    np.testing.assert_array_equal(train.get_xdata(), [2, 4, 6])
    np.testing.assert_array_equal(train.get_ydata(), regression.learning_curve_["train_loss"])
    np.testing.assert_array_equal(
        validation.get_ydata(), regression.learning_curve_["validation_loss"]
    )
    assert train.get_color() == validation.get_color()
    assert train.get_linestyle() != validation.get_linestyle()
    assert "MAML" in train.get_label()


def test_without_validation_there_is_one_curve_of_the_accuracy(classification):
    display = LearningCurveDisplay.from_estimator(classification)
    (line,) = display.lines_
    assert display.validation is None
    np.testing.assert_array_equal(line.get_ydata(), classification.learning_curve_["train_score"])
    assert display.ax_.get_ylabel() == "accuracy"
    assert display.ax_.get_xlabel() == "meta-iteration"


def test_a_learner_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError, match="not fitted"):
        LearningCurveDisplay.from_estimator(MAML())


def test_plain_models_are_lines(regression):
    display = LearningCurveDisplay.from_estimator(regression)
    assert set(display.baselines) == {
        "ridge regression on each task",
        "ridge regression on all tasks",
    }
    heights = [line.get_ydata()[0] for line in display.baseline_lines_]
    scores = [
        regression.learning_curve_[f"{name}_score"][-1] for name in ("task_ridge", "pooled_ridge")
    ]
    np.testing.assert_allclose(heights, -np.array(scores))  # a loss is minus the score
    without = LearningCurveDisplay.from_estimator(regression, baselines=False)
    assert without.baseline_lines_ == []


def test_learners_without_an_outer_loop_have_no_curve():
    X, y, groups = make_sinusoid_tasks(n_tasks=30, random_state=0)
    closed = HierarchicalLinear(effects="intercept")
    with pytest.raises(
        ValueError, match=r"HierarchicalLinear has no learning curve\. It has no outer"
    ):
        LearningCurveDisplay.from_estimator(clone(closed).fit(X, y, groups))
    auto = AutoLearner(candidates=[closed], random_state=0).fit(X, y, groups)
    with pytest.raises(
        ValueError, match=r"AutoLearner has no .* Its leaderboard_ compares learners"
    ):
        LearningCurveDisplay.from_estimator(auto)
