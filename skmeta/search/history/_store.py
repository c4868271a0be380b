"""The database of a history: its address, connections, transactions and errors."""

import itertools
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from skmeta._optional import import_optional
from skmeta.exceptions import FileFormatError, HistoryError, SkmetaError
from skmeta.search.history import _queries
from skmeta.search.history._address import (
    MASK,
    MEMORY,
    is_url,
    mask_password,
    parse_url,
    secrets_of,
)

T = TypeVar("T")

BUSY_SECONDS = 30.0  # how long a process waits for other processes to finish writing
# How long it waits after a failure, so that a locked database does not delay each candidate.
_SHORT_BUSY_SECONDS = 1.0
_ATTEMPTS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between attempts


class HistoryStore:
    """A database with the tables of a history.

    SQLite keeps its rollback journal: write-ahead logging breaks on network file systems and needs
    a writable directory even to read. Each transaction opens its own connection, so forks and
    threads share nothing.
    """

    def __init__(self, address: str, *, read_only: bool = False, content: bytes | None = None):
        self.address = address
        self.read_only = read_only
        self.path = _file_of(address)
        self.name = mask_password(address) if self.path is None else str(self.path)
        if self.path is not None:
            _check_file(self.path, read_only)
            self.path = self.path.absolute()  # this process or a worker may change its folder
            self.address = str(self.path)
            # Only now, so that a file that is deleted later is not replaced by an empty one. SQLite
            # gives its journal the same permissions: only the owner can read them.
            with suppress(FileExistsError):
                if not read_only:
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self.place = "The history in memory" if self.in_memory else repr(self.name)
        # Threads share the one connection to a database in memory.
        self._lock = threading.RLock() if self.in_memory else nullcontext()
        # Seconds for which work is tried again whatever the error: a server that is restarted does
        # not end a shared search.
        self.patience = 0.0
        self._timed_out = False
        self.engine = self._make_engine(content)
        # Garbage collection leaves the connection open, about which Python warns.
        weakref.finalize(self, self.engine.dispose)
        self._prepare()

    @property
    def in_memory(self) -> bool:
        return self.address == MEMORY

    def run(self, work: Callable[..., T], *args: Any, write: bool = False, **kwargs: Any) -> T:
        """Return ``work(connection, ...)``, one transaction, tried again while others lock it."""
        if write and self.read_only:
            raise HistoryError(
                f"{self.place} was opened with mode='read' and cannot be changed. Open it "
                "with mode='write'."
            )
        begun, pause = time.monotonic(), _FIRST_PAUSE
        engine = self.engine.execution_options(skmeta_write=write)
        for attempt in itertools.count():
            try:
                with self._lock, engine.begin() as connection:
                    result = work(connection, *args, **kwargs)
            except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError) as error:
                waited, problem = time.monotonic() - begun, _translate(error, self.place)
                quoted = f"{error} {unquote(str(error))}"
                is_secret = any(text in quoted for text in secrets_of(self.address))
                if is_secret:
                    problem = HistoryError(
                        f"{self.place} cannot be used now. The message of the database quotes its "
                        "URL, and is not shown. Look at the database."
                    )
                self._timed_out = waited > self._timeout or attempt >= _ATTEMPTS - 1
                is_patient = waited + pause < self.patience and isinstance(problem, HistoryError)
                if not is_patient and (self._timed_out or not _is_transient(error)):
                    raise problem from (None if is_secret else error)
                time.sleep(pause)
                pause = min(4 * pause, _LONGEST_PAUSE)
            else:
                self._timed_out = False
                return result
        raise AssertionError("unreachable")

    def content(self) -> bytes:
        """Return a database in memory as bytes."""
        with self._lock, self.engine.connect() as connection:
            return bytes(_driver(connection).serialize())

    @property
    def _timeout(self) -> float:
        """Return how long to wait for other processes, in seconds."""
        return _SHORT_BUSY_SECONDS if self._timed_out else BUSY_SECONDS

    def _prepare(self) -> None:
        version = self.run(_queries.read_version, self.place)
        if not version and self.read_only:
            raise FileFormatError(
                f"{self.place} holds no history, and a read-only one is not created. "
                "Record a search first, or give another place."
            )
        if not version:
            self.run(_queries.prepare, self.place, write=True)

    def _make_engine(self, content: bytes | None) -> sa.Engine:
        if self.path is None and not self.in_memory:
            return _make_server_engine(self.address)
        pool = sa.StaticPool if self.in_memory else sa.NullPool
        engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=pool)
        sa.event.listen(engine, "begin", _begin_sqlite)
        if content is not None:
            with engine.connect() as connection:
                _driver(connection).deserialize(content)
        return engine

    def _connect(self) -> sqlite3.Connection:
        mode = "ro" if self.read_only else "rw"
        name = MEMORY if self.path is None else f"{self.path.as_uri()}?mode={mode}"
        connection = sqlite3.connect(
            name, uri=True, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = _decode_text
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")  # the file may come from a stranger
        return connection


def _parse_url(address: str) -> sa.URL:
    """Return a parsed URL; psycopg 3 is the driver of PostgreSQL unless another is named."""
    url = parse_url(address)
    if url is None:  # the message does not repeat the URL, which may hold a password
        raise HistoryError(
            f"The URL of the history ({mask_password(address)}) cannot be parsed. It looks like "
            "postgresql://user@host:5432/database. Write special characters of a password as %XX: "
            "@ is %40, and / is %2F."
        )
    is_postgres = url.drivername in ("postgresql", "postgres")
    return url.set(drivername="postgresql+psycopg") if is_postgres else url


def _file_of(address: str) -> Path | None:
    """Return the file of an address; None if it is in memory or on a server."""
    if address == MEMORY:
        return None
    if not is_url(address):
        return Path(address).expanduser()
    url = _parse_url(address)
    if MASK in address and mask_password(address) == address:
        raise HistoryError(
            f"The secrets of the URL {address!r} were not pickled along with the search or the "
            "history. Pass the URL again with set_params(history=...), or keep the password in "
            "PostgreSQL's own password file, which worker processes read."
        )
    if url.get_backend_name() != "sqlite":
        return None
    plain = url.drivername in ("sqlite", "sqlite+pysqlite") and not url.query
    if not plain or not url.database or url.database.startswith((":", "file:")) or url.host:
        raise HistoryError(
            f"The URL {mask_password(address)!r} is not just the path of a SQLite file, and its "
            f"other parts would be ignored. Give the path itself, or {MEMORY!r} for a history in "
            "memory."
        )
    return Path(url.database).expanduser()


def _check_file(path: Path, read_only: bool) -> None:
    """Raise if a history cannot be kept in a file, before SQLite opens it."""
    if path.exists() and not path.is_file():
        raise HistoryError(
            f"{str(path)!r} is not a regular file, but a folder, a pipe or a device. Give the path "
            "of a file."
        )
    if not path.parent.is_dir():
        raise HistoryError(
            f"The folder {str(path.parent)!r} does not exist. Create it before a history is "
            f"kept there as {path.name!r}."
        )
    if read_only and not path.exists():
        raise HistoryError(
            f"{str(path)!r} does not exist, and a read-only history is not created. "
            "Record a search first, or give another path."
        )
    # SQLite writes its journal to the same folder, which has to be writable too.
    for what, place in (("folder", path.parent), ("file", path)):
        if not read_only and place.exists() and not os.access(place, os.W_OK):
            raise HistoryError(
                f"The {what} {str(place)!r} cannot be written, and the history needs to. "
                "Change its permissions, choose another, or open it with mode='read'."
            )


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


def _make_server_engine(address: str) -> sa.Engine:
    url = _parse_url(address)
    options: dict[str, Any] = {}
    if url.drivername == "postgresql+psycopg":
        import_optional("psycopg", "postgres")
        if "connect_timeout" not in url.query:  # by default, the wait for a server is endless
            options = {"connect_timeout": 10}
    try:
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=options)
    except (NoSuchModuleError, ImportError) as error:
        raise HistoryError(
            f"The driver of {url.drivername!r} cannot be loaded ({error}). Install it, or use "
            "a path (SQLite) or postgresql://..."
        ) from error


def _is_transient(error: Exception) -> bool:
    """Return whether the same work may succeed when it is tried again."""
    text = str(error).lower()
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or isinstance(error, IntegrityError):  # another process has just inserted the row
        return True
    return any(word in text for word in ("is locked", "deadlock", "serializ"))


_READ_ONLY_ADVICE = "It cannot be written: change its permissions, or open it with mode='read'."
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


def _translate(error: Exception, place: str) -> SkmetaError:
    """Return an error of skmeta for one of the database, with advice."""
    cause = getattr(error, "orig", None) or error
    text = " ".join(str(cause).split())
    lower = text.lower()
    # SQLite quotes a damaged text in its errors.
    if "not a database" in lower:
        return FileFormatError(
            f"{place} is not a history, nor a SQLite database, or its beginning is damaged "
            f"({text}). Give the path of a history, or of a file that does not exist yet."
        )
    if isinstance(error, UnicodeDecodeError) or "malformed" in lower:
        return FileFormatError(
            f"{place} is damaged ({text}). Restore a copy, or salvage what is left with "
            "sqlite3's .recover."
        )
    advice = next((what for word, what in _ADVICE if word in lower), "Look at the database.")
    return HistoryError(f"{place} cannot be used now ({text}). {advice}")
