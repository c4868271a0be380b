"""The parameters that the past expects to be best, without a search."""

import itertools

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.validation import check_is_fitted

from skmeta.exceptions import PriorError
from skmeta.search import SearchHistory, SearchPrior, learned_defaults
from skmeta.search.record import PastSearch

X, y = load_iris(return_X_y=True)
KEYS = ["metric", "gain", "low", "high", "better_on", "n_datasets", "advice"]


def make_prior(peaks, gain=0.1):
    """Return a prior of C of an RBF kernel, with a peak for each past data set."""
    C, gamma = np.geomspace(2**-5, 2**12, 12), np.geomspace(2**-15, 2**3, 8)
    pairs = [*itertools.product(C.tolist(), gamma.tolist()), (1.0, "scale")]
    grid = [{"SVC.C": c, "SVC.gamma": g, "SVC.kernel": "rbf"} for c, g in pairs]
    distance = np.log10([one["SVC.C"] for one in grid])
    searches = []
    for k, peak in enumerate(peaks):
        tried = {"configurations": tuple(grid), "scores": 0.9 - gain * (distance - peak) ** 2}
        of = {"dataset": f"set {k}", "estimator": "SVC", "metric": "accuracy"}
        searches.append(PastSearch(**tried, **of))
    return SearchPrior.from_searches(searches)


def test_it_has_the_parameters_that_were_best_on_past_data_sets():
    given = SVC(probability=False)
    prior = make_prior([2.0, 2.1, 1.9])
    model, gain = learned_defaults(given, X, y, prior=prior, history=None, return_gain=True)
    assert type(model) is SVC
    assert np.log10(model.C) == pytest.approx(2.0, abs=0.4)
    assert given.C == 1.0
    assert list(gain) == KEYS
    assert gain["metric"] == "accuracy"
    # 0.1 times the square of two decades.
    assert gain["gain"] == pytest.approx(0.4, abs=0.12)
    assert 0.75 < gain["better_on"] < 1
    assert gain["n_datasets"] == 3
    assert gain["advice"].startswith("Changed: it is better than the estimator as ")


@pytest.mark.parametrize(
    ("peaks", "advice"),
    [
        ([0.0, 0.0, 0.0], "past searches expect no other"),
        # Past searches that disagree show little, few or many.
        ([2.0, -2.0], "the best candidate is better with probability"),
        ([2.0, 2.1, -2.0, -2.1, 2.2], "the best candidate is better with probability"),
    ],
)
def test_the_estimator_as_given_is_kept_unless_another_is_clearly_better(peaks, advice):
    prior = make_prior(peaks)
    model, gain = learned_defaults(SVC(), X, y, prior=prior, history=None, return_gain=True)
    assert (model.C, model.gamma) == (1.0, "scale")
    assert {gain[name] for name in ("gain", "low", "high")} == {0.0}
    assert gain["advice"].startswith(f"Kept as given: {advice}")
    # The probability is that of the advice, and is below the bound as it reads.
    assert gain["better_on"] < 0.75
    if "probability" in advice:
        assert f"with probability {gain['better_on']:g}, and parameters" in gain["advice"]
    else:
        assert gain["better_on"] == 0.0


def test_without_past_searches_nothing_changes(tmp_path):
    past = {"prior": "history", "history": tmp_path / "searches.db"}
    model, gain = learned_defaults(SVC(), X, y, **past, return_gain=True)
    assert model.get_params() == SVC().get_params()
    assert gain["n_datasets"] == 0


def test_it_is_an_estimator_that_is_not_fitted():
    model = learned_defaults(ExtraTreesClassifier(n_estimators=5), X, y, history=None)
    with pytest.raises(NotFittedError, match="not fitted"):
        check_is_fitted(model)
    # Nothing is set that a clone would not have.
    assert vars(model).keys() == vars(clone(model)).keys()
    assert model.fit(X, y).score(X, y) > 0.9


def test_what_ships_is_used_in_pipelines_and_what_was_set_is_kept():
    pipe = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=9))
    model = learned_defaults(pipe, X, y, "neg_log_loss", history=None)
    assert model[-1].max_depth == 9
    assert model[-1].min_samples_leaf > 1
    table, given = load_diabetes(return_X_y=True), DecisionTreeRegressor(max_depth=9)
    tree, gain = learned_defaults(given, *table, "r2", history=None, return_gain=True)
    assert tree.max_depth == 9
    assert tree.min_samples_leaf > 1
    assert gain["gain"] > 0


def test_it_learns_from_a_history_and_writes_nothing():
    history = SearchHistory()
    for k in range(6):
        C = np.geomspace(0.01, 10, 25)
        scores = 0.9 - 0.1 * (np.log10(C) + 1) ** 2
        params = [{"C": float(c), "gamma": 0.1} for c in C]
        history.add(SVC(), params, scores, dataset=f"set {k}", scoring="accuracy")
    before = history._position()
    model = learned_defaults(SVC(gamma=0.1), X, y, prior="history", history=history)
    assert np.log10(model.C) == pytest.approx(-1, abs=0.5)
    assert history._position() == before
    joint = learned_defaults(SVC(gamma=0.1), X, y, history=history, return_gain=True)
    assert joint[1]["n_datasets"] > 6


def test_bad_arguments():
    for estimator, error, match in (
        (SVC, TypeError, "must be an instance, such as SVC"),
        ([SVC()], TypeError, "must be an instance"),
        (GaussianNB(), ValueError, "no default search space"),
    ):
        with pytest.raises(error, match=match):
            learned_defaults(estimator, X, y)
    with pytest.raises(ValueError, match="scoring must be one metric"):
        learned_defaults(SVC(), X, y, ["accuracy", "f1"])
    with pytest.raises(ValueError, match=r"'prior' parameter.*'shipped'"):
        learned_defaults(SVC(), X, y, prior="shiped")
    with pytest.raises(PriorError, match="learned from searches of SVC"):
        learned_defaults(ExtraTreesClassifier(), X, y, prior=make_prior([0.0]))
    with pytest.raises(ValueError, match="The 'history' parameter"):
        learned_defaults(SVC(), X, y, history=True)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        learned_defaults(SVC(), X, y[:10])
