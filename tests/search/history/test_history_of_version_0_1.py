"""Histories that version 0.1 wrote: they open, can be read, and can be written to.

``data/history_0_1.*`` hold a search with five candidates on iris, two candidates on a data set that
the user called wine, and one on a data set without a name.
"""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.search import Evaluation, MetaLearnedSearchCV, ReadOnlyHistory, SearchHistory

DATA = Path(__file__).parent / "data"
NEW_COLUMNS = {"predicted_mean_score", "predicted_std_score"}


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copy(DATA / "history_0_1.db", tmp_path))


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


EXPECTED = [
    (None, "7cb9d4071c5a", 5),
    ("wine", "wine", 2),
    (None, "d55f4de34933", 1),
]


@pytest.mark.parametrize("open_it", [SearchHistory, ReadOnlyHistory])
def test_an_old_history_is_read(open_it, old):
    with open_it(old) as history:
        assert contents(history) == EXPECTED
        assert [past.dataset for past in history.searches()] == [label for _, label, _ in EXPECTED]
        [first, *_] = history
        assert first.evaluations[0].configuration["SVC.C"] == 0.018150659089037312
        assert first.evaluations[0].scores == {"accuracy": (0.84, 0.92, 0.88)}
        assert np.isnan([e.predicted_mean_score for e in first.evaluations]).all()
        assert len(history.to_frame()) == 8


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_old_export_is_read(suffix):
    assert contents(SearchHistory().merge(DATA / f"history_0_1.{suffix}")) == EXPECTED


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
        configuration={"SVC.C": 3.0},
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
    pipeline = make_pipeline(StandardScaler(), SVC())
    space = {"svc__C": loguniform(0.01, 100), "svc__kernel": ["rbf", "linear"]}
    search = MetaLearnedSearchCV(
        pipeline, space, n_iter=6, history=old, prior="history", random_state=0, cv=3
    ).fit(*load_iris(return_X_y=True))
    assert search.n_resumed_ == 5
    assert len(SearchHistory(old).evaluations(1)) == 6
