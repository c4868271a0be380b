"""Scores on record that were altered, or are impossible, are not taken for one's own."""

import json
import random
import re
import sqlite3
import warnings

import pytest
from scipy.stats import loguniform
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from skmeta.exceptions import HistoryWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search.history import _codec

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


def forge(path, change, row=None):
    """Change a candidate, or all, and sign the rows again, as who knows the format can."""
    history = SearchHistory(path)
    [search] = history
    with sqlite3.connect(path) as connection:
        for number, candidate in enumerate(search.candidates):
            if row is not None and number != row:
                continue
            columns = _codec.candidate_to_row(candidate)
            parsed = {n: json.loads(columns[n]) for n in ("scores", "details")}
            change(parsed)
            columns |= {name: _codec.dump(value) for name, value in parsed.items()}
            signed = _codec.seal(columns, search.record.fingerprint)
            connection.execute(
                "UPDATE skmeta_candidate SET scores = ?, details = ? WHERE key = ?",
                (signed["scores"], signed["details"], columns["key"]),
            )
    connection.close()


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


@pytest.mark.parametrize("score", [1.5, -0.25, float("inf")])
def test_a_score_that_a_metric_cannot_have_is_left_out(iris, path, score):
    record(iris, path)
    forge(path, lambda one: one["scores"].update(accuracy=[score, score, score]), 3)
    found, told = fit(make(SVC(), SPACE, path, n_iter=8), *iris)
    assert found.n_resumed_ == 7
    assert "not between 0 and 1" in told[0]
    assert 0 <= found.best_score_ <= 1


@pytest.mark.parametrize("kind", ["scores", "train_scores"])
@pytest.mark.parametrize("others", [{}, {"zz": [0.5, 0.5, 0.5]}])
def test_scores_of_other_metrics_are_left_out(iris, path, kind, others):
    settings = {"scoring": ["accuracy", "f1_macro"], "return_train_score": True, "n_iter": 2}
    model = make(SVC(), {"C": [0.1, 1.0]}, path, **settings)
    model.fit(*iris)

    def change(candidate):
        scores = candidate["scores"] if kind == "scores" else candidate["details"][kind]
        del scores["f1_macro"]
        scores.update(others)

    forge(path, change, 1)
    found, told = fit(model, *iris)
    assert found.n_resumed_ == 1
    assert f"{kind} are of the metrics" in told[0]


@pytest.mark.parametrize("how", ["gone", "short", "negative", "infinite"])
@pytest.mark.parametrize("field", ["fit_times", "n_test_samples", "costs"])
def test_numbers_of_folds_that_cannot_be_are_left_out(iris, path, field, how):
    record(iris, path)

    def change(candidate):
        values = candidate["details"].pop(field)
        if how != "gone":
            wrong = -1 if how == "negative" or field == "n_test_samples" else float("inf")
            candidate["details"][field] = values[:1] if how == "short" else [wrong] * 3

    forge(path, change, 2)
    found, told = fit(make(SVC(), SPACE, path, n_iter=8), *iris)
    assert found.n_resumed_ == 7
    assert told


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


def test_bounds_are_those_of_the_metric(iris, path):
    scoring = {"loss": "neg_log_loss", "mcc": "matthews_corrcoef", "own": own_score}
    for k in range(2):
        model = make(LogisticRegression(), {"C": [0.1, 1.0]}, path, n_iter=2, scoring=scoring)
        found, told = fit(model, *iris)
        assert (found.n_resumed_, told) == (2 * k, [])
    forge(path, lambda one: one["scores"].update(neg_log_loss=[0.5, -0.1, -0.1]), 1)
    found, told = fit(model, *iris)
    assert "neg_log_loss is 0.5, not between -inf and 0" in told[0]


def own_score(estimator, X, y):
    return 1000 * estimator.score(X, y)
