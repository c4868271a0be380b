import pickle
import time
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import loguniform, randint
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

import skmeta.search._recorder
from skmeta.exceptions import (
    HistoryFormatError,
    HistoryWarning,
    SearchSpaceError,
    SearchStoppedWarning,
)
from skmeta.search import (
    MetaLearnedSearchCV,
    PastSearch,
    ReadOnlyHistory,
    SearchHistory,
    SearchPrior,
    use_history,
)

SPACE = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-4, 1e1)}
GRID = {"C": [0.1, 1, 10], "kernel": ["rbf", "linear"]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "searches.db"


class Counted(ClassifierMixin, BaseEstimator):
    """Counts its fits, and does something at one of them."""

    fits: list[float] = []  # noqa: RUF012
    at: dict = {}  # noqa: RUF012

    def __init__(self, quality=0.5):
        self.quality = quality

    def fit(self, X, y):
        Counted.fits.append(self.quality)
        action = Counted.at.get(len(Counted.fits))
        if action is not None:
            action()
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return 1 - (self.quality - 0.3) ** 2


@pytest.fixture
def counted():
    Counted.fits, Counted.at = [], {}
    return Counted


def _raise(error):
    def action():
        raise error

    return action


def _scores(search):
    return {k: v for k, v in search.cv_results_.items() if "time" not in k}


def _assert_same(one, other):
    assert list(one) == list(other)
    for name in one:
        if name.startswith("predicted"):  # computed twice, so equal up to rounding
            np.testing.assert_allclose(one[name], other[name], rtol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# -- drop-in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scoring": ["accuracy", "f1_macro"], "refit": "f1_macro", "return_train_score": True},
        {"cv": 3, "n_jobs": 2},
        {"refit": False, "scoring": "balanced_accuracy"},
        {"scoring": {"a": make_scorer(accuracy_score), "b": "accuracy"}, "refit": "b"},
    ],
)
def test_the_whole_grid_equals_grid_search(iris, settings):
    ours = MetaLearnedSearchCV(SVC(), param_grid=GRID, n_iter="all", **settings).fit(*iris)
    theirs = GridSearchCV(SVC(), GRID, **settings).fit(*iris)
    _assert_same(_scores(ours), _scores(theirs))
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_index_ == theirs.best_index_
    if settings.get("refit", True):
        np.testing.assert_array_equal(ours.predict(iris[0]), theirs.predict(iris[0]))


@pytest.mark.parametrize("name", ["param_grid", "param_distributions"])
def test_the_space_by_either_name_or_second_position(iris, name):
    by_name = MetaLearnedSearchCV(SVC(), n_iter=4, random_state=0, **{name: SPACE}).fit(*iris)
    second = MetaLearnedSearchCV(SVC(), SPACE, n_iter=4, random_state=0).fit(*iris)
    _assert_same(_scores(by_name), _scores(second))


def test_columns_say_why_each_candidate_was_tried(iris):
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=9, prior=None, random_state=0).fit(*iris)
    results = search.cv_results_
    assert set(results["source"]) == {"initial design", "model"}
    modelled = results["source"] == "model"
    assert np.isfinite(results["predicted_mean_score"][modelled]).all()
    assert (results["predicted_std_score"][modelled] > 0).all()
    assert len({tuple(p.items()) for p in results["params"]}) == 9
    assert search.stopped_by_ == "n_iter"
    assert search.best_score_ == results["mean_test_score"].max()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_one_seed_gives_one_result_for_any_parallelism(iris, batch_size):
    searches = []
    for n_jobs, backend in [(None, "loky"), (2, "loky"), (2, "threading")]:
        with joblib.parallel_config(backend):
            search = MetaLearnedSearchCV(
                SVC(), SPACE, n_iter=8, batch_size=batch_size, n_jobs=n_jobs, random_state=3
            )
            searches.append(_scores(search.fit(*iris)))
    _assert_same(searches[0], searches[1])
    _assert_same(searches[0], searches[2])


