"""What README says of plain models, on the data of its cards."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import RandomizedSearchCV, StratifiedShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from skmeta.search import default_search_space

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (RandomForestClassifier(random_state=0), "A random forest has {:.3f}"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "a logistic regression {:.3f}"),
    ],
)
def test_plain_models_on_twenty_wines(model, sentence):
    X, y = load_wine(return_X_y=True, as_frame=True)
    twenty = StratifiedShuffleSplit(10, train_size=20, random_state=0)
    found = cross_val_score(model, X, y, cv=twenty).mean()
    assert sentence.format(found) in README


def test_a_random_search_on_the_wines():
    X, y = load_wine(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), SVC())
    search = RandomizedSearchCV(pipe, default_search_space(pipe), n_iter=10, random_state=0)
    assert f"The random search has {search.fit(X, y).best_score_:.3f}" in README


def test_a_ridge_regression_in_new_schools():
    pupils = pd.read_csv(ROOT / "examples/schools/exam.csv.gz").sample(frac=1, random_state=0)
    X, y = pupils[["school", "standLRT", "schavg"]], pupils["normexam"]
    old = X["school"] <= 50
    few = ~old & (X.groupby("school").cumcount() < 10)
    rest = ~old & ~few
    one_hot = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["school"]), remainder="passthrough"
    )
    model = make_pipeline(one_hot, RidgeCV())
    scores = [model.fit(X[rows], y[rows]).score(X[rest], y[rest]) for rows in (old, old | few)]
    assert "is as good here" in README
    np.testing.assert_allclose(scores, [0.39, 0.45], atol=0.01)  # as the card prints of ours
