"""AutoLearner: which learner it chooses, what it says of it, and what it refuses."""

import pickle
import warnings

import numpy as np
import pytest
from builders import make_intercepts
from marks import slow
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import FitFailedWarning

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.exceptions import EpisodeError, PriorWarning
from skmeta.learners import MAML, AutoLearner, HierarchicalLinear, InContextLearner, ProtoNet

# Priors are adapted to rows of their own meta-training.
pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.PriorWarning")

INTERCEPT = HierarchicalLinear(effects="intercept")
SMALL_MAML = MAML(
    backbone_params={"hidden": (8,), "activation": "tanh"}, n_iterations=8, validation=0
)


@pytest.fixture(scope="module")
def intercepts():
    """An AutoLearner on a random-intercept model."""
    learners = [INTERCEPT, SMALL_MAML]
    auto = AutoLearner(candidates=learners, n_shot=5, random_state=0)
    return auto.fit(*make_intercepts())


def test_a_mixed_effects_model_is_chosen_for_its_own_data(intercepts):
    board = intercepts.leaderboard_
    assert intercepts.prior_.learner == "HierarchicalLinear"
    assert isinstance(intercepts.best_learner_, HierarchicalLinear)
    assert list(board.learner[board.chosen]) == ["HierarchicalLinear"]
    assert intercepts.summary_.startswith("Meta-learning pays here: on 30 held-out tasks")
    assert "A mixed-effects model is all that these tasks need" in intercepts.summary_
    # With n known rows, the best possible error has this expected value.
    tau2, sigma2, n = 1.0, 0.25, 5
    best = sigma2 + tau2 * sigma2 / (sigma2 + n * tau2)
    found = board.set_index("learner").loss * make_intercepts()[1].var()
    assert found["HierarchicalLinear"] == pytest.approx(best, rel=0.2)
    assert found["pooled rows (plain)"] == pytest.approx(tau2 + sigma2, rel=0.35)


def test_the_leaderboard_says_what_was_compared(intercepts):
    board = intercepts.leaderboard_
    assert list(board.columns) == [
        *("learner", "loss", "standard_error", "low", "high"),
        *("seconds", "chosen", "status"),
    ]
    assert set(board.learner) == {
        *("HierarchicalLinear", "MAML"),
        *("pooled rows (plain)", "own rows (plain)", "boosted trees on pooled rows (plain)"),
    }
    assert board.loss.is_monotonic_increasing
    assert ((board.low < board.loss) & (board.loss < board.high)).all()
    assert set(board.status) == {"compared", "plain"}


def test_meta_learning_does_not_pay_on_noise():
    X, _, groups = make_intercepts()
    noise = np.random.default_rng(0).normal(size=len(X))
    auto = AutoLearner(candidates=[INTERCEPT], random_state=0).fit(X, noise, groups)
    assert auto.summary_.startswith("Meta-learning does not pay here")
    assert "does as well" in auto.summary_
    assert auto.prior_.learner == "HierarchicalLinear"


def test_classifications_by_groups_have_the_classes_of_all_groups():
    X, target, groups = make_intercepts(n_groups=15, between=2.0)
    y = np.where(target > 0, "yes", "no")
    y[groups == 3] = "no"
    auto = AutoLearner(candidates=[INTERCEPT], random_state=0).fit(X, y, groups)
    assert "log loss" in auto.summary_
    clf = MetaFewShotClassifier(auto).fit(X[:2], ["yes", "yes"])
    assert isinstance(clf, MetaFewShotClassifier)
    assert clf.classes_.tolist() == ["no", "yes"]


