"""A damaged history gives a documented error, or is read without the rows that are damaged."""

import contextlib
import os
import sqlite3
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skmeta.exceptions import HistoryError, HistoryFormatError, HistoryWarning
from skmeta.search import SearchHistory
from skmeta.search.record import CandidateRecord, SearchRecord

if os.name == "nt":
    pytest.skip("the guards on time and memory need POSIX", allow_module_level=True)

from mutations import JUNK, bounded, damages

AGAIN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.db"


def make_history():
    """Return the bytes of a history of two searches, and what it holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        with SearchHistory(path) as history:
            for name in ("first", "second"):
                record = SearchRecord(
                    fingerprint=name,
                    dataset=name,
                    estimator="SVC",
                    metrics={"accuracy": 1},
                    refit_metric="accuracy",
                    data_digest="ab" * 16,
                    data_sketch=(1, 2**63),
                    space={"SVC.C": "loguniform(1, 2)"},
                    versions={"numpy": "2.0"},
                )
                search = history.begin(record)
                for k in range(6):
                    evaluation = CandidateRecord(
                        key=f"key {k}",
                        configuration={
                            "SVC.C": 0.5 + k,
                            "SVC.kernel": "rbf",
                            "SVC.shrinking": True,
                        },
                        params="",
                        scores={"accuracy": (0.75 + k / 100, 0.5)},
                        train_scores={"accuracy": (1.0, 1.0)},
                        fit_times=(0.25, 0.5),
                        score_times=(0.1, 0.2),
                        n_test_samples=(20, 20),
                        error="ValueError: no" if k == 5 else None,
                        source="prior",
                    )
                    history.record(search, evaluation)
                history.finish(search)
            held = flatten(history)
        return path.read_bytes(), held


def flatten(history):
    """Return what a history holds: a value for each search, and for each of its candidates."""
    found = {}
    for item in history:
        name = item.record.fingerprint
        # No digest covers when it finished, since version 0.1 may write that later.
        found[name] = (item.record, item.started)
        found |= {(name, e.key): e for e in item.candidates}
    return found


def scores_of(history):
    """Return what a prior is learned from."""
    return {
        (s.dataset, repr(c), float(v))
        for s in history.searches()
        for c, v in zip(s.configurations, s.scores, strict=True)
    }


CONTENT, HELD = make_history()


def read(path):
    """Return what a history holds, what a prior is learned from, and whether it warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with SearchHistory(path, read_only=True) as history:
            found = flatten(history), scores_of(history)
    assert {w.category for w in caught} <= {HistoryWarning}
    return *found, bool(caught)


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "history.db"
    path.write_bytes(CONTENT)
    held, found, warned = read(path)
    assert held == HELD
    assert len(found) == 12
    assert not warned
    return found


def check(path, scores):
    """Check that a damaged history is refused, or that rows are left out with a warning."""
    with bounded():
        try:
            held, found, warned = read(path)
        except (HistoryError, HistoryFormatError):
            return
    if len(held) < len(HELD) or len(found) < len(scores):
        assert warned, "rows were left out without a warning"


@AGAIN
@given(damages(len(CONTENT)))
def test_damaged_bytes(path, scores, damage):
    path.write_bytes(damage(CONTENT))
    check(path, scores)


TABLES = ("skmeta_search", "skmeta_candidate", "skmeta_about")
VALUES = (
    JUNK.filter(lambda v: v is None or isinstance(v, bool | int | float | str)).filter(
        lambda v: not isinstance(v, int) or abs(v) < 2**63
    )
    | st.sampled_from(["{", "{}", "[]", "[1e999]", "[" * 2000 + "]" * 2000, '{"a":[NaN]}', "\0"])
    | st.binary(max_size=5)
)


@AGAIN
@given(st.data())
def test_edited_rows(path, scores, data):
    path.write_bytes(CONTENT)
    # `closing`, as a draw can end the example early.
    with contextlib.closing(sqlite3.connect(path)) as connection:
        table = data.draw(st.sampled_from(TABLES))
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        column = data.draw(st.sampled_from(columns))
        row = data.draw(st.integers(1, 12))
        value = data.draw(VALUES)
        try:
            with connection:
                connection.execute("PRAGMA ignore_check_constraints = 1")
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
        except (sqlite3.Error, OverflowError, UnicodeEncodeError):
            pass  # not allowed by the table, so that nothing changed
    check(path, scores)


@AGAIN
@given(st.data())
def test_tables_that_are_gone_or_changed(path, scores, data):
    path.write_bytes(CONTENT)
    table = data.draw(st.sampled_from(TABLES))
    statement = data.draw(
        st.sampled_from(
            [
                "DROP TABLE {}",
                "ALTER TABLE {} RENAME TO other",
                "ALTER TABLE {} ADD COLUMN more TEXT",
                "CREATE TABLE other (a); INSERT INTO other VALUES (1)",
            ]
        )
    )
    connection = sqlite3.connect(path)
    connection.executescript(statement.format(table))
    connection.close()
    check(path, scores)
