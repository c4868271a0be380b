"""Runs and flows in files that the real package openml reads and writes, without the network."""

import socket

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skmeta.exceptions import HistoryFormatError
from skmeta.search import MetaLearnedSearchCV, SearchHistory

openml = pytest.importorskip("openml")

from skmeta.bridges.openml import _value, add_run, write_run  # noqa: E402

PIPE = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0))
SPACE = {
    "decisiontreeclassifier__max_depth": [1, 2, 3, None],
    "decisiontreeclassifier__criterion": ["gini", "entropy"],
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def search(iris):
    return MetaLearnedSearchCV(
        PIPE, SPACE, n_iter=5, cv=3, random_state=0, return_predictions="predict_proba"
    ).fit(*iris)


@pytest.fixture
def folder(search, iris, tmp_path):
    return write_run(search, tmp_path / "run", iris[1], task_id=59, run_details="chosen here")


def test_a_run_is_read_by_the_package(search, folder, iris):
    run = openml.runs.OpenMLRun.from_filesystem(folder, expect_model=False)
    assert run.task_id == 59
    assert run.run_details == "chosen here"
    assert run.flow_name.startswith("sklearn.pipeline.Pipeline(")
    best = search.best_index_
    found = run.fold_evaluations["predictive_accuracy"][0]
    assert found == {k: search.cv_results_[f"split{k}_test_score"][best] for k in range(3)}
    # The predictions, fold by fold, have the scores that the run has.
    rows = run.data_content
    for k, (_, test) in enumerate(StratifiedKFold(3).split(*iris)):
        part = [row for row in rows if row[1] == k]
        assert sorted(row[3] for row in part) == sorted(test)
        assert accuracy_score([row[5] for row in part], [row[4] for row in part]) == found[k]
        assert all(int(row[5]) == iris[1][int(row[3])] for row in part)
        np.testing.assert_allclose([sum(row[6:]) for row in part], 1)
    assert run.trace.get_selected_iteration(fold=1, repeat=0) == best
    flow = openml.flows.OpenMLFlow.from_filesystem(folder)
    model = flow.extension.flow_to_model(flow)
    for name, value in search.best_params_.items():
        assert model.get_params()[name] == value


def test_candidates_come_back_into_a_history(search, folder):
    history = add_run(SearchHistory(), folder, PIPE, scoring="accuracy")
    [past] = history.searches(metric="accuracy")
    assert past.dataset == "openml task 59"
    assert past.estimator == "DecisionTreeClassifier"
    expected = {
        (
            params["decisiontreeclassifier__max_depth"],
            params["decisiontreeclassifier__criterion"],
        ): s
        for params, s in zip(
            search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
        )
    }
    found = {
        (c["DecisionTreeClassifier.max_depth"], c["DecisionTreeClassifier.criterion"]): s
        for c, s in zip(past.configurations, past.scores, strict=True)
    }
    assert found == pytest.approx(expected)


def test_a_run_without_a_trace_has_one_configuration(search, folder):
    (folder / "trace.arff").unlink()
    history = add_run(SearchHistory(), folder, PIPE, scoring="accuracy", dataset="iris")
    [past] = history.searches(metric="accuracy")
    assert past.scores[0] == pytest.approx(search.best_score_)
    [configuration] = past.configurations
    depth = search.best_params_["decisiontreeclassifier__max_depth"]
    assert configuration["DecisionTreeClassifier.max_depth"] == depth
    with pytest.raises(HistoryFormatError, match="no fold's 'area_under_roc_curve'"):
        add_run(history, folder, PIPE, scoring="roc_auc")


def test_a_run_of_the_server_names_parameters_by_the_number_of_the_flow(folder):
    (folder / "trace.arff").unlink()
    flow = (folder / "flow.xml").read_text()
    head, _, tail = flow.partition("<oml:identifier>decisiontreeclassifier</oml:identifier>")
    before, _, after = tail.partition("<oml:name>")
    flow = f"{head}<oml:identifier>decisiontreeclassifier</oml:identifier>{before}"
    (folder / "flow.xml").write_text(f"{flow}<oml:id>77</oml:id><oml:name>{after}")
    described = (folder / "description.xml").read_text()
    setting = (
        "<oml:parameter_setting><oml:name>min_samples_leaf</oml:name><oml:value>9</oml:value>"
        "<oml:component>77</oml:component></oml:parameter_setting><oml:output_data>"
    )
    (folder / "description.xml").write_text(described.replace("<oml:output_data>", setting))
    history = add_run(SearchHistory(), folder, PIPE, scoring="accuracy")
    [configuration] = history.searches(metric="accuracy")[0].configurations
    assert configuration["DecisionTreeClassifier.min_samples_leaf"] == 9


def test_candidates_that_differ_between_folds_have_their_means(folder):
    lines = (folder / "trace.arff").read_text().splitlines()
    data = lines.index("@DATA")
    rows = [line for line in lines[data + 1 :] if line and not line.startswith("%")]
    kept = [row for row in rows if row.split(",")[2] != "1" or row.split(",")[1] == "0"]
    (folder / "trace.arff").write_text("\n".join([*lines[: data + 1], *kept]) + "\n")
    history = add_run(SearchHistory(), folder, PIPE, scoring="accuracy")
    assert len(history.searches(metric="accuracy")[0].scores) == 5


def test_a_regression(tmp_path):
    X, y = load_diabetes(return_X_y=True)
    search = MetaLearnedSearchCV(
        Ridge(),
        {"alpha": [0.1, 1.0, 10.0, 100.0]},
        n_iter=3,
        cv=KFold(3, shuffle=True, random_state=1),
        scoring="neg_mean_absolute_error",
        random_state=0,
        return_predictions=True,
    ).fit(X, y)
    folder = write_run(search, tmp_path / "run", y, task_id=1)
    run = openml.runs.OpenMLRun.from_filesystem(folder, expect_model=False)
    errors = run.fold_evaluations["mean_absolute_error"][0]
    for k, (_, test) in enumerate(KFold(3, shuffle=True, random_state=1).split(X)):
        part = [row for row in run.data_content if row[1] == k]
        assert sorted(row[2] for row in part) == sorted(test)
        assert np.mean([abs(row[3] - row[4]) for row in part]) == pytest.approx(errors[k])
    (folder / "trace.arff").unlink()
    history = add_run(SearchHistory(), folder, Ridge(), scoring="neg_mean_absolute_error")
    [past] = history.searches(metric="neg_mean_absolute_error")
    assert past.scores[0] == pytest.approx(search.best_score_)


def test_a_pickled_model_beside_a_run_is_not_loaded(folder, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("it was loaded",))

    import pickle

    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    assert len(add_run(SearchHistory(), folder, PIPE, scoring="accuracy").to_frame()) == 5


class Own(ClassifierMixin, BaseEstimator):
    def __init__(self, label=0):
        self.label = label

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.label)