def test_classes_are_held_out_if_there_are_no_groups():
    X, y = load_digits(return_X_y=True)
    X, y = X[:400], y[:400]
    learners = [ProtoNet(backbone_params={"hidden": (32,)}, n_iterations=20, validation=0)]
    auto = AutoLearner(candidates=learners, n_way=3, n_shot=(1, 5), random_state=0)
    with pytest.warns(PriorWarning, match=r"does not pay here.*\(own rows\) is better\.$"):
        auto.fit(X, y)
    board = auto.leaderboard_.set_index("learner")
    assert set(board.index) == {"ProtoNet", "own rows (plain)"}
    assert MetaFewShotClassifier(auto.prior_).fit(X[:50], y[:50]).score(X, y) > 0.6


@pytest.mark.slow
def test_images_are_learned_by_a_convolution():
    X, y = load_digits(return_X_y=True)
    X, y = X[:200].reshape(-1, 1, 8, 8), y[:200]
    blocks = {"n_channels": 4, "n_blocks": 2}
    conv = ProtoNet(backbone="conv4", backbone_params=blocks, n_iterations=2, validation=0)
    auto = AutoLearner(candidates=[conv], n_way=3, random_state=0)
    with warnings.catch_warnings(action="ignore", category=PriorWarning):
        auto.fit(X, y)
        as_table = clone(auto).set_params(input_shape=(1, 8, 8)).fit(X.reshape(-1, 64), y)
    assert auto.prior_.input_shape == (1, 8, 8)
    assert as_table.prior_ == auto.prior_


def test_estimators_take_it_and_pickles_keep_it(intercepts):
    X, y, groups = make_intercepts(seed=1)
    few, rest = slice(0, 5), slice(5, 12)
    expected = MetaFewShotRegressor(intercepts.prior_).fit(X[few], y[few]).predict(X[rest])
    for reg in (MetaFewShotRegressor(intercepts), clone(MetaFewShotRegressor(intercepts))):
        np.testing.assert_array_equal(reg.fit(X[few], y[few]).predict(X[rest]), expected)
    loaded = pickle.loads(pickle.dumps(intercepts))
    assert loaded.prior_ == intercepts.prior_
    assert loaded.leaderboard_.equals(intercepts.leaderboard_)
    assert loaded.score(X, y, groups + 100) == intercepts.score(X, y, groups + 100) > 0.8


def test_it_follows_scikit_learn():
    auto = AutoLearner(candidates=[INTERCEPT], n_query=10, random_state=0)
    assert clone(auto).get_params()["n_query"] == 10
    assert not hasattr(clone(auto), "prior_")
    assert not hasattr(auto, "leaderboard_")
    assert "AutoLearner(" in repr(auto)
    assert "n_query=10" in repr(auto)
    X, y, groups = make_intercepts()
    params = auto.get_params(deep=False)
    assert auto.fit(X, y, groups) is auto
    assert auto.get_params(deep=False) == params
    with pytest.raises(TypeError, match=r"n_queries.*n_query"):
        AutoLearner(n_queries=3)
    with pytest.raises(ValueError, match="not fitted"):
        MetaFewShotRegressor(clone(auto)).fit(X[:5], y[:5])


@pytest.mark.slow
def test_a_learner_that_fails_is_named_and_left_out():
    wild = clone(SMALL_MAML).set_params(inner_lr=1e30, n_inner_steps=5)
    auto = AutoLearner(candidates=[INTERCEPT, wild], n_shot=5, random_state=0)
    with pytest.warns(FitFailedWarning, match=r"^MAML failed \(.* or leave it out of candidates"):
        auto.fit(*make_intercepts())
    board = auto.leaderboard_.set_index("learner")
    assert auto.prior_.learner == "HierarchicalLinear"
    assert board.index[-1] == "MAML"
    assert "inner_lr" in board.status["MAML"] or "not finite" in board.status["MAML"]
    with pytest.raises(EpisodeError, match=r"None of the learners could learn these tasks \(MAML"):
        AutoLearner(candidates=[wild], n_shot=5, random_state=0).fit(*make_intercepts())


