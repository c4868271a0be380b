import shutil

import numpy as np
import pytest
from boosters import CLASSES, make_booster
from sklearn.datasets import load_wine
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators

from skmeta.exceptions import PriorError
from skmeta.search import MetaLearnedSearchCV, SearchPrior, default_search_space, shipped_priors
from skmeta.search.prior import JointPrior
from skmeta.search.prior import _shipped as shipped
from skmeta.search.record import dataset_features
from skmeta.search.space import SearchSpace, canonical_configurations

PRIORS = sorted(shipped._FOLDER.glob("*.safetensors"))


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True)


def test_cards_and_files_agree():
    described = {
        shipped._file_name(name, metric)
        for name in shipped_priors()
        for metric in shipped._cards()[name]["metrics"]
    }
    assert described == {path.name for path in PRIORS}
    assert sum(path.stat().st_size for path in shipped._FOLDER.iterdir()) < 10e6


@pytest.fixture
def installed(tmp_path, monkeypatch):
    def clear():
        for cached in ("_fitting", "_load", "_cards", "_datasets"):
            getattr(shipped, cached).cache_clear()

    for name in ("SVC.accuracy.safetensors", shipped._DATASETS, shipped._CARDS):
        shutil.copy(shipped._FOLDER / name, tmp_path)
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    clear()
    yield tmp_path
    clear()


def test_a_file_that_was_altered_is_refused(installed):
    path = installed / "SVC.accuracy.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(PriorError, match=r"SVC.accuracy.safetensors'.* was altered"):
        shipped.load_shipped("SVC", "accuracy")


@pytest.mark.parametrize("path", PRIORS, ids=lambda path: path.stem)
def test_each_prior_orders_the_default_space(path):
    name, metric = path.stem.split(".")
    prior = shipped.load_shipped(name, metric)
    card = shipped._cards()[name]["metrics"][metric]
    assert prior.estimators == (name,)
    assert list(prior.datasets) == card["datasets"]
    assert prior.n_evaluations == card["n_evaluations"]
    assert len(prior) >= (17 if name.startswith("XGB") else 20)
    # Some of its parameters are those of the default space, and they matter.
    if name in CLASSES:
        estimator = make_booster(name)
    else:
        [kind] = [kind for other, kind in all_estimators() if other == name]
        estimator = kind()
    space = SearchSpace(default_search_space(estimator))
    candidates = space.sample(40, np.random.default_rng(0))
    F = prior.surfaces(canonical_configurations(estimator, candidates))
    assert np.isfinite(F).all()
    assert F.mean(0).std() > 0.05


def test_a_card_is_shown_and_says_what_was_measured():
    for name, text in shipped_priors().items():
        assert text.startswith(f"Prior of {name}\n")
        assert "licence BSD-3-Clause" in text
        for metric, found in shipped._cards()[name]["metrics"].items():
            assert f"{metric}: {found['n_evaluations']:,} configurations" in text


@pytest.mark.parametrize(("task", "name"), [("SVC", "accuracy"), ("SVR", "r2")])
def test_the_data_set_at_hand_sets_the_weights(task, name):
    """Features that ship are those that a search computes, but for rounding."""
    prior = shipped.load_shipped(task, name)
    X, y = load_wine(return_X_y=True)
    features = dataset_features(X, y, is_classification=task == "SVC")
    known = [past for past in prior.dataset_features if past]
    assert len(known) > 20
    assert all(past.keys() == features.keys() for past in known)
    weights = prior.conditioned_on(features).task_weights
    assert weights.max() > 2 * prior.task_weights.max()
    if task == "SVC":
        own = prior.dataset_features[prior.datasets.index("wine_recognition")]
        np.testing.assert_allclose([own[n] for n in features], [*features.values()], atol=0.05)


@pytest.mark.parametrize(
    ("prior", "kind"),
    [("auto", SearchPrior), ("shipped", SearchPrior), ("history", None), (None, None)],
)
def test_which_prior_is_used_without_a_history(wine, prior, kind):
    estimator = make_pipeline(StandardScaler(), KNeighborsClassifier())
    search = MetaLearnedSearchCV(estimator, n_iter=4, cv=3, prior=prior, random_state=0).fit(*wine)
    assert (search.prior_ is None) if kind is None else isinstance(search.prior_, kind)
    # Without a prior, the second candidate of the initial design is the estimator as it is given.
    sources = list(search.cv_results_["source"])
    assert sources[:3].count("initial design") + sources[:3].count("as given") == 2
    assert kind or sources[1] == "as given"


def test_the_users_own_searches_join(wine, tmp_path):
    settings = {"n_iter": 3, "cv": 3, "random_state": 0, "history": tmp_path / "searches.db"}
    estimator = make_pipeline(StandardScaler(), KNeighborsClassifier())
    X, y = wine
    MetaLearnedSearchCV(estimator, **settings).fit(X[:, :5], y)
    search = MetaLearnedSearchCV(estimator, **settings).fit(X, y)
    assert isinstance(search.prior_, JointPrior)
    # The same data are left out of a joint prior that is passed on, too.
    passed_on = {"prior": search.prior_, "history": None, "learn_from_same_data": False}
    left = MetaLearnedSearchCV(estimator, **(settings | passed_on)).fit(X[:, :5], y)
    assert len(left.prior_) == len(search.prior_) - 1
    only = MetaLearnedSearchCV(estimator, **settings, prior="history").fit(X[:, 5:], y)
    assert len(only.prior_) == 2
    other = MetaLearnedSearchCV(estimator, **settings, prior="shipped").fit(X[:, 1:], y)
    assert isinstance(other.prior_, SearchPrior)
    assert len(other.prior_) > 20
