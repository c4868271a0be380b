"""Queries and statements on a history's tables, each within one transaction."""

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from skmeta.search.history import _codec
from skmeta.search.history._schema import about, candidate, search
from skmeta.search.record import RecordedSearch, SearchRecord

_FEW_KEYS = 300  # the most that are listed in a query

Rows = Sequence[dict[str, Any]]


# Statements that are executed for each candidate. Building them took longer than executing them.
_SEARCH_ID = sa.select(search.c.id).where(search.c.fingerprint == sa.bindparam("fingerprint"))
_CANDIDATES = sa.select(candidate).where(candidate.c.search_id == sa.bindparam("search_id"))
_CANDIDATES_OF_KEYS = _CANDIDATES.where(candidate.c.key.in_(sa.bindparam("keys", expanding=True)))
_INSERT_CANDIDATES = sa.insert(candidate)


def find_search(connection: sa.Connection, fingerprint: str) -> int | None:
    """Return the id of a search, or None."""
    search_id: int | None = connection.execute(_SEARCH_ID, {"fingerprint": fingerprint}).scalar()
    return search_id


def ensure_search(
    connection: sa.Connection, record: SearchRecord, started: float | None = None
) -> int:
    """Return the id of a search, and insert it if it is not there."""
    known = find_search(connection, record.fingerprint)
    if known is not None:
        return known
    row = {**_codec.search_to_row(record), "started": time.time() if started is None else started}
    key = connection.execute(sa.insert(search).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def insert_candidates(connection: sa.Connection, search_id: int, rows: Iterable[_codec.Row]) -> int:
    """Insert the candidates that a search does not have yet.

    A candidate of the same key is kept, unless it is damaged. Return how many of those that are
    kept have other scores.
    """
    wanted = {row["key"]: row for row in reversed(list(rows))}  # the first of equal keys
    if connection.dialect.name != "sqlite":  # SQLite locks the whole file
        # Locking the search's row makes other writers of this search wait, if rows can be locked.
        lock = sa.select(search.c.id).where(search.c.id == search_id).with_for_update()
        connection.execute(lock)
    values: dict[str, Any] = {"search_id": search_id}
    query = _CANDIDATES
    if len(wanted) <= _FEW_KEYS:
        query, values = _CANDIDATES_OF_KEYS, {**values, "keys": list(wanted)}
    n_different = 0
    for row in _read(connection, query, values):
        if row["key"] not in wanted:
            continue
        if _codec.decode_rows([row], _codec.row_to_candidate, []):
            n_different += wanted.pop(row["key"])["scores"] != row["scores"]
        else:
            connection.execute(sa.delete(candidate).where(candidate.c.id == row["id"]))
    if wanted:
        new = [{"search_id": search_id, **row} for row in reversed(wanted.values())]
        connection.execute(_INSERT_CANDIDATES, new)
    return n_different


def finish_search(connection: sa.Connection, search_id: int, finished: float | None = None) -> None:
    """Write when a search finished, unless it is written already."""
    statement = sa.update(search).where(search.c.id == search_id, search.c.finished.is_(None))
    moment = time.time() if finished is None else finished
    connection.execute(statement.values(finished=moment))


def merge_search(connection: sa.Connection, item: RecordedSearch) -> int:
    """Insert a search, or its candidates that are new; return as `insert_candidates` does."""
    search_id = ensure_search(connection, item.record, item.started)
    if item.finished is not None:
        finish_search(connection, search_id, item.finished)
    rows = [_codec.candidate_to_row(one) for one in item.candidates]
    return insert_candidates(connection, search_id, rows)


def remove_dataset(connection: sa.Connection, dataset: str) -> int:
    """Delete the searches on a data set, given by its name or digest; return how many."""
    chosen = sa.or_(search.c.dataset == dataset, search.c.data_digest == dataset)
    # Their candidates and leases go with them.
    return connection.execute(sa.delete(search).where(chosen)).rowcount


def read_candidates(
    connection: sa.Connection, search_id: int, keys: Collection[str] | None = None
) -> Rows:
    """Return the rows of a search's candidates, in the order in which they were recorded.

    With `keys`, only these.
    """
    query = sa.select(candidate).where(candidate.c.search_id == search_id)
    if keys is not None:
        query = query.where(candidate.c.key.in_(list(keys)))
    return _read(connection, query.order_by(candidate.c.id))


def read_searches(
    connection: sa.Connection,
    classes: Collection[str] | None = None,
    *,
    search_id: int | None = None,
    fingerprint: str | None = None,
    last_id: int | None = None,
) -> Rows:
    """Return the rows of searches.

    With `classes`, only of those that tried one of some estimator classes; with `search_id` or
    `fingerprint`, only of the one that has it; with `last_id`, only of those that have a candidate
    up to this id.
    """
    query = sa.select(search).order_by(search.c.id)
    if search_id is not None:
        query = query.where(search.c.id == search_id)
    if fingerprint is not None:
        query = query.where(search.c.fingerprint == fingerprint)
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
    """Return id, configuration and scores of the candidates of some searches, by search.

    With `last_id`, only of candidates up to this id.
    """
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


def read_all(connection: sa.Connection) -> tuple[list[RecordedSearch], list[str]]:
    """Return all searches with their candidates, and a description of each damaged row."""
    damage: list[str] = []

    def decode(row: dict[str, Any]) -> RecordedSearch:
        rows = read_candidates(connection, row["id"])
        candidates = _codec.decode_rows(rows, _codec.row_to_candidate, damage)
        started, finished = _codec.row_to_times(row)
        return RecordedSearch(
            record=_codec.row_to_search(row),
            candidates=tuple(candidates),
            started=started,
            finished=finished,
        )

    rows = _read(connection, sa.select(search).order_by(search.c.id))
    return _codec.decode_rows(rows, decode, damage), damage


def count_searches(connection: sa.Connection) -> int:
    """Return the number of searches."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(search)).scalar_one())


def read_token(connection: sa.Connection) -> tuple[Any, ...]:
    """Return a value that changes when searches or candidates are added or removed.

    Ids are never used again. The number of rows shows a smaller id that was committed later.
    """
    identity = connection.execute(sa.select(about.c.value).where(about.c.name == "id")).scalar()
    numbers = [
        tuple(connection.execute(sa.select(sa.func.count(), sa.func.max(t.c.id))).one())
        for t in (search, candidate)
    ]
    latest = connection.execute(sa.select(sa.func.max(search.c.started))).scalar()
    return (identity, latest, *numbers)


def read_position(connection: sa.Connection) -> tuple[str, int]:
    """Return the history's identity and the id of its last candidate."""
    identity = connection.execute(sa.select(about.c.value).where(about.c.name == "id")).scalar()
    last_id = connection.execute(sa.select(sa.func.max(candidate.c.id))).scalar()
    return str(identity), int(last_id or 0)


def describe(connection: sa.Connection) -> list[tuple[str, int, int, int]]:
    """Return estimator, number of data sets, of searches and of candidates, per estimator."""
    query = (
        sa.select(
            search.c.estimator,
            sa.func.count(search.c.dataset.distinct()),
            sa.func.count(search.c.id.distinct()),
            sa.func.count(candidate.c.id),
        )
        .outerjoin(candidate, candidate.c.search_id == search.c.id)
        .group_by(search.c.estimator)
        .order_by(search.c.estimator)
    )
    return [
        (str(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in connection.execute(query)
    ]


def _read(
    connection: sa.Connection, query: sa.Select[Any], values: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    result = connection.execute(query, values)
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]