def test_missing_values_leave_learners_that_take_them():
    X, y, groups = make_intercepts()
    X[3, 1] = np.nan
    with pytest.raises(EpisodeError, match="None of the candidates learns regression tasks with m"):
        AutoLearner(candidates=[SMALL_MAML]).fit(X, y, groups)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"candidates": []}, r"candidates must be 'auto' or a list of learners.*an empty list"),
        ({"candidates": [MAML]}, r"got <class .*MAML'> of type"),
        ({"n_query": 0}, "The 'n_query' parameter of AutoLearner must be"),
        ({"n_shot": "many"}, "The 'n_shot' parameter of AutoLearner must be"),
        ({"n_shot": (4, 2)}, r"n_shot=\(4, 2\) is empty"),
        ({"n_shot": 12}, r"compares learners on groups that are held out, but 0 of the 30 groups"),
        ({"candidates": [ProtoNet()]}, "None of the candidates learns regression tasks"),
        ({"candidates": [MAML(inner_lr=-1)]}, "The 'inner_lr' parameter of MAML must be"),
        ({"candidates": [HierarchicalLinear(effects="intercepts")]}, "The 'effects' parameter of"),
        ({"candidates": [INTERCEPT, MAML(backbone="mpl")]}, "Did you mean 'mlp'"),
    ],
)
def test_what_is_wrong_is_named(params, message):
    with pytest.raises((TypeError, ValueError), match=message):
        AutoLearner(**params).fit(*make_intercepts())


def test_data_that_form_no_tasks_are_refused():
    X, y, groups = make_intercepts()
    for error, match, params, *data in (
        (EpisodeError, r"groups is None.*Pass groups", {}, y),
        (EpisodeError, "but y has 3 and 4 are needed", {}, groups % 3),
        (EpisodeError, "y has one class", {"target_type": "classification"}, 0 * groups, groups),
        (EpisodeError, "Set target_type=", {}, groups + 1, groups),
        (ValueError, "groups has 359 values for 360 rows", {}, y, groups[:-1]),
        (ValueError, "device='abacus'", {"device": "abacus"}, y, groups),
    ):
        with pytest.raises(error, match=match):
            AutoLearner(**{"candidates": [INTERCEPT]} | params).fit(X, *data)


@pytest.mark.parametrize("learner", [INTERCEPT, slow(InContextLearner(prior="tabular"))])
def test_frames_with_categories_and_missing_values(learner):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(24), 12)
    X = pd.DataFrame({"size": rng.normal(size=288), "colour": rng.choice(["red", "blue"], 288)})
    y = X["size"] + 3 * (X["colour"] == "red") + rng.normal(size=24)[groups]
    X.loc[::17, "size"] = np.nan
    learner = clone(learner)
    if "n_iterations" in learner.get_params(deep=False):
        learner.set_params(n_iterations=1, meta_batch_size=1, validation=0)
    auto = AutoLearner(candidates=[learner], random_state=0).fit(X, y, groups=groups)
    assert auto.prior_.n_features_in == 2
    assert list(auto.prior_.feature_names_in) == ["size", "colour"]
    known = pd.DataFrame({"size": [0.0, 1.0], "colour": ["blue", "blue"]})
    reg = MetaFewShotRegressor(auto).fit(known, [0.0, 1.0])
    new = pd.DataFrame({"size": [0.0, 0.0], "colour": ["red", "blue"]})
    red, blue = reg.predict(new)
    assert np.isfinite([red, blue]).all()
    if isinstance(learner, HierarchicalLinear):  # It remembers the effects of a family's columns.
        assert abs(red - blue - 3) < 0.5
    with pytest.warns(PriorWarning):
        assert auto.score(X, y, groups=groups) > 0.5


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result(intercepts):
    again = clone(intercepts).fit(*make_intercepts())
    assert again.prior_ == intercepts.prior_
    boards = [auto.leaderboard_.drop(columns="seconds") for auto in (intercepts, again)]
    assert boards[0].equals(boards[1])
    other = clone(intercepts).set_params(random_state=1).fit(*make_intercepts())
    assert not other.leaderboard_.drop(columns="seconds").equals(boards[0])
