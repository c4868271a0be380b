"""A finished search in MLflow: one run for the search, and a nested run for each candidate.

    pip install mlflow-skinny
    python examples/search/log_to_mlflow.py
    mlflow ui --backend-store-uri sqlite:///mlflow.db

``log_search`` takes a search of skmeta or of scikit-learn. Copy it, and log what you need. Runs go
to the tracking server and the experiment that are set; a URL may stand in place of the database.
"""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from skmeta import MetaLearnedSearchCV


def log_search(search, run_name=None):
    """Log a fitted search with its candidates; return the identifier of its run."""
    results = search.cv_results_
    # Names of measured columns: scores of folds, their means and deviations, and times.
    columns = [n for n in results if not n.startswith("param") and results[n].dtype.kind in "iuf"]
    name = run_name or type(search.estimator).__name__
    with mlflow.start_run(run_name=name, nested=True) as run:
        mlflow.log_params({f"best_{name}": value for name, value in search.best_params_.items()})
        mlflow.log_metric("best_score", search.best_score_)
        if isinstance(search, MetaLearnedSearchCV):
            with TemporaryDirectory() as folder:
                mlflow.log_artifact(str(search.report(Path(folder) / "report.html")))
        for k, params in enumerate(results["params"]):
            with mlflow.start_run(run_name=f"candidate {k}", nested=True):
                mlflow.log_params(params)
                values = {column: float(results[column][k]) for column in columns}
                mlflow.log_metrics({n: v for n, v in values.items() if math.isfinite(v)})
    return run.info.run_id


if __name__ == "__main__":
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("iris")
    search = MetaLearnedSearchCV(SVC(), n_iter=10, random_state=0).fit(*load_iris(return_X_y=True))
    print(log_search(search))
