"""Tables of a history, and queries and statements on them, each within one transaction."""

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import sqlalchemy as sa

from skmeta.exceptions import FileFormatError, HistoryError
from skmeta.search.history import _codec
from skmeta.search.history._codec import KEY_LENGTH
from skmeta.search.record import CandidateRecord, RecordedSearch, SearchRecord

FORMAT = "skmeta.history"
VERSION = 3

_FEW_KEYS = 300  # the most that are listed in a query

Rows = Sequence[dict[str, Any]]

_tables = sa.MetaData()

# Names begin with skmeta_, because a team's database may hold other tables.
about = sa.Table(
    "skmeta_about",
    _tables,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# A field that a query reads has a column; the others are in the JSON of `details` (see `_codec`).
search = sa.Table(
    "skmeta_search",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.String(KEY_LENGTH), nullable=False, unique=True),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("data_digest", sa.String(KEY_LENGTH), nullable=False),
    sa.Column("estimator", sa.Text, nullable=False),
    sa.Column("refit_metric", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("started", sa.Double, nullable=False),  # seconds since 1970
    sqlite_autoincrement=True,  # an id is never used again, so every change can be detected
)


def _of_search(**options: Any) -> sa.Column[int]:
    return sa.Column(
        "search_id",
        sa.Integer,
        sa.ForeignKey(search.c.id, ondelete="CASCADE"),
        nullable=False,
        **options,
    )


candidate = sa.Table(
    "skmeta_candidate",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    _of_search(),
    sa.Column("key", sa.String(KEY_LENGTH), nullable=False),
    sa.Column("configuration", sa.Text, nullable=False),
    sa.Column("scores", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.UniqueConstraint("search_id", "key"),
    sqlite_autoincrement=True,
)

# A candidate that a worker of a shared search evaluates, or has evaluated.
lease = sa.Table(
    "skmeta_lease",
    _tables,
    _of_search(primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(KEY_LENGTH), nullable=False),
    sa.Column("candidate", sa.Text, nullable=False),
    sa.Column("worker", sa.String(255), nullable=False),
    sa.Column("expires", sa.Double, nullable=False),  # seconds since 1970 by the database's clock
    sa.Column("n_starts", sa.Integer, nullable=False),  # of workers that did not give it back
    sa.UniqueConstraint("search_id", "key"),
)

# Statements that are executed for each candidate. Building them took longer than executing them.
_SEARCH_ID = sa.select(search.c.id).where(search.c.fingerprint == sa.bindparam("fingerprint"))
_CANDIDATES = sa.select(candidate).where(candidate.c.search_id == _SEARCH_ID.scalar_subquery())
_CANDIDATES = _CANDIDATES.order_by(candidate.c.id)
_CANDIDATES_OF_KEYS = _CANDIDATES.where(candidate.c.key.in_(sa.bindparam("keys", expanding=True)))
_INSERT_CANDIDATES = sa.insert(candidate)

# An arbitrary number: the key of PostgreSQL's advisory lock while tables are created.
_CREATION_LOCK = 7_305_810_964


# -- the format ------------------------------------------------------------------------------------


def read_version(connection: sa.Connection, place: str) -> int:
    """Return the version of the history in a database; 0 if there is none."""
    try:
        names = sa.inspect(connection).get_table_names()
    except (TypeError, ValueError) as error:  # SQLAlchemy's, about texts that are not UTF-8
        raise FileFormatError(
            f"The names or types of a history's tables are damaged ({error}). Restore a copy, or "
            "salvage what is left with sqlite3's .recover."
        ) from error
    if about.name not in names:
        if names and connection.dialect.name == "sqlite":
            shown = ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
            raise FileFormatError(
                f"{place} is a database, but not a history: it holds the tables {shown}. Give the "
                "path of a history, or of a file that does not exist yet."
            )
        return 0
    rows: Any = connection.execute(sa.select(about.c.name, about.c.value))
    values = dict(rows.all())
    version = str(values.get("version"))
    if values.get("format") != FORMAT or not version.isdecimal() or int(version) < 1:
        raise FileFormatError(
            f"{place} has a table {about.name!r} that does not describe a history (format "
            f"{values.get('format')!r}, version {version!r}). It was altered: use a copy."
        )
    if int(version) != VERSION:
        raise FileFormatError(
            f"{place} holds a history of format {version}, and this version of skmeta reads "
            f"format {VERSION}. Upgrade skmeta, or give another file."
        )
    return int(version)


def prepare(connection: sa.Connection, place: str) -> None:
    """Create the tables, unless another process was faster."""
    if connection.dialect.name == "postgresql":  # other processes wait
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION_LOCK)))
    if not read_version(connection, place):
        _tables.create_all(connection)
        values = {"format": FORMAT, "version": str(VERSION), "id": secrets.token_hex(16)}
        connection.execute(sa.insert(about), [{"name": k, "value": v} for k, v in values.items()])


