"""Histories that version 0.1 wrote: they open, can be read, and can be written to.

``tests/compat/data/history.db`` holds two searches of six candidates each; the tests of its exports
are in ``tests/compat``. Here the first one gets a name, as if the user had called it wine.
"""

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta.search import Evaluation, MetaLearnedSearchCV, ReadOnlyHistory, SearchHistory

DATA = Path(__file__).parents[2] / "compat" / "data"
NEW_COLUMNS = {"predicted_mean_score", "predicted_std_score"}


@pytest.fixture
def old(tmp_path):
    path = Path(shutil.copy(DATA / "history.db", tmp_path))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE skmeta_search SET dataset = 'wine' WHERE id = 1")
    connection.close()
    return path


def columns_of(path):
    with sqlite3.connect(path) as connection:
        names = {row[1] for row in connection.execute("PRAGMA table_info(skmeta_evaluation)")}
    connection.close()
    return names


def contents(history):
    return [
        (search.record.dataset, search.record.dataset_label, len(search.evaluations))
        for search in history
    ]


EXPECTED = [("wine", "wine", 6), (None, "3f725f9923de", 6)]


@pytest.mark.parametrize("open_it", [SearchHistory, ReadOnlyHistory])
def test_an_old_history_is_read(open_it, old):
    with open_it(old) as history:
        assert contents(history) == EXPECTED
        assert [past.dataset for past in history.searches()] == [label for _, label, _ in EXPECTED]
        [first, *_] = history
        assert first.evaluations[0].configuration["KNeighborsClassifier.n_neighbors"] == 10
        assert first.evaluations[0].scores == {"accuracy": (0.75, 0.85)}
        assert np.isnan([e.predicted_mean_score for e in first.evaluations]).all()
        assert len(history.to_frame()) == 12


def test_a_read_only_history_is_left_as_it_is(old):
    before = old.read_bytes()
    ReadOnlyHistory(old).close()
    assert old.read_bytes() == before
    assert not columns_of(old) & NEW_COLUMNS


def test_an_old_history_gets_the_new_columns(old):
    reading = ReadOnlyHistory(old)  # open before another process adds them
    assert contents(reading) == EXPECTED
    for _ in range(2):
        with SearchHistory(old) as history:
            assert contents(history) == EXPECTED
        assert columns_of(old) >= NEW_COLUMNS
    assert contents(reading) == EXPECTED
    added = Evaluation(
        configuration={"KNeighborsClassifier.n_neighbors": 3},
        key="new",
        scores={"accuracy": (0.5,)},
        predicted_mean_score=1 / 3,
        predicted_std_score=0.1,
    )
    history.record(history.begin(next(iter(history)).record), added)
    assert reading.evaluations(1)[-1] == added


def test_version_0_1_can_write_to_a_history_that_was_opened_by_this_one(old):
    SearchHistory(old).close()
    columns = "search_id, key, configuration, params, scores, train_scores, fit_times, score_times"
    with sqlite3.connect(old) as connection:  # the statement of version 0.1
        connection.execute(
            f"INSERT INTO skmeta_evaluation ({columns}, n_test_samples, error, source) "
            "VALUES (2, 'x', '{}', '', '{}', NULL, NULL, NULL, NULL, NULL, 'added')"
        )
    connection.close()
    assert SearchHistory(old).evaluations(2)[-1].key == "x"


def test_an_old_search_resumes_where_it_was(old):
    # Made by write_search in tests/compat/make_data.py.
    X = json.loads((DATA / "expected.json").read_text())["search"]["X"]
    search = MetaLearnedSearchCV(
        make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="brute")),
        {"kneighborsclassifier__n_neighbors": list(range(1, 12))},
        n_iter=7,
        cv=2,
        history=old,
        prior="history",
        random_state=0,
    ).fit(np.array(X), np.repeat([0, 1], 20))
    assert search.n_resumed_ == 6
    assert len(SearchHistory(old).evaluations(2)) == 7
