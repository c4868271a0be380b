"""A damaged history gives a documented error, or is read; rows that cannot be read are left out."""

import contextlib
import os
import sqlite3
import tempfile
import warnings
from pathlib import Path

import pytest
from builders import make_evaluation, make_record, record_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skmeta.exceptions import FileFormatError, HistoryError, SearchWarning
from skmeta.search import SearchHistory
from skmeta.search.record import SearchRecord

if os.name == "nt":
    pytest.skip("the guards on time and memory need POSIX", allow_module_level=True)

from mutations import JUNK, bounded, damages

AGAIN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.db"


def make_history():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        with SearchHistory(path) as history:
            for name in ("first", "second"):
                record = make_record(
                    name,
                    dataset=name,
                    data_digest="ab" * 16,
                    data_sketch=(1, 2**63),
                    space={"SVC.C": "loguniform(1, 2)"},
                )
                evaluations = [
                    make_evaluation(
                        f"key {k}",
                        (0.75 + k / 100, 0.5),
                        configuration={
                            "SVC.C": 0.5 + k,
                            "SVC.kernel": "rbf",
                            "SVC.shrinking": True,
                        },
                        params="",
                        train_scores={"accuracy": (1.0, 1.0)},
                        fit_times=(0.25, 0.5),
                        score_times=(0.1, 0.2),
                        n_test_samples=(20, 20),
                        error="ValueError: no" if k == 5 else None,
                        source="prior",
                    )
                    for k in range(6)
                ]
                record_all(history, record, *evaluations)
        return path.read_bytes()


CONTENT = make_history()


def check(path):
    """Read a history. There is no other error or warning than those for histories."""
    with warnings.catch_warnings(record=True) as caught, bounded():
        warnings.simplefilter("always")
        try:
            with SearchHistory(path, mode="read") as history:
                held, past = list(history), history.searches()
        except (HistoryError, FileFormatError):
            return
    assert {w.category for w in caught} <= {SearchWarning}
    assert all(isinstance(one.record, SearchRecord) for one in held)
    assert all(len(one.configurations) == len(one.scores) for one in past)


@AGAIN
@given(damages(len(CONTENT)))
def test_damaged_bytes(path, damage):
    path.write_bytes(damage(CONTENT))
    check(path)


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
def test_edited_rows(path, data):
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
    check(path)


@AGAIN
@given(st.data())
def test_tables_that_are_gone_or_changed(path, data):
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
    check(path)