# -- writing ---------------------------------------------------------------------------------------


def find_search(connection: sa.Connection, fingerprint: str) -> int | None:
    """Return the id of a search, or None."""
    search_id: int | None = connection.execute(_SEARCH_ID, {"fingerprint": fingerprint}).scalar()
    return search_id


def ensure_search(
    connection: sa.Connection, record: SearchRecord, started: float | None = None
) -> None:
    """Insert a search if it is not there, or if its row is damaged."""
    known = read_searches(connection, fingerprint=record.fingerprint)
    decode: Callable[[dict[str, Any]], Any] = _codec.row_to_search
    if known and _codec.decode_rows(known, decode, []):
        return
    started = time.time() if started is None else started
    row = {**_codec.seal(_codec.search_to_row(record)), "started": started}
    if known:
        connection.execute(sa.update(search).where(search.c.id == known[0]["id"]).values(row))
    else:
        connection.execute(sa.insert(search).values(row))


def insert_candidates(
    connection: sa.Connection, fingerprint: str, candidates: Iterable[CandidateRecord]
) -> int:
    """Insert candidates that are new, or damaged on record; count those with other scores."""
    # Not by the id, which would be that of another search if the file was replaced meanwhile.
    search_id = find_search(connection, fingerprint)
    if search_id is None:
        raise HistoryError(
            f"The search {fingerprint!r} is not in the history. It was removed, or the file was "
            "replaced."
        )
    rows = [_codec.seal(_codec.candidate_to_row(one), fingerprint) for one in candidates]
    decode = partial(_codec.row_to_candidate, owner=fingerprint)
    wanted = {row["key"]: row for row in reversed(rows)}  # the first of equal keys
    if connection.dialect.name != "sqlite":  # SQLite locks the whole file
        # Locking the search's row makes other writers of this search wait, if rows can be locked.
        lock = sa.select(search.c.id).where(search.c.id == search_id).with_for_update()
        connection.execute(lock)
    n_different = 0
    for row in read_candidates(connection, fingerprint, list(wanted)):
        if _codec.decode_rows([row], decode, []):
            n_different += wanted.pop(row["key"])["scores"] != row["scores"]
        else:
            connection.execute(sa.delete(candidate).where(candidate.c.id == row["id"]))
    if wanted:
        new = [{"search_id": search_id, **row} for row in reversed(wanted.values())]
        connection.execute(_INSERT_CANDIDATES, new)
    return n_different


def merge_searches(connection: sa.Connection, items: Iterable[RecordedSearch]) -> int:
    """Insert searches, or their candidates that are new; return as `insert_candidates` does."""
    n_different = 0
    for item in items:
        ensure_search(connection, item.record, item.started)
        n_different += insert_candidates(connection, item.record.fingerprint, item.candidates)
    return n_different


def remove_dataset(connection: sa.Connection, dataset: str) -> int:
    """Delete the searches on a data set, given by its name or digest; return how many."""
    chosen = sa.or_(search.c.dataset == dataset, search.c.data_digest == dataset)
    # Their candidates and leases go with them.
    return connection.execute(sa.delete(search).where(chosen)).rowcount


# -- reading ---------------------------------------------------------------------------------------


def read_candidates(
    connection: sa.Connection, fingerprint: str, keys: Collection[str] | None = None
) -> Rows:
    """Return the rows of a search's candidates, or those of `keys`, in the order of recording."""
    query = _CANDIDATES if keys is None else _CANDIDATES_OF_KEYS
    return _read(connection, query, {"fingerprint": fingerprint, "keys": list(keys or ())})


