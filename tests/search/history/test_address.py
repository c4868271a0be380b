"""Addresses of histories: no password is shown, and only regular files are opened."""

import copy
import os
import pickle
import re
import socket
import stat
import traceback
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from skmeta.__main__ import main
from skmeta.exceptions import HistoryError, SkmetaError
from skmeta.search import MetaLearnedSearchCV, SearchHistory

SECRET = "hunter2"
READ_ONLY = partial(SearchHistory, mode="read")
needs_posix = pytest.mark.skipif(os.name == "nt", reason="files of POSIX systems")

# Passwords that a URL has to escape, parameters that hold some, and URLs that are none.
SECRET_URLS = [
    "postgresql://user:hunter2@host/db",
    "postgresql://user:s3cr@hunter2@host/db",
    "postgresql://user:hunter2@s3cr@host:5432/db",
    "postgresql://user:hunter2/s3cr@host/db",
    "postgresql://us/er:hunter2@host/db",
    "postgresql://user:s3cr@hun/hunter2@host/db",
    "postgresql://user:hunter2%40s3cr@host/db",
    "postgresql://user:hunter2:s3cr@host/db",
    "postgresql://user:hunter2?s3cr@host/db",
    "postgresql://user:hunter2#s3cr@host/db",
    "postgresql://user:hunter2@host:port/db",
    "postgresql://:hunter2@host/db",
    "postgresql://user:hunter2@[::1]/db",
    "postgresql://host/db?password=hunter2",
    "postgresql://host/db?sslpassword=hunter2&sslmode=require",
    "postgresql://host/db?options=-c%20password%3Dhunter2",
    "postgresql://user@host/db?PWD=hunter2&passfile=s3cr",
    "postgresql+psycopg://user:hunter2@host/db?host=a&host=s3cr",
    "mysql+pymysql://user:hunter2@host/db?ssl_key=s3cr",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Da%3BPWD%3Dhunter2",
    "sqlite+pysqlcipher://:hunter2@/x.db?cipher=s3cr",
    "postgresql:/user:hunter2@host/db",
    "postgresql:user:hunter2@host/db",
    " postgresql://user:hunter2@host/db",
    "postgres ql://user:hunter2@host",
]


def assert_no_secret(content):
    for secret in ("hunter2", "s3cr"):
        assert secret not in content if isinstance(content, str) else secret.encode() not in content


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("url", SECRET_URLS)
def test_no_secret_of_a_url_is_shown_or_pickled(url, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    search = MetaLearnedSearchCV(SVC(), {"C": [1.0, 2.0]}, n_iter=1, history=kind(url))
    around = Pipeline([("search", clone(search))])
    set_later = MetaLearnedSearchCV(SVC()).set_params(history=kind(url))
    for shown in (search, clone(search), around, clone(around), set_later):
        for text in (repr(shown), str(shown), shown._repr_html_(), pickle.dumps(shown)):
            assert_no_secret(text)
    assert clone(search).history in (url, str(kind(url)))
    assert copy.deepcopy(search).history in (url, str(kind(url)))

    def unconnected(*args, **kwargs):  # no server is asked
        raise sa.exc.OperationalError(f"connect to {url}", None, Exception(f"no {url}"))

    monkeypatch.setattr(sa.Engine, "begin", unconnected)
    with pytest.raises(SkmetaError) as caught:
        search.fit([[0.0], [1.0]] * 5, [0, 1] * 5)
    whole = "".join(traceback.format_exception(caught.value))
    assert_no_secret(re.sub(r"^    .*$", "", whole, flags=re.MULTILINE))  # lines of source
    assert main(["history", "show", str(kind(url))]) == 1
    assert_no_secret("".join(capsys.readouterr()))
    assert list(tmp_path.iterdir()) == []


def test_a_pickled_search_has_no_password():
    url = "postgresql://user:hunter2@127.0.0.1:1/none"
    search = MetaLearnedSearchCV(SVC(), history=url)
    content = pickle.dumps(search)
    for given in (search, SearchHistory.__new__(SearchHistory)):
        if isinstance(given, SearchHistory):
            vars(given).update(_address=url, mode="write")
        assert_no_secret(pickle.dumps(given))
    with pytest.raises(HistoryError, match=r"not pickled along.*set_params\(history=") as caught:
        SearchHistory(pickle.loads(content).history)
    assert "postgresql://user:***@127.0.0.1:1/none" in str(caught.value)
    assert_no_secret(repr(pickle.loads(content)))


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
        SearchHistory("a\0b.db")