def test_every_candidate_is_scored_on_the_same_folds(iris):
    search = MetaLearnedSearchCV(
        DummyClassifier(strategy="most_frequent"),
        {"random_state": randint(0, 10**6)},
        n_iter=6,
        cv=ShuffleSplit(3, test_size=0.3),  # unseeded: drawn anew each time it is asked
        random_state=0,
    ).fit(*iris)
    for fold in range(3):
        assert len(set(search.cv_results_[f"split{fold}_test_score"])) == 1


def test_a_pipeline_with_a_choice_of_steps(iris):
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", SVC())])
    space = [
        {"clf": [SVC()], "clf__C": loguniform(1e-2, 1e2), "scale": ["passthrough", None]},
        {"clf": [LogisticRegression(max_iter=500)], "clf__C": loguniform(1e-2, 1e2)},
    ]
    search = MetaLearnedSearchCV(pipeline, space, n_iter=12, random_state=0).fit(*iris)
    kinds = {type(params["clf"]) for params in search.cv_results_["params"]}
    assert kinds == {SVC, LogisticRegression}
    assert search.cv_results_["param_scale"].mask.any()
    assert search.best_score_ > 0.9


def test_frames_words_and_set_output(iris):
    frame = pd.DataFrame(iris[0], columns=list("abcd")).assign(word=["x", "y"] * 75)
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["word"]), remainder="passthrough"
    )
    pipeline = make_pipeline(columns, StandardScaler(), LogisticRegression(max_iter=500))
    pipeline.set_output(transform="pandas")
    search = MetaLearnedSearchCV(
        pipeline, {"logisticregression__C": loguniform(0.01, 10)}, n_iter=3, random_state=0
    )
    search.fit(frame, pd.Series(iris[1]))
    assert list(search.feature_names_in_) == list(frame.columns)
    assert isinstance(search.best_estimator_[:-1].transform(frame), pd.DataFrame)
    assert search.predict(frame).shape == (150,)
    assert "MetaLearnedSearchCV" in search._repr_html_()


def test_sparse_and_pairwise_input_and_groups(iris, path):
    X, y = iris
    settings = {"n_iter": 4, "random_state": 0, "history": path}
    MetaLearnedSearchCV(SVC(), SPACE, **settings).fit(sp.csr_matrix(X), y)
    kernel = MetaLearnedSearchCV(SVC(kernel="precomputed"), {"C": SPACE["C"]}, **settings)
    assert kernel.fit(X @ X.T, y).best_score_ > 0.9
    groups = np.arange(150) % 5
    grouped = MetaLearnedSearchCV(SVC(), SPACE, cv=GroupKFold(5), **settings)
    assert grouped.fit(X, y, groups=groups).n_splits_ == 5
    weighted = MetaLearnedSearchCV(SVC(), SPACE, **settings)
    weighted.fit(X, y, sample_weight=np.ones(150))
    assert len(SearchHistory(path)) == 4  # four different searches
    assert weighted.n_resumed_ == 0


def test_clone_pickle_and_repr(iris, path):
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=4, history=SearchHistory(path))
    copy = clone(search).fit(*iris)
    again = pickle.loads(pickle.dumps(copy))
    np.testing.assert_array_equal(again.predict(iris[0]), copy.predict(iris[0]))
    assert repr(search).startswith("MetaLearnedSearchCV(estimator=SVC()")
    assert clone(again).set_params(estimator__C=3).estimator.C == 3


# -- metrics, failures -----------------------------------------------------------------------


def test_the_metric_to_maximise_is_the_one_refit_names(path):
    X, y = load_breast_cancer(return_X_y=True)
    search = MetaLearnedSearchCV(
        make_pipeline(StandardScaler(), SVC()),
        {"svc__C": loguniform(1e-4, 1e4)},
        scoring={"precise": "precision", "plain": "accuracy"},
        refit="plain",
        n_iter=6,
        cv=3,
        history=path,
        random_state=0,
    ).fit(X, y)
    [past] = SearchHistory(path).searches()
    assert past.metric == "accuracy"
    np.testing.assert_allclose(past.scores, search.cv_results_["mean_test_plain"])
    [precise] = SearchHistory(path).searches(metric="precision")
    np.testing.assert_allclose(precise.scores, search.cv_results_["mean_test_precise"])


