"""Scores on record that were altered are not taken for one's own."""

import random
import re
import sqlite3
import warnings

from scipy.stats import loguniform
from sklearn.svm import SVC

from skmeta.exceptions import HistoryWarning
from skmeta.search import MetaLearnedSearchCV

SPACE = {"C": loguniform(1e-2, 1e2), "gamma": loguniform(1e-3, 1e1)}


def make(estimator, space, history, **settings):
    settings = {"n_iter": 4, "cv": 3, "prior": None, "random_state": 0, "refit": False} | settings
    return MetaLearnedSearchCV(estimator, space, history=history, **settings)


def folds(search):
    """Scores of each candidate, by fold."""
    columns = [search.cv_results_[f"split{k}_test_score"].tolist() for k in range(3)]
    return list(zip(*columns, strict=True))


def fit(search, *data):
    """Fit a search, and return it with the warnings about its history."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(*data)
    return search, [str(w.message) for w in caught if w.category is HistoryWarning]


def record(iris, path):
    return make(SVC(), SPACE, path, n_iter=8).fit(*iris)


def test_an_edited_score_is_evaluated_again(iris, path):
    first = record(iris, path)
    worst = int(first.cv_results_["mean_test_score"].argmin())
    with sqlite3.connect(path) as connection:
        values = '{"accuracy":[1.0,1.0,1.0]}', worst + 1
        connection.execute("UPDATE skmeta_candidate SET scores = ? WHERE id = ?", values)
    connection.close()
    found, told = fit(make(SVC(), SPACE, path, n_iter=8), *iris)
    assert "candidate" in told[0]
    assert "a value was changed after it was recorded" in told[0]
    assert found.n_resumed_ == 7
    assert found.best_score_ == first.best_score_
    assert sorted(found.cv_results_["mean_test_score"]) == sorted(
        first.cv_results_["mean_test_score"]
    )


def test_no_flipped_bit_changes_a_result_in_silence(iris, path):
    first = record(iris, path)
    scores = dict(zip(map(str, first.cv_results_["params"]), folds(first), strict=True))
    sound = path.read_bytes()
    rows = [*re.finditer(rb'\{"accuracy":\[[0-9.,]+\]\}', sound)]
    rows += [*re.finditer(rb'\{"digest":"[^}]*\}', sound)]
    places = [p for row in rows for p in range(row.start(), row.end())]
    draw = random.Random(0)
    for _ in range(15):
        damaged = bytearray(sound)
        damaged[draw.choice(places)] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        found, told = fit(make(SVC(), SPACE, path, n_iter=8), *iris)
        ours = dict(zip(map(str, found.cv_results_["params"]), folds(found), strict=True))
        assert told or ours == scores
