"""Where a history is kept: the database, its transactions and its errors."""

import itertools
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)

from skmeta._optional import import_optional
from skmeta.exceptions import HistoryError, HistoryFormatError, SkmetaError
from skmeta.search.history import _schema

T = TypeVar("T")

MEMORY = ":memory:"
BUSY_SECONDS = 30.0  # how long a process waits for the others to finish writing
# Once that was not enough: a database that stays locked costs one long wait, not one a candidate.
_SHORT_BUSY_SECONDS = 1.0
_ATTEMPTS = 5

_stores: "weakref.WeakSet[Store]" = weakref.WeakSet()


class Store:
    """A database with the tables of a history.

    SQLite keeps its rollback journal: write-ahead logging breaks on network file systems, needs a
    writable directory even to read, and spreads a history over three files. Every transaction on
    a file opens its own connection, so forks and threads share nothing.
    """

    def __init__(self, address: str, *, read_only: bool = False, content: bytes | None = None):
        self.address = address
        self.read_only = read_only
        self.path = _path_of(address)
        self.name = _name(address, self.path)
        if self.path is not None:
            _check_file(self.path, read_only)
            self.path = self.path.absolute()  # this process, or a worker, may change its folder
            self.address = str(self.path)
        self.place = "The history in memory" if self.in_memory else repr(self.name)
        self.lock = threading.RLock()
        self._gave_up = False
        self._make_file = self.path is not None and not read_only
        self.engine = self._make_engine(content)
        # A pool that is thrown away leaves its connections open, which Python warns about.
        self._finalizer = weakref.finalize(self, _dispose, self.engine, os.getpid())
        _stores.add(self)
        self._prepare()

    @property
    def in_memory(self) -> bool:
        return self.address == MEMORY

    def run(self, work: Callable[[sa.Connection], T], *, write: bool = False) -> T:
        """Run work in one transaction; try again while others hold the database."""
        patience = _SHORT_BUSY_SECONDS if self._gave_up else BUSY_SECONDS
        deadline = time.monotonic() + patience
        for attempt in itertools.count():
            try:
                result = self._run_once(work, write)
            except (SQLAlchemyError, sqlite3.Error) as error:
                self._gave_up = time.monotonic() > deadline or attempt == _ATTEMPTS - 1
                if self._gave_up or not _is_passing(error):
                    raise translate(error, self.place) from error
                time.sleep(0.05 * 4**attempt)
            else:
                self._gave_up = False
                return result
        raise AssertionError("unreachable")

    def content(self) -> bytes:
        """Return a database in memory as bytes."""
        with self.lock, self.engine.connect() as connection:
            return bytes(_driver(connection).serialize())

    def close(self) -> None:
        """Let go of the connections; the next transaction opens new ones."""
        if not self.in_memory:
            self.engine.dispose()

    def renew_after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        self.lock = threading.RLock()
        if not self.in_memory:
            self.engine.dispose(close=False)

    def _run_once(self, work: Callable[[sa.Connection], T], write: bool) -> T:
        engine = self.engine.execution_options(skmeta_write=write)
        with self.lock, engine.begin() as connection:
            return work(connection)

    def _prepare(self) -> None:
        place = self.place
        found = self.run(lambda connection: _schema.exists(connection, place))
        if self.read_only:
            if not found:
                raise HistoryFormatError(
                    f"{place} holds no history, and a read-only one is not created. "
                    "Record a search first, or give another place."
                )
        elif not found:
            self.run(lambda connection: _schema.create(connection, place), write=True)
        elif self.run(_schema.missing_columns):
            self.run(_schema.add_columns, write=True)
        self._make_file = False

    def _make_engine(self, content: bytes | None) -> sa.Engine:
        if self.in_memory:
            engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.StaticPool)
        elif self.path is not None:
            engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.NullPool)
        else:
            return _make_server_engine(self.address)
        sa.event.listen(engine, "begin", _begin_sqlite)
        if content is not None:
            with engine.connect() as connection:
                _driver(connection).deserialize(content)
        return engine

    def _connect(self) -> sqlite3.Connection:
        name = MEMORY
        if self.path is not None:
            # A file that vanished must not come back empty: only opening may create it.
            mode = "ro" if self.read_only else "rwc" if self._make_file else "rw"
            name = f"{self.path.as_uri()}?mode={mode}"
        patience = _SHORT_BUSY_SECONDS if self._gave_up else BUSY_SECONDS
        connection = sqlite3.connect(
            name, uri=True, timeout=patience, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that first reads and then writes can be refused without waiting. One that says
    # at its start that it will write waits for its turn.
    write = connection.get_execution_options().get("skmeta_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


def _dispose(engine: sa.Engine, pid: int) -> None:
    engine.dispose(close=os.getpid() == pid)


def _renew_stores() -> None:
    for store in list(_stores):
        store.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_stores)


def _path_of(address: str) -> Path | None:
    """Return the file of an address; None for a database in memory or on a server."""
    if address == MEMORY:
        return None
    if "://" not in address:
        return Path(address).expanduser()
    url = _parse_url(address)
    if url.get_backend_name() != "sqlite":
        return None
    if url.query or not url.database or url.database.startswith((":", "file:")):
        raise HistoryError(
            f"The URL {address!r} has no plain path to a file. Give the path itself, "
            f"or {MEMORY!r} for a history in memory."
        )
    return Path(url.database).expanduser()


def _parse_url(address: str) -> sa.URL:
    try:
        url = sa.make_url(address)
    except ArgumentError as error:
        raise HistoryError(
            "The history's URL cannot be parsed. It looks like "
            "postgresql://user@host:5432/database (special characters as %XX)."
        ) from error
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _make_server_engine(address: str) -> sa.Engine:
    url = _parse_url(address)
    options: dict[str, Any] = {}
    if url.drivername == "postgresql+psycopg":
        import_optional("psycopg", "postgres")
        if "connect_timeout" not in url.query:  # without one, a server that is gone is awaited
            options = {"connect_timeout": 10}
    try:
        return sa.create_engine(
            url, pool_size=1, max_overflow=4, pool_pre_ping=True, connect_args=options
        )
    except (NoSuchModuleError, ImportError) as error:
        raise HistoryError(
            f"The driver of {url.drivername!r} cannot be loaded ({error}). Install it, or use "
            "a path (SQLite) or postgresql://..."
        ) from error


def _name(address: str, path: Path | None) -> str:
    """Return an address that can be shown: without its password."""
    if path is not None or address == MEMORY:
        return str(path or MEMORY)
    return _parse_url(address).render_as_string(hide_password=True)


def _check_file(path: Path, read_only: bool) -> None:
    if path.is_dir():
        raise HistoryError(f"{str(path)!r} is a folder. Give the path of a file in it.")
    if not path.parent.is_dir():
        raise HistoryError(
            f"The folder {str(path.parent)!r} does not exist. Create it before a history is "
            f"kept there as {path.name!r}."
        )
    if path.exists():
        _check_header(path)
    elif read_only:
        raise HistoryError(
            f"{str(path)!r} does not exist, and a read-only history is not created. "
            "Record a search first, or give another path."
        )
    if not read_only:
        _check_permission(path)


def _check_permission(path: Path) -> None:
    # The journal lies beside the file, so that the folder has to be writable, too.
    for what, place in (("folder", path.parent), ("file", path)):
        if place.exists() and not os.access(place, os.W_OK):
            raise HistoryError(
                f"The {what} {str(place)!r} cannot be written, and the history needs to. "
                "Change its permissions, choose another, or read it with ReadOnlyHistory(path)."
            )


_HEADERS = {
    b"PAR1": "a parquet file; SearchHistory.merge reads one that was exported",
    b"{": "a text; SearchHistory.merge reads JSON lines that were exported",
    b"\x1f\x8b": "a compressed file; SearchHistory.merge reads what was exported as .jsonl.gz",
}


def _check_header(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            header = file.read(16)
    except OSError as error:
        raise HistoryError(
            f"{str(path)!r} cannot be read ({error.strerror}). Change its permissions, or give "
            "another path."
        ) from error
    if header in (b"", b"SQLite format 3\0"):  # an empty file is an empty database
        return
    known = (what for start, what in _HEADERS.items() if header.startswith(start))
    what = next(known, f"something else (it begins with {header!r})")
    raise HistoryFormatError(
        f"{str(path)!r} is not a history, nor a SQLite database, but {what}. "
        "Give the path of a history, or of a file that does not exist yet."
    )


def _is_passing(error: Exception) -> bool:
    """Return whether the same work may well succeed when tried again."""
    text = str(error).lower()
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or isinstance(error, IntegrityError):  # another process inserted it just now
        return True
    return any(word in text for word in ("is locked", "deadlock", "serializ"))


_READ_ONLY_ADVICE = (
    "It cannot be written: change its permissions, or read it with ReadOnlyHistory(...)."
)
_ADVICE = (
    ("locked", "Another program holds it: close what has it open for writing."),
    ("readonly", _READ_ONLY_ADVICE),
    ("read-only", _READ_ONLY_ADVICE),
    ("is full", "Free some space, or keep the history on another disk."),
    ("no space", "Free some space, or keep the history on another disk."),
    ("unable to open", "It was moved or deleted, or may not be opened: look at its path."),
    ("disk i/o", "The disk failed or is full: check its space and health."),
    ("no such table", "Its tables are gone: restore the file, or open it again."),
    ("must be owner", "Let the owner of its tables open it once, to add new columns to them."),
    ("connection", "Check that the server runs, and the host, port, user and database."),
)


def translate(error: Exception, place: str) -> SkmetaError:
    """Return the error of a database as one of skmeta's, with what to do."""
    cause = getattr(error, "orig", None) or error
    text = " ".join(str(cause).split())
    lower = text.lower()
    if "malformed" in lower or "not a database" in lower:
        return HistoryFormatError(
            f"{place} is damaged ({text}). Restore a copy, or salvage what is left with "
            "sqlite3's .recover."
        )
    advice = next((what for word, what in _ADVICE if word in lower), "Look at the database.")
    return HistoryError(f"{place} cannot be used now ({text}). {advice}")
