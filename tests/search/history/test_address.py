"""Addresses of histories: no password is shown, and only regular files are opened."""

import os
import pickle
import re
import socket
import stat
import traceback
from functools import partial

import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from skmeta.__main__ import main
from skmeta.exceptions import HistoryError, SkmetaError
from skmeta.search import MetaLearnedSearchCV, SearchHistory
from skmeta.search.history import hide_password, mask_password
from skmeta.search.history._store import HistoryStore

SECRET = "hunter2"
READ_ONLY = partial(SearchHistory, read_only=True)
needs_posix = pytest.mark.skipif(os.name == "nt", reason="files of POSIX systems")

MASKED = [
    ("searches.db", "searches.db"),
    (":memory:", ":memory:"),
    ("postgresql://user@host/db", "postgresql://user@host/db"),
    ("postgresql://user:hunter2@host/db", "postgresql://user:***@host/db"),
    ("postgresql://user:hunter2@host:5432/db?a=b", "postgresql://user:***@host:5432/db?a=b"),
    ("postgresql://host/db?password=hunter2", "postgresql://host/db?password=***"),
    ("postgresql://host/db?sslpassword=hunter2&a=b", "postgresql://host/db?sslpassword=***&a=b"),
    ("postgresql://user:hunter2@host:port/db", "postgresql://***"),
    ("postgres ql://user:hunter2@host", "postgres ql://***"),
    ("mysql+pymysql://user:hunter2@host/db", "mysql+pymysql://user:***@host/db"),
]


@pytest.mark.parametrize(("address", "shown"), MASKED)
def test_passwords_are_masked(address, shown):
    assert mask_password(address) == shown
    assert SECRET not in shown


@pytest.mark.parametrize(("address", "shown"), MASKED)
def test_the_parameter_of_a_search_is_masked(address, shown):
    hidden = hide_password(address)
    assert hidden == address
    assert repr(hidden) == repr(shown)
    assert hide_password(hidden) is hidden
    assert pickle.loads(pickle.dumps(hidden)) == address
    assert repr(pickle.loads(pickle.dumps(hidden))) == repr(shown)


@pytest.mark.parametrize("value", [None, False, "a.db"])
def test_what_has_no_password_is_left_alone(value):
    assert hide_password(value) is value


def test_a_search_shows_no_password():
    url = "postgresql://user:hunter2@host/db"
    search = MetaLearnedSearchCV(SVC(), history=url)
    around = Pipeline([("search", search)])
    set_later = MetaLearnedSearchCV(SVC()).set_params(history=url)
    for estimator in (search, clone(search), around, clone(around), set_later):
        for text in (repr(estimator), str(estimator), estimator._repr_html_()):
            assert SECRET not in text
    assert "postgresql://user:***@host/db" in repr(search)
    assert clone(search).history == search.history == url


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("postgresql://user:hunter2@host:port/db", "cannot be parsed"),
        ("postgresql+nothing://user:hunter2@host/db", "driver of 'postgresql.nothing' cannot"),
        ("sqlite+pysqlcipher://:hunter2@/x.db", "its other parts would be ignored"),
        ("nonsense://user:hunter2@host", "driver of 'nonsense' cannot be loaded"),
        ("sqlite:///file:x?uri=true", "its other parts would be ignored"),
        ("sqlite://", "not just the path of a SQLite file"),
        ("sqlite:///x.db?password=hunter2", "its other parts would be ignored"),
        ("sqlite://user:hunter2@host/x.db", "its other parts would be ignored"),
        ("postgresql://user:hunter2@127.0.0.1:1/none", "cannot be used now"),
        ("postgresql://127.0.0.1:1/none?user=me&password=hunter2", "cannot be used now"),
        ("postgresql://127.0.0.1:1/none?nonsense=1&password=hunter2", "cannot be used"),
    ],
)
@pytest.mark.parametrize("open_it", [SearchHistory, READ_ONLY])
def test_no_error_shows_a_password(url, match, open_it, tmp_path, monkeypatch):
    if "127.0.0.1" in url:
        pytest.importorskip("psycopg")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HistoryError, match=match) as caught:
        open_it(url)
    shown = "".join(traceback.format_exception(caught.value))
    frames = re.sub(r"^    .*$", "", shown, flags=re.MULTILINE)  # source lines of this test
    assert SECRET not in frames
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_shows_no_password(capsys):
    assert main(["history", "show", "postgresql://user:hunter2@host:port/db"]) == 1
    captured = capsys.readouterr()
    assert "cannot be parsed" in captured.err
    assert SECRET not in captured.out + captured.err


# Only regular files.


@needs_posix
@pytest.mark.parametrize("open_it", [SearchHistory, READ_ONLY, SearchHistory().merge])
@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "socket", "link to a fifo"])
def test_what_is_no_regular_file_is_refused_at_once(open_it, kind, tmp_path):
    path = tmp_path / "it"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = "/dev/null"
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path) if len(str(path)) > 90 else str(path))
    else:
        os.mkfifo(tmp_path / "fifo")
        path.symlink_to(tmp_path / "fifo")
    with pytest.raises(HistoryError, match="is not a regular file"):
        open_it(path)


@needs_posix
def test_files_are_for_their_owner_only(tmp_path):
    before = os.umask(0)
    try:
        with SearchHistory(tmp_path / "searches.db") as history:
            history.add(SVC(), [{"C": 1.0}], [0.5], dataset="iris")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "searches.db").stat().st_mode) == 0o600


@needs_posix
def test_the_mode_of_a_file_that_is_there_is_kept(tmp_path):
    path = tmp_path / "searches.db"
    SearchHistory(path).close()
    path.chmod(0o664)
    SearchHistory(path).add(SVC(), [{"C": 1.0}], [0.5], dataset="iris").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_a_path_that_cannot_be_one_is_an_error():
    with pytest.raises((SkmetaError, ValueError), match="null"):
        HistoryStore("a\0b.db")
