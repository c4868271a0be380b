"""What README says of plain models, on the data of its cards."""

import json
from pathlib import Path

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import RandomizedSearchCV, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from skmeta.search import default_search_space

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (RandomForestRegressor(random_state=0), "a random forest has {:.2f}"),
        (RidgeCV(), "a ridge regression {:.2f}"),
    ],
)
def test_plain_models_on_twenty_penguins(model, sentence):
    penguins = pd.read_csv(ROOT / "examples/tables/penguins.csv.gz")
    X, y = penguins.drop(columns="body_mass"), penguins["body_mass"]
    front = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["species", "island", "sex"]),
        remainder=make_pipeline(SimpleImputer(), StandardScaler()),
    )
    twenty = ShuffleSplit(10, train_size=20, random_state=0)
    score = cross_val_score(make_pipeline(front, model), X, y, cv=twenty).mean()
    assert sentence.format(score) in " ".join(README.split())


def test_the_searches_over_seeds():
    path = ROOT / "benchmarks/results/readme_search.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    low, high = record["interval"]
    sentence = (
        f"Over {record['seeds']} seeds it is {record['ours']:.3f} on average, and that of the "
        f"random search {record['random']:.3f}; the difference is {record['difference']:.3f} (95% "
        f"interval {low:.3f} to {high:.3f})."
    )
    assert sentence in " ".join(README.split())


def test_a_random_search_of_the_card():
    X, y = load_breast_cancer(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), SVC())
    search = RandomizedSearchCV(pipe, default_search_space(pipe), n_iter=10, random_state=0)
    record = json.loads((ROOT / "benchmarks/results/readme_search.json").read_text("utf-8"))
    first = record["first seed"]["random"]
    assert search.fit(X, y).best_score_ == pytest.approx(first, abs=1e-3)


def test_plain_models_of_new_chicks():
    weighings = pd.read_csv(ROOT / "examples/grouped/chicks.csv.gz")
    X, y = weighings[["chick", "day", "diet"]], weighings["weight"]
    new = X["chick"] % 3 == 0
    later = new & (X["day"] > 8)
    one_hot = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["chick", "diet"]),
        remainder="passthrough",
        sparse_threshold=0,
    )

    def score(model, rows):
        return make_pipeline(one_hot, model).fit(X[rows], y[rows]).score(X[later], y[later])

    before, after = score(RidgeCV(), ~new), score(RidgeCV(), ~later)
    text = " ".join(README.split())
    assert f"better for these chicks before they are weighed ({before:.2f})" in text
    assert f"it has {after:.2f}, and a random forest" in text
    assert f"a random forest {score(RandomForestRegressor(random_state=0), ~later):.2f}" in text
