"""What a worker process of a search imports."""

import subprocess
import sys

import pytest

SEARCH = """
import sys
import warnings
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier
from skmeta.search import MetaLearnedSearchCV

def is_imported(estimator, X, y):
    return float("skmeta.search" in sys.modules or "sqlalchemy" in sys.modules)

if __name__ == "__main__":
    warnings.simplefilter("error")
    for n_jobs in (1, 2):
        search = MetaLearnedSearchCV(
            KNeighborsClassifier(), param_grid={"n_neighbors": [1, 2]}, cv=2, history=None,
            scoring=is_imported, n_jobs=n_jobs,
        ).fit(*load_iris(return_X_y=True))
        print(int(search.best_score_))
"""


@pytest.mark.slow  # It starts processes that start others.
def test_a_worker_does_not_import_the_searches():
    ended = subprocess.run([sys.executable, "-c", SEARCH], stdout=subprocess.PIPE, check=True)
    assert ended.stdout.split() == [b"1", b"0"]  # one process, then workers