@pytest.mark.parametrize("refit", [False, lambda results: 2])
def test_without_a_named_metric_the_first_one_is_maximised(iris, refit):
    search = MetaLearnedSearchCV(
        SVC(), SPACE, scoring=["accuracy", "f1_macro"], refit=refit, n_iter=6, random_state=0
    ).fit(*iris)
    first = MetaLearnedSearchCV(SVC(), SPACE, scoring="accuracy", n_iter=6, random_state=0)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_accuracy"], first.fit(*iris).cv_results_["mean_test_score"]
    )


def two_scores(estimator, X, y):
    accuracy = estimator.score(X, y)
    return {"hit": accuracy, "miss": -(1 - accuracy)}


def test_a_callable_that_returns_several_metrics(iris, path):
    settings = {"scoring": two_scores, "refit": "miss", "n_iter": 5, "history": path}
    search = MetaLearnedSearchCV(SVC(), SPACE, random_state=0, **settings).fit(*iris)
    assert search.multimetric_
    again = MetaLearnedSearchCV(SVC(), SPACE, random_state=1, **settings).fit(*iris)
    assert again.n_resumed_ == 5
    for name in ("hit", "miss"):
        np.testing.assert_array_equal(
            again.cv_results_[f"mean_test_{name}"], search.cv_results_[f"mean_test_{name}"]
        )


class Picky(Counted):
    """Fails for large values."""

    def fit(self, X, y):
        if self.quality > 0.5:
            raise ValueError("too large")
        return super().fit(X, y)


@pytest.mark.parametrize("error_score", [np.nan, -5.0])
def test_failed_candidates_are_recorded_and_avoided(iris, counted, path, error_score):
    settings = {"n_iter": 15, "error_score": error_score, "history": path, "random_state": 0}
    search = MetaLearnedSearchCV(Picky(), {"quality": np.linspace(0, 1, 400)}, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(*iris)
    failed = np.array([p["quality"] > 0.5 for p in search.cv_results_["params"]])
    assert 0 < failed.sum() < 8
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"][failed], np.full(failed.sum(), error_score)
    )
    # Told once, as by a search that evaluates all at once.
    assert sum(w.category is FitFailedWarning for w in caught) == 1
    evaluations = SearchHistory(path).evaluations(1)
    assert [e.error is not None for e in evaluations] == failed.tolist()
    assert all("too large" in e.error for e, bad in zip(evaluations, failed, strict=True) if bad)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = clone(search).fit(*iris)
    _assert_same(
        {k: v for k, v in _scores(search).items() if "predicted" not in k},
        {k: v for k, v in _scores(again).items() if "predicted" not in k},
    )


def test_a_search_whose_fits_all_fail_raises(iris, counted):
    search = MetaLearnedSearchCV(Picky(), {"quality": loguniform(0.6, 1)}, n_iter=3)
    with pytest.raises(ValueError, match=r"All the 15 fits failed[\s\S]*too large"):
        search.fit(*iris)


# -- remembering -----------------------------------------------------------------------------


def test_each_candidate_is_on_record_when_its_last_fold_is(iris, counted, path):
    counted.at = {8: _raise(RuntimeError("power cut"))}
    settings = {"n_iter": 6, "cv": 3, "history": path, "random_state": 0}
    search = MetaLearnedSearchCV(counted(), {"quality": loguniform(0.01, 1)}, **settings)
    with pytest.raises(RuntimeError, match="power cut"):
        search.set_params(error_score="raise").fit(*iris)
    assert len(SearchHistory(path).evaluations(1)) == 2

    counted.fits, counted.at = [], {}
    search.set_params(error_score=np.nan, random_state=1).fit(*iris)
    assert search.n_resumed_ == 2
    assert len(counted.fits) == 4 * 3 + 1  # what was missing, and the refit
    assert len(SearchHistory(path)) == 1