def read_searches(
    connection: sa.Connection,
    classes: Collection[str] | None = None,
    last_id: int | None = None,
    **values: Any,
) -> Rows:
    """Return searches of `classes` with these `values`, and with candidates up to `last_id`."""
    query = sa.select(search).filter_by(**values).order_by(search.c.id)
    if classes is not None:
        known: Iterable[Any] = connection.execute(sa.select(search.c.estimator).distinct())
        names = [name for (name,) in known if not set(classes).isdisjoint(str(name).split("|"))]
        query = query.where(search.c.estimator.in_(names))
    if last_id is not None:
        is_early = (candidate.c.search_id == search.c.id) & (candidate.c.id <= last_id)
        query = query.where(sa.exists().where(is_early))
    return _read(connection, query)


def read_scores(
    connection: sa.Connection, searches: Rows, last_id: int | None = None
) -> dict[int, list[dict[str, Any]]]:
    """Return id, configuration and scores of candidates, by search; ids are at most `last_id`."""
    rows: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in searches}
    ids: Any = list(rows)
    if len(ids) > _FEW_KEYS:
        names = {row["estimator"] for row in searches}
        ids = sa.select(search.c.id).where(search.c.estimator.in_(names))
    columns = [candidate.c[n] for n in ("id", "search_id", "configuration", "scores")]
    query = sa.select(*columns).where(candidate.c.search_id.in_(ids)).order_by(candidate.c.id)
    if last_id is not None:
        query = query.where(candidate.c.id <= last_id)
    for row in _read(connection, query):
        if row["search_id"] in rows:
            rows[row["search_id"]].append(row)
    return rows


def read_past(
    connection: sa.Connection,
    classes: Collection[str] | None,
    is_kept: Callable[[dict[str, Any]], bool],
    until: tuple[str, int] | None,
    limit: int | None,
) -> tuple[Rows, dict[int, list[dict[str, Any]]]]:
    """Return the rows of the latest searches that are kept, and of their candidates."""
    is_own = until is not None and until[0] == read_position(connection)[0]
    last_id = until[1] if until is not None and is_own else None
    latest = filter(is_kept, reversed(read_searches(connection, classes, last_id)))
    rows = [*islice(latest, limit)][::-1]
    return rows, read_scores(connection, rows, last_id)


def read_all(connection: sa.Connection) -> tuple[list[RecordedSearch], list[str]]:
    """Return all searches with their candidates, and a description of each damaged row."""
    damage: list[str] = []

    def decode_search(row: dict[str, Any]) -> RecordedSearch:
        recorded = _codec.row_to_recorded(row)
        rows = read_candidates(connection, recorded.record.fingerprint)
        decode = partial(_codec.row_to_candidate, owner=recorded.record.fingerprint)
        candidates = tuple(_codec.decode_rows(rows, decode, damage))
        return replace(recorded, candidates=candidates)

    return _codec.decode_rows(read_searches(connection), decode_search, damage), damage


def read_position(connection: sa.Connection) -> tuple[str, int]:
    """Return the history's identity and the id of its last candidate."""
    identity = connection.execute(sa.select(about.c.value).where(about.c.name == "id")).scalar()
    last_id = connection.execute(sa.select(sa.func.max(candidate.c.id))).scalar()
    return str(identity), int(last_id or 0)


def describe(connection: sa.Connection) -> list[tuple[str, int, int, int]]:
    """Return estimator, number of data sets, of searches and of candidates, per estimator."""
    counted = (search.c.dataset.distinct(), search.c.id.distinct(), candidate.c.id)
    query = (
        sa.select(search.c.estimator, *map(sa.func.count, counted))
        .outerjoin(candidate, candidate.c.search_id == search.c.id)
        .group_by(search.c.estimator)
        .order_by(search.c.estimator)
    )
    rows: Iterable[Any] = connection.execute(query)
    return [(str(name), int(a), int(b), int(c)) for name, a, b, c in rows]


def _read(
    connection: sa.Connection, query: sa.Select[Any], values: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    result = connection.execute(query, values)
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]
