"""Read-only and default histories, and how they are shown."""

import os
import pickle

import pytest
from builders import make_evaluation, make_record, record_all
from sklearn.base import clone

from skmeta.exceptions import HistoryError, HistoryFormatError
from skmeta.search import SearchHistory
from skmeta.search.history import mask_password

# A history that is only read.


def test_read_only_reads_and_writes_nothing(history):
    record_all(history, make_record("a"), make_evaluation())
    before = history.path.read_bytes()
    reading = SearchHistory(history.path, read_only=True)
    assert len(reading.searches()) == 1
    search_id = reading.begin(make_record("a"))
    assert reading.candidates(search_id) == [make_evaluation()]
    reading.record(search_id, make_evaluation("b"))
    new = reading.begin(make_record("new"))
    assert reading.candidates(new) == []
    reading.record(new, make_evaluation())
    assert len(pickle.loads(pickle.dumps(reading))) == 1
    assert clone(reading) is reading
    for change in (lambda: reading.remove("iris"), lambda: reading.merge(history)):
        with pytest.raises(HistoryError, match="opened with read_only=True and cannot be changed"):
            change()
    reading.close()
    assert history.path.read_bytes() == before


def test_read_only_creates_no_file(tmp_path):
    with pytest.raises(HistoryError, match="a read-only history is not created"):
        SearchHistory(tmp_path / "searches.db", read_only=True)
    (tmp_path / "empty.db").touch()
    with pytest.raises(HistoryFormatError, match="holds no history"):
        SearchHistory(tmp_path / "empty.db", read_only=True)
    assert (tmp_path / "empty.db").read_bytes() == b""
    assert os.listdir(tmp_path) == ["empty.db"]


def test_read_only_sees_what_is_recorded_later(history):
    reading = SearchHistory(history.path, read_only=True)
    record_all(history, make_record(), make_evaluation())
    assert len(reading) == 1


# How it looks.


def test_repr_says_where_and_hides_the_password(tmp_path):
    path = tmp_path / "searches.db"
    assert repr(SearchHistory(path)) == f"SearchHistory({str(path)!r})"
    assert repr(SearchHistory()) == "SearchHistory(':memory:')"
    reading = SearchHistory(path, read_only=True)
    assert repr(reading) == f"SearchHistory({str(path)!r}, read_only=True)"
    shown = mask_password("postgresql://me:secret@host/db")
    assert shown == "postgresql://me:***@host/db"
