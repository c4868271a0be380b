"""Damaged and altered rows of a history: left out with a warning that names them, and replaced."""

import random
import re
import sqlite3
import warnings
from functools import partial

import pytest
from builders import MEASURED, make_evaluation, make_record, record_all
from searching import SPACE, fit_and_listen, make_search
from sklearn.svm import SVC

from skmeta.exceptions import SearchWarning
from skmeta.search import SearchHistory

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


make_candidate = partial(make_evaluation, **MEASURED)


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


@pytest.mark.parametrize(("column", "value"), DAMAGE, ids=lambda value: str(value)[:20])
def test_a_damaged_candidate_is_left_out_with_a_warning(path, column, value):
    execute(path, f"UPDATE skmeta_candidate SET {column} = ? WHERE id = 2", value)
    history = SearchHistory(path)
    with pytest.warns(SearchWarning, match=f"candidate 2 of search 1: {column} is damaged"):
        kept = history._candidates("a")
    assert kept == [make_candidate("k"), make_candidate("kkk")]
    with pytest.warns(SearchWarning, match="candidate 2 of search 1"):
        first, second = history
    assert first.candidates == tuple(kept)
    assert len(second.candidates) == 3
    with warnings.catch_warnings(action="ignore", category=SearchWarning):
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
    with warnings.catch_warnings(action="ignore", category=SearchWarning):
        assert [search.record.dataset for search in history] == ["set b"]
        assert [past.dataset for past in history.searches()] == ["set b"]
    assert len(history._candidates("a")) == 3


def folds(search):
    columns = [search.cv_results_[f"split{k}_test_score"].tolist() for k in range(3)]
    return list(zip(*columns, strict=True))


@pytest.fixture(scope="module")
def recorded(iris, tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "searches.db"
    return make_search(SVC(), SPACE, path, n_iter=8).fit(*iris), path.read_bytes()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('{"accuracy":[1.0,1.0,1.0]}', "a value was changed after it was recorded"),
        ("{", "scores is damaged"),
    ],
)
def test_an_edited_score_is_evaluated_again(iris, path, recorded, value, why):
    first, content = recorded
    path.write_bytes(content)
    worst = int(first.cv_results_["mean_test_score"].argmin())
    execute(path, "UPDATE skmeta_candidate SET scores = ? WHERE id = ?", value, worst + 1)
    found, told = fit_and_listen(make_search(SVC(), SPACE, path, n_iter=8), *iris)
    assert f"candidate {worst + 1} of search 1" in told[0]
    assert why in told[0]
    assert found.n_resumed_ == 7
    assert found.best_score_ == first.best_score_
    scores = [sorted(one.cv_results_["mean_test_score"]) for one in (found, first)]
    assert scores[0] == scores[1]
    # The new row took the place of the damaged one.
    with SearchHistory(path) as history:
        assert [len(one.candidates) for one in history] == [8]


def test_no_flipped_bit_changes_a_result_in_silence(iris, path, recorded):
    first, sound = recorded
    scores = dict(zip(map(str, first.cv_results_["params"]), folds(first), strict=True))
    rows = [*re.finditer(rb'\{"accuracy":\[[0-9.,]+\]\}', sound)]
    rows += [*re.finditer(rb'\{"digest":"[^}]*\}', sound)]
    places = [p for row in rows for p in range(row.start(), row.end())]
    draw = random.Random(0)
    for _ in range(8):
        damaged = bytearray(sound)
        damaged[draw.choice(places)] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        found, told = fit_and_listen(make_search(SVC(), SPACE, path, n_iter=8), *iris)
        ours = dict(zip(map(str, found.cv_results_["params"]), folds(found), strict=True))
        assert told or ours == scores
