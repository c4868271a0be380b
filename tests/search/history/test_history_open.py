"""Read-only and default histories, and how they are shown."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from builders import make_evaluation, make_record, record_all
from sklearn.base import clone

from skmeta.exceptions import HistoryError, HistoryFormatError, SkmetaError
from skmeta.search import (
    ReadOnlyHistory,
    SearchHistory,
    default_history,
    set_default_history,
    use_history,
)
from skmeta.search.history import open_history
from skmeta.search.history._address import mask_password

# A history that is only read.


def test_read_only_reads_and_writes_nothing(history):
    record_all(history, make_record("a"), make_evaluation())
    before = history.path.read_bytes()
    for reading in [
        ReadOnlyHistory(history.path),
        ReadOnlyHistory(history),
        ReadOnlyHistory(ReadOnlyHistory(history)),
    ]:
        assert len(reading.searches()) == 1
        search_id = reading.begin(make_record("a"))
        assert reading.candidates(search_id) == [make_evaluation()]
        reading.record(search_id, make_evaluation("b"))
        new = reading.begin(make_record("new"))
        assert reading.candidates(new) == []
        reading.record(new, make_evaluation())
        reading.finish(new)
        assert len(pickle.loads(pickle.dumps(reading))) == 1
        assert clone(reading) is reading
        reading.close()
    assert history.path.read_bytes() == before


def test_read_only_creates_no_file(tmp_path):
    with pytest.raises(HistoryError, match="a read-only history is not created"):
        ReadOnlyHistory(tmp_path / "searches.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(HistoryFormatError, match="holds no history"):
        ReadOnlyHistory(tmp_path / "empty.db")
    assert (tmp_path / "empty.db").read_bytes() == b""
    assert os.listdir(tmp_path) == ["empty.db"]


def test_read_only_sees_what_is_recorded_later(history):
    reading = ReadOnlyHistory(history.path)
    record_all(history, make_record(), make_evaluation())
    assert len(reading) == 1


# What a parameter or a script may say.


def test_open_history(history):
    reading = ReadOnlyHistory(history)
    assert open_history(None) is None
    assert open_history(history) is history
    assert open_history(reading) is reading
    assert isinstance(open_history(str(history.path)), SearchHistory)
    with pytest.raises(SkmetaError, match="given by a path"):
        open_history(3)


def test_the_innermost_default_counts(tmp_path, monkeypatch):
    assert default_history() is None
    monkeypatch.setenv("SKMETA_HISTORY", str(tmp_path / "variable.db"))
    assert default_history().path.name == "variable.db"
    set_default_history(tmp_path / "script.db")
    try:
        assert default_history().path.name == "script.db"
        with use_history(tmp_path / "block.db") as outer:
            assert default_history() is outer
            with use_history(None) as none:
                assert none is None
                assert default_history() is None
            assert default_history() is outer
        assert default_history().path.name == "script.db"
        with pytest.raises(ValueError, match="stop"), use_history(":memory:"):
            raise ValueError("stop")
        assert default_history().path.name == "script.db"
    finally:
        set_default_history(None)
    assert default_history().path.name == "variable.db"


def test_a_block_is_of_its_thread_and_a_script_of_all(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        with use_history(":memory:"):
            assert pool.submit(default_history).result() is None
        set_default_history(":memory:")
        try:
            assert pool.submit(default_history).result() is default_history() is not None
        finally:
            set_default_history(None)


# How it looks.


def test_repr_says_where_and_hides_the_password(tmp_path):
    path = tmp_path / "searches.db"
    assert repr(SearchHistory(path)) == f"SearchHistory({str(path)!r})"
    assert repr(SearchHistory()) == "SearchHistory(':memory:')"
    shown = mask_password("postgresql://me:secret@host/db")
    assert shown == "postgresql://me:***@host/db"


def test_an_empty_history_is_true():
    assert SearchHistory()
    assert len(SearchHistory()) == 0
    assert list(SearchHistory()) == SearchHistory().searches() == []
    assert SearchHistory().describe().splitlines() == ["estimator  data sets  searches  candidates"]