def test_a_finished_search_is_not_evaluated_again(iris, counted, path):
    settings = {"n_iter": 6, "cv": 3, "history": path}
    space = {"quality": loguniform(0.01, 1)}
    first = MetaLearnedSearchCV(counted(), space, random_state=0, **settings).fit(*iris)
    counted.fits = []
    again = MetaLearnedSearchCV(counted(), space, random_state=5, **settings).fit(*iris)
    assert len(counted.fits) == 1
    for name, column in first.cv_results_.items():
        if "predicted" not in name:
            np.testing.assert_array_equal(again.cv_results_[name], column)
    counted.fits = []
    longer = MetaLearnedSearchCV(counted(), space, random_state=5, **settings)
    longer.set_params(n_iter=8).fit(*iris)
    assert len(counted.fits) == 2 * 3 + 1
    assert longer.n_resumed_ == 6


def test_a_grid_resumes_too(iris, counted, path):
    grid = {"quality": [0.1, 0.2, 0.3, 0.4]}
    settings = {"n_iter": "all", "cv": 2, "history": path}
    counted.at = {6: _raise(KeyboardInterrupt())}
    search = MetaLearnedSearchCV(counted(), grid, **settings)
    with pytest.warns(SearchStoppedWarning, match="after 2 of 4 candidates"):
        search.fit(*iris)
    assert search.stopped_by_ == "interrupt"
    assert [p["quality"] for p in search.cv_results_["params"]] == [0.1, 0.2]
    counted.fits, counted.at = [], {}
    search.fit(*iris)
    assert len(counted.fits) == 2 * 2 + 1
    _assert_same(_scores(search), _scores(GridSearchCV(counted(), grid, cv=2).fit(*iris)))


@pytest.mark.parametrize(
    "change",
    [
        {"cv": 4},
        {"scoring": "f1_macro"},
        {"param_distributions": {**SPACE, "C": loguniform(1e-3, 1e2)}},
        {"estimator": SVC(kernel="poly")},
        {"cv": KFold(3, shuffle=True)},
    ],
)
def test_another_search_does_not_resume(iris, path, change):
    settings = {"n_iter": 4, "cv": 3, "history": path, "random_state": 0}
    MetaLearnedSearchCV(SVC(), SPACE, **settings).fit(*iris)
    other = MetaLearnedSearchCV(SVC(), SPACE, **settings).set_params(**change).fit(*iris)
    assert other.n_resumed_ == 0
    assert len(SearchHistory(path)) == 2


def test_other_data_do_not_resume_and_learn_a_prior(iris, path):
    pipeline = Pipeline([("a", StandardScaler()), ("b", SVC())])
    MetaLearnedSearchCV(
        pipeline,
        {"b__C": SPACE["C"], "b__gamma": SPACE["gamma"]},
        n_iter=12,
        history=path,
        random_state=0,
    ).fit(*load_wine(return_X_y=True))
    # Another name of the step, another range, another parameter more.
    search = MetaLearnedSearchCV(
        make_pipeline(StandardScaler(), SVC()),
        {
            "svc__C": loguniform(1e-2, 1e4),
            "svc__gamma": SPACE["gamma"],
            "svc__kernel": ["rbf", "poly"],
        },
        n_iter=6,
        history=path,
        prior="history",
        random_state=0,
    ).fit(*iris)
    assert search.n_resumed_ == 0
    assert len(search.prior_) == 1
    assert {"SVC.C", "SVC.gamma"} <= set(search.prior_.parameters)
    assert len(search.prior_report_["datasets"]) == 1
    other = MetaLearnedSearchCV(
        Ridge(), {"alpha": SPACE["C"]}, n_iter=3, history=path, prior="history"
    )
    assert other.fit(*iris).prior_ is None  # nothing is known of this estimator


