"""Searches in a local file store of the real MLflow."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier

from skmeta.search import MetaLearnedSearchCV

mlflow = pytest.importorskip("mlflow")

from skmeta.bridges.mlflow import log_search  # noqa: E402


class Shaky(KNeighborsClassifier):
    def fit(self, X, y):
        if self.n_neighbors == 2:
            raise ValueError("two is refused")
        return super().fit(X, y)


@pytest.fixture
def uri(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "runs").as_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("flowers")
    yield uri
    mlflow.set_tracking_uri(None)


def children(client, run_id):
    [experiment] = {client.get_run(run_id).info.experiment_id}
    found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return sorted(found, key=lambda run: int(run.info.run_name.split()[1]))


def test_candidates_are_nested_runs(uri, iris):
    search = MetaLearnedSearchCV(
        KNeighborsClassifier(), {"n_neighbors": [1, 5, 9, 11]}, n_iter=3, cv=3, random_state=0
    ).fit(*iris)
    run_id = log_search(search)
    client = mlflow.MlflowClient(tracking_uri=uri)
    parent = client.get_run(run_id)
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "KNeighborsClassifier"
    assert client.get_experiment(parent.info.experiment_id).name == "flowers"
    assert parent.data.tags["search"] == "MetaLearnedSearchCV"
    assert parent.data.metrics["best_score"] == search.best_score_
    best = search.best_params_["n_neighbors"]
    assert parent.data.params["best_n_neighbors"] == str(best)
    so_far = [point.value for point in client.get_metric_history(run_id, "best_so_far")]
    np.testing.assert_array_equal(
        so_far, np.maximum.accumulate(search.cv_results_["mean_test_score"])
    )
    assert [item.path for item in client.list_artifacts(run_id)] == ["report.html"]
    runs = children(client, run_id)
    assert len(runs) == 3
    for k, run in enumerate(runs):
        results = search.cv_results_
        assert run.data.params == {"n_neighbors": str(results["params"][k]["n_neighbors"])}
        assert run.data.metrics["mean_test_score"] == results["mean_test_score"][k]
        assert run.data.tags["source"] == results["source"][k]
        folds = client.get_metric_history(run.info.run_id, "test_score")
        assert [(point.step, point.value) for point in folds] == [
            (i, results[f"split{i}_test_score"][k]) for i in range(3)
        ]


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores"
)
def test_a_search_of_scikit_learn_and_a_failed_fit(uri, iris):
    search = GridSearchCV(
        Shaky(),
        {"n_neighbors": [1, 2]},
        scoring=["accuracy", "neg_log_loss"],
        refit="accuracy",
        cv=2,
    ).fit(*iris)
    run_id = log_search(search, run_name="grid")
    client = mlflow.MlflowClient(tracking_uri=uri)
    assert client.get_run(run_id).info.run_name == "grid"
    assert client.list_artifacts(run_id) == []
    good, bad = children(client, run_id)
    assert (good.info.status, bad.info.status) == ("FINISHED", "FAILED")
    assert "mean_test_neg_log_loss" in good.data.metrics
    assert "mean_test_accuracy" not in bad.data.metrics


def test_a_candidate_that_racing_stopped(uri, iris):
    search = MetaLearnedSearchCV(
        KNeighborsClassifier(),
        {"n_neighbors": [5, 6, 7, 100]},
        n_iter=4,
        cv=5,
        racing=True,
        random_state=0,
    ).fit(*iris)
    stopped = search.cv_results_["n_folds"] < 5
    assert stopped.any()
    run_id = log_search(search, report=False)
    statuses = [run.info.status for run in children(mlflow.MlflowClient(uri), run_id)]
    assert statuses == ["KILLED" if one else "FINISHED" for one in stopped]


def test_the_run_is_nested_in_an_open_one(uri, iris):
    with mlflow.start_run() as open_run:
        search = GridSearchCV(DummyClassifier(), {"random_state": [0]}, cv=2).fit(*iris)
        run_id = log_search(search)
    found = mlflow.MlflowClient().get_run(run_id)
    assert found.data.tags["mlflow.parentRunId"] == open_run.info.run_id


def test_a_search_that_is_not_fitted(uri):
    with pytest.raises(NotFittedError, match="not fitted"):
        log_search(GridSearchCV(DummyClassifier(), {"random_state": [0]}))


def test_a_run_that_cannot_be_logged_has_failed(uri, iris):
    search = GridSearchCV(DummyClassifier(), {"random_state": [0]}, cv=2).fit(*iris)
    search.cv_results_["split0_test_score"] = ["no number"]
    with pytest.raises(ValueError, match="could not convert"):
        log_search(search)
    runs = mlflow.search_runs(output_format="list")
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FAILED"
    assert mlflow.active_run() is None