def test_what_cannot_be_written(search, folder, iris, tmp_path):
    X, y = iris
    with pytest.raises(FileExistsError, match=r"has description\.xml already"):
        write_run(search, folder, y, task_id=59)
    with pytest.raises(ValueError, match="y has 10 rows, but the search has predictions of 150"):
        write_run(search, tmp_path / "a", y[:10], task_id=59)

    def searched(estimator=PIPE, space=SPACE, **settings):
        settings = {"return_predictions": True, "cv": 2, **settings}
        return MetaLearnedSearchCV(estimator, space, n_iter=1, random_state=0, **settings).fit(X, y)

    with pytest.raises(ValueError, match="search with return_predictions=True"):
        write_run(searched(return_predictions=False), tmp_path / "a", y, task_id=59)
    two = searched(scoring=["accuracy", "f1_macro"], refit="accuracy")
    with pytest.raises(ValueError, match="A run has one metric"):
        write_run(two, tmp_path / "a", y, task_id=59)
    with pytest.raises(ValueError, match="shuffles without a seed"):
        write_run(searched(cv=KFold(2, shuffle=True)), tmp_path / "a", y, task_id=59)
    with pytest.raises(ValueError, match="cannot describe Own: "):
        write_run(searched(Own(), {"label": [0, 1]}), tmp_path / "a", y, task_id=59)
    with pytest.raises(ValueError, match="several estimators has no single flow"):
        write_run(searched([PIPE, Own()], None), tmp_path / "a", y, task_id=59)
    assert not (tmp_path / "a").exists()


def test_a_value_that_is_nested_too_deeply_stays_text():
    assert _value("[1, 2]") == [1, 2]
    deep = 100_000 * "["
    assert _value(deep) == deep


def test_what_cannot_be_read(folder, tmp_path):
    def add(path=folder):
        add_run(SearchHistory(), path, PIPE, scoring="accuracy")

    with pytest.raises(HistoryFormatError, match=r"no description\.xml, so it is no run"):
        add(tmp_path)
    (folder / "trace.arff").write_text("@RELATION x\n@ATTRIBUTE a NUMERIC\n@DATA\n1\n")
    with pytest.raises(HistoryFormatError, match="no trace of OpenML"):
        add()
    (folder / "trace.arff").unlink()
    described = (folder / "description.xml").read_text()
    (folder / "description.xml").write_text(described.replace('fold="0"', 'fold="first"'))
    with pytest.raises(HistoryFormatError, match=r"a fold that is no number: .*'first'"):
        add()
    (folder / "flow.xml").unlink()
    with pytest.raises(HistoryFormatError, match=r"neither trace\.arff nor flow\.xml"):
        add()
    (folder / "description.xml").write_text("<a/>")
    with pytest.raises(HistoryFormatError, match="describes no run of OpenML; it begins with a"):
        add()
    (folder / "description.xml").write_text("<a>")
    with pytest.raises(HistoryFormatError, match="is damaged"):
        add()