def test_same_data_can_be_left_out(iris, path):
    X, y = iris
    MetaLearnedSearchCV(SVC(), SPACE, n_iter=6, history=path, random_state=0).fit(X, y)
    settings = {
        "n_iter": 4,
        "history": ReadOnlyHistory(path),
        "prior": "history",
        "random_state": 0,
    }
    part = MetaLearnedSearchCV(SVC(), SPACE, **settings).fit(X[:140], y[:140])
    assert len(part.prior_) == 1
    left_out = MetaLearnedSearchCV(SVC(), SPACE, exclude_same_data=True, **settings)
    assert left_out.fit(X[:140], y[:140]).prior_ is None
    other = load_wine(return_X_y=True)
    assert len(left_out.fit(*other).prior_) == 1


def test_a_read_only_history_is_read_and_not_written(iris, path):
    MetaLearnedSearchCV(SVC(), SPACE, n_iter=6, history=path, random_state=0).fit(
        *load_wine(return_X_y=True)
    )
    before = SearchHistory(path).version_token()
    search = MetaLearnedSearchCV(
        SVC(), SPACE, n_iter=4, history=ReadOnlyHistory(path), prior="history", random_state=0
    )
    scores = cross_val_score(search, *iris, cv=3, n_jobs=2)
    assert (scores > 0.8).all()
    assert SearchHistory(path).version_token() == before
    assert len(search.fit(*iris).prior_) == 1


def test_the_default_history(iris, path):
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=3, random_state=0)
    with use_history(path):
        search.fit(*iris)
        clone(search).set_params(history=False).fit(iris[0][:100], iris[1][:100])
    search.fit(iris[0][:90], iris[1][:90])
    assert len(SearchHistory(path)) == 1


def _past(dataset, shift, scores=None):
    values = np.geomspace(1e-3, 1e3, 25)
    return PastSearch(
        dataset=dataset,
        configurations=tuple({"SVC.C": float(c), "SVC.gamma": 0.1} for c in values),
        scores=-((np.log10(values) - shift) ** 2) if scores is None else scores,
        metric="accuracy",
        estimator="SVC",
    )


def test_a_prior_of_the_users_own(iris, tmp_path):
    prior = SearchPrior.from_searches([_past("a", 1.0), _past("b", 1.2), _past("c", 0.9)])
    search = MetaLearnedSearchCV(SVC(), {"C": SPACE["C"]}, n_iter=1, prior=prior, random_state=0)
    search.fit(*iris)
    assert search.prior_ is prior
    assert 0.5 < np.log10(search.best_params_["C"]) < 1.5
    prior.save(tmp_path / "prior")
    [saved] = tmp_path.iterdir()
    loaded = clone(search).set_params(prior=saved).fit(*iris)
    assert loaded.best_params_ == search.best_params_
    plain = clone(search).set_params(prior=None).fit(*iris)
    assert plain.prior_ is None


