"""Damaged rows of a history: left out with a warning that names them, and replaced."""

import sqlite3
import warnings

import pytest
from builders import make_evaluation, make_record, record_all
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from skmeta.exceptions import SearchWarning
from skmeta.search import MetaLearnedSearchCV, SearchHistory

DAMAGE = [
    ("scores", '{"accuracy": ["x"]}'),
    ("scores", "[" * 100_000),
    ("configuration", '{"a": [1]}'),
    ("details", '{"fit_times": ["x"]}'),
    ("details", b"\xff"),
    ("key", b"\xff"),
]
SEARCH_DAMAGE = [
    ("details", "{"),
    ("details", '{"cv": ""}'),
    ("details", '{"metrics": {"accuracy": 1}, "target_scale": 0.0}'),
    ("dataset", b"\xff"),
    ("data_digest", b"\xff"),
    ("refit_metric", b"\xff"),
]


def make_candidate(key):
    return make_evaluation(
        key,
        train_scores={"accuracy": (0.7, 0.8)},
        fit_times=(0.1, 0.2),
        score_times=(0.1, 0.2),
        n_test_samples=(5, 5),
    )


@pytest.fixture
def path(tmp_path):
    with SearchHistory(tmp_path / "searches.db") as history:
        for fingerprint in "ab":
            record = make_record(fingerprint, dataset=f"set {fingerprint}")
            record_all(history, record, *map(make_candidate, ("k", "kk", "kkk")))
    return tmp_path / "searches.db"


def execute(path, statement, *values):
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def damage_candidate(path, column, value):
    execute(path, f"UPDATE skmeta_candidate SET {column} = ? WHERE id = 2", value)


@pytest.mark.parametrize(("column", "value"), DAMAGE, ids=lambda value: str(value)[:20])
def test_a_damaged_candidate_is_left_out_with_a_warning(path, column, value):
    damage_candidate(path, column, value)
    history = SearchHistory(path)
    with pytest.warns(SearchWarning, match=f"candidate 2 of search 1: {column} is damaged"):
        kept = history._candidates("a")
    assert kept == [make_candidate("k"), make_candidate("kkk")]
    with pytest.warns(SearchWarning, match="candidate 2 of search 1"):
        first, second = history
    assert first.candidates == tuple(kept)
    assert len(second.candidates) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        n_left = 2 if column in ("scores", "configuration") else 3  # what a prior needs
        assert [len(past.configurations) for past in history.searches()] == [n_left, 3]
        assert len(history.to_frame()) == 5
        assert [len(s.candidates) for s in SearchHistory().merge(history)] == [2, 3]


@pytest.mark.parametrize(("column", "value"), SEARCH_DAMAGE, ids=lambda value: str(value)[:40])
def test_a_damaged_search_is_left_out_with_a_warning(path, column, value):
    execute(path, f"UPDATE skmeta_search SET {column} = ? WHERE id = 1", value)
    history = SearchHistory(path)
    for read in (list, SearchHistory.searches, SearchHistory.to_frame):
        with pytest.warns(SearchWarning, match=f"search 1: {column} is damaged"):
            read(history)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        assert [search.record.dataset for search in history] == ["set b"]
        assert [past.dataset for past in history.searches()] == ["set b"]
    assert len(history._candidates("a")) == 3


def test_a_search_with_a_damaged_row_goes_on(tmp_path):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "searches.db"

    def search(n_iter):
        space = {"C": [0.1, 1.0, 10.0, 100.0, 1000.0]}
        return MetaLearnedSearchCV(
            SVC(), space, n_iter=n_iter, history=path, name="ours", prior=None, random_state=0
        ).fit(X, y)

    search(3)
    damage_candidate(path, "scores", "{")
    with pytest.warns(SearchWarning, match="candidate 2 of search 1: scores is damaged"):
        resumed = search(5)
    assert resumed.n_resumed_ == 2
    assert len(resumed.cv_results_["params"]) == 5
    # The candidate was evaluated again, and its new row took the place of the damaged one.
    with SearchHistory(path) as history:
        assert [len(one.candidates) for one in history] == [5]
