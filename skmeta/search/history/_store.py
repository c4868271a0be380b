"""The database of a history: its connections, transactions and errors."""

import contextlib
import itertools
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from skmeta._optional import import_optional
from skmeta.exceptions import HistoryError, HistoryFormatError, SkmetaError
from skmeta.search.history import _queries
from skmeta.search.history._address import (
    MASK,
    MEMORY,
    check_file,
    file_of,
    mask_password,
    parse_url,
    secrets_of,
)

T = TypeVar("T")

BUSY_SECONDS = 30.0  # how long a process waits for other processes to finish writing
# How long it waits after a failure, so that a locked database does not delay each candidate.
_SHORT_BUSY_SECONDS = 1.0
_ATTEMPTS = 5

_stores: "weakref.WeakSet[HistoryStore]" = weakref.WeakSet()


class HistoryStore:
    """A database with the tables of a history.

    SQLite keeps its rollback journal: write-ahead logging breaks on network file systems, needs a
    writable directory even to read, and spreads a history over three files. Every transaction on
    a file opens its own connection, so forks and threads share nothing.
    """

    def __init__(self, address: str, *, read_only: bool = False, content: bytes | None = None):
        self.address = address
        self.read_only = read_only
        self.path = file_of(address)
        self.name = mask_password(address) if self.path is None else str(self.path)
        self._secrets = secrets_of(address)
        if self.path is not None:
            check_file(self.path, read_only)
            self.path = self.path.absolute()  # this process or a worker may change its folder
            self.address = str(self.path)
        self.place = "The history in memory" if self.in_memory else repr(self.name)
        self.lock = threading.RLock()
        self._timed_out = False
        self._may_create_file = self.path is not None and not read_only
        self.engine = self._make_engine(content)
        # Garbage collection of a pool leaves its connections open, about which Python warns.
        self._finalizer = weakref.finalize(self, _dispose, self.engine, os.getpid())
        _stores.add(self)
        self._prepare()

    @property
    def in_memory(self) -> bool:
        return self.address == MEMORY

    def run(self, work: Callable[..., T], *args: Any, write: bool = False, **kwargs: Any) -> T:
        """Return ``work(connection, *args, **kwargs)``, in one transaction.

        It is tried again while other processes lock the database.
        """
        if write and self.read_only:
            raise HistoryError(
                f"{self.place} was opened with read_only=True and cannot be changed. Open it "
                "without read_only."
            )
        deadline = time.monotonic() + self._timeout
        engine = self.engine.execution_options(skmeta_write=write)
        for attempt in itertools.count():
            try:
                with self.lock, engine.begin() as connection:
                    result = work(connection, *args, **kwargs)
            except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError) as error:
                self._timed_out = time.monotonic() > deadline or attempt == _ATTEMPTS - 1
                if self._timed_out or not _is_transient(error):
                    # An error that names a secret is not shown as the cause.
                    cause = error if self._mask(str(error)) == str(error) else None
                    raise translate(error, self.place, self._mask) from cause
                time.sleep(0.05 * 4**attempt)
            else:
                self._timed_out = False
                return result
        raise AssertionError("unreachable")

    def content(self) -> bytes:
        """Return a database in memory as bytes."""
        with self.lock, self.engine.connect() as connection:
            return bytes(_driver(connection).serialize())

    def close(self) -> None:
        """Close the connections. The next transaction opens new ones."""
        if not self.in_memory:
            self.engine.dispose()

    def renew_after_fork(self) -> None:
        """Replace the lock and connections, which belong to the parent process."""
        self.lock = threading.RLock()
        if not self.in_memory:
            self.engine.dispose(close=False)

    @property
    def _timeout(self) -> float:
        """Return how long to wait for other processes, in seconds."""
        return _SHORT_BUSY_SECONDS if self._timed_out else BUSY_SECONDS

    def _mask(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def _prepare(self) -> None:
        version = self.run(_queries.read_version, self.place)
        if not version and self.read_only:
            raise HistoryFormatError(
                f"{self.place} holds no history, and a read-only one is not created. "
                "Record a search first, or give another place."
            )
        if version < _queries.VERSION and not self.read_only:
            self.run(_queries.prepare, self.place, write=True)
        self._may_create_file = False

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
            # Only the first connection may create the file. A file that was deleted later must not
            # be replaced by an empty one.
            if self._may_create_file:
                _create_private_file(self.path)
            name = f"{self.path.as_uri()}?mode={'ro' if self.read_only else 'rw'}"
        connection = sqlite3.connect(
            name, uri=True, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = _decode_text
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")  # the file may come from a stranger
        return connection


def _create_private_file(path: os.PathLike[str]) -> None:
    """Create a file that only its owner can read, unless it exists.

    SQLite gives its journal the same permissions.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _decode_text(content: bytes) -> str | bytes:
    # By default, one text that is not valid UTF-8 makes SQLite refuse to read all rows.
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _begin_sqlite(connection: sa.Connection) -> None:
    # SQLite may refuse a transaction at once if it reads first and writes later. With BEGIN
    # IMMEDIATE, a transaction that will write waits until others have finished.
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


def _make_server_engine(address: str) -> sa.Engine:
    url = parse_url(address)
    options: dict[str, Any] = {}
    if url.drivername == "postgresql+psycopg":
        import_optional("psycopg", "postgres")
        if "connect_timeout" not in url.query:  # by default, the wait for a server is endless
            options = {"connect_timeout": 10}
    try:
        engine = sa.create_engine(
            url, pool_size=1, max_overflow=4, pool_pre_ping=True, connect_args=options
        )
    except (NoSuchModuleError, ImportError) as error:
        raise HistoryError(
            f"The driver of {url.drivername!r} cannot be loaded ({error}). Install it, or use "
            "a path (SQLite) or postgresql://..."
        ) from error
    return engine


def _is_transient(error: Exception) -> bool:
    """Return whether the same work may succeed when it is tried again."""
    text = str(error).lower()
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or isinstance(error, IntegrityError):  # another process has just inserted the row
        return True
    return any(word in text for word in ("is locked", "deadlock", "serializ"))


_READ_ONLY_ADVICE = "It cannot be written: change its permissions, or open it with read_only=True."
_ADVICE = (
    ("locked", "Another program holds it: close the program that has it open for writing."),
    ("readonly", _READ_ONLY_ADVICE),
    ("read-only", _READ_ONLY_ADVICE),
    ("is full", "Free some space, or keep the history on another disk."),
    ("no space", "Free some space, or keep the history on another disk."),
    ("unable to open", "It was moved or deleted, or may not be opened: look at its path."),
    ("disk i/o", "The disk failed or is full: check its space and health."),
    ("no such table", "Its tables are gone: restore the file, or open it again."),
    ("connection", "Check that the server runs, and the host, port, user and database."),
)


def translate(error: Exception, place: str, mask: Callable[[str], str] = str) -> SkmetaError:
    """Return an error of skmeta for one of the database, with advice.

    Parameters
    ----------
    error : Exception
    place : str
        Name of the database, without its password.
    mask : callable of str -> str
        Replaces secrets in the text of the error.
    """
    cause = getattr(error, "orig", None) or error
    text = mask(" ".join(str(cause).split()))
    lower = text.lower()
    # SQLite quotes a damaged text in its errors.
    if "not a database" in lower:
        return HistoryFormatError(
            f"{place} is not a history, nor a SQLite database, or its beginning is damaged "
            f"({text}). Give the path of a history, or of a file that does not exist yet."
        )
    if isinstance(error, UnicodeDecodeError) or "malformed" in lower:
        return HistoryFormatError(
            f"{place} is damaged ({text}). Restore a copy, or salvage what is left with "
            "sqlite3's .recover."
        )
    advice = next((what for word, what in _ADVICE if word in lower), "Look at the database.")
    return HistoryError(f"{place} cannot be used now ({text}). {advice}")