def test_a_failing_history_never_costs_the_search(iris, counted, path):
    class Failing(SearchHistory):
        def record(self, search_id, evaluation):
            raise OSError("No space left on device")

        def finish(self, search_id):
            raise OSError("No space left on device")

    search = MetaLearnedSearchCV(counted(), {"quality": loguniform(0.01, 1)}, n_iter=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.set_params(history=Failing(path)).fit(*iris)
    assert len(search.cv_results_["params"]) == 4
    told = [str(w.message) for w in caught if w.category is HistoryWarning]
    assert len(told) == 1
    assert "No space left on device" in told[0]


def test_a_history_of_nothing_but_failures_is_no_prior(iris, path):
    history = SearchHistory(path)
    history.add(SVC(), [{"C": 1.0}, {"C": 2.0}], [np.nan, np.nan], dataset="bad")
    search = MetaLearnedSearchCV(
        SVC(), SPACE, n_iter=3, history=history, prior="history", random_state=0
    )
    assert search.fit(*iris).prior_ is None


# -- stopping --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2])
def test_ctrl_c_keeps_the_best_so_far(iris, counted, batch_size):
    counted.at = {12: _raise(KeyboardInterrupt())}  # the third fold of the fourth candidate
    search = MetaLearnedSearchCV(
        counted(), {"quality": loguniform(0.01, 1)}, n_iter=10, cv=3, batch_size=batch_size
    )
    with pytest.warns(SearchStoppedWarning, match="interrupted after 3 of 10 candidates"):
        search.fit(*iris)
    assert search.stopped_by_ == "interrupt"
    assert len(search.cv_results_["params"]) == 3
    assert search.best_estimator_.quality == search.best_params_["quality"]


def test_ctrl_c_before_the_first_candidate_is_a_ctrl_c(iris, counted):
    counted.at = {2: _raise(KeyboardInterrupt())}
    search = MetaLearnedSearchCV(counted(), {"quality": loguniform(0.01, 1)}, cv=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(*iris)


@pytest.mark.parametrize("n_iter", ["all", 40])
def test_time_budget(iris, counted, monkeypatch, n_iter):
    clock = iter(range(10**6))  # each look at the clock is a second
    monkeypatch.setattr(skmeta.search._recorder, "time", _Clock(clock))
    search = MetaLearnedSearchCV(
        counted(), {"quality": np.linspace(0.01, 1, 50)}, n_iter=n_iter, cv=3
    )
    search.set_params(time_budget=time.monotonic() + 25).fit(*iris)
    assert search.stopped_by_ == "time_budget"
    assert 5 < len(search.cv_results_["params"]) < 15
    assert hasattr(search, "best_estimator_")


class _Clock:
    def __init__(self, ticks):
        self._start = time.monotonic() * 2
        self._ticks = ticks

    def monotonic(self):
        return self._start + next(self._ticks)


def test_the_smallest_budget_still_gives_a_model(iris):
    search = MetaLearnedSearchCV(SVC(), SPACE, n_iter=50, time_budget=1e-9, random_state=0)
    assert len(search.fit(*iris).cv_results_["params"]) == 1
    assert search.predict(iris[0]).shape == (150,)


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"param_grid": GRID}, SearchSpaceError, "both were given"),
        ({"param_distributions": {}}, SearchSpaceError, "names no parameter"),
        ({"param_distributions": {"C": []}}, SearchSpaceError, "non-empty sequence"),
        ({"param_distributions": {"c": [1]}}, SearchSpaceError, "Did you mean 'C'"),
        ({"n_iter": "all"}, SearchSpaceError, "'C' has a distribution"),
        ({"n_iter": 0}, ValueError, "'n_iter' parameter"),
        ({"n_iter": "some"}, ValueError, "'n_iter' parameter"),
        ({"batch_size": 0}, ValueError, "'batch_size' parameter"),
        ({"time_budget": 0}, ValueError, "'time_budget' parameter"),
        ({"history": True}, ValueError, "does not say where to keep it"),
        ({"history": 3}, ValueError, "'history' parameter"),
        ({"prior": 3}, ValueError, "'prior' parameter"),
        ({"scoring": "acuracy"}, ValueError, "scoring"),
    ],
)
def test_bad_settings_are_told_before_any_fit(iris, counted, settings, error, match):
    estimator = SVC()
    search = MetaLearnedSearchCV(estimator, SPACE).set_params(**settings)
    with pytest.raises(error, match=match):
        search.fit(*iris)


def test_more_candidates_than_there_are(iris):
    search = MetaLearnedSearchCV(SVC(), GRID, n_iter=7)
    with pytest.warns(UserWarning, match="smaller than n_iter=7"):
        search.fit(*iris)
    assert len(search.cv_results_["params"]) == 6


def test_a_foreign_file_is_told_before_any_fit(iris, counted, path):
    path.write_text("this is not a database, but a note to myself")
    search = MetaLearnedSearchCV(counted(), {"quality": loguniform(0.01, 1)}, history=path)
    with pytest.raises(HistoryFormatError):
        search.fit(*iris)
    assert counted.fits == []
    assert path.read_text().startswith("this is not")
