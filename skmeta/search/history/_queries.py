"""What is read from and written to a history's tables, within one transaction."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from skmeta.search.history import _codec
from skmeta.search.history._schema import about, evaluation, search
from skmeta.search.record import Evaluation, RecordedSearch, SearchRecord

_FEW_KEYS = 100  # the most that are listed in a query

Rows = Sequence[dict[str, Any]]


def _read(connection: sa.Connection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    result = connection.execute(query)
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]


def _every_column(table: sa.Table) -> sa.Select[Any]:
    # A history of version 0.1 that is opened for reading lacks columns, so none is named.
    return sa.select(sa.literal_column("*")).select_from(table)


def find_search(connection: sa.Connection, fingerprint: str) -> int | None:
    """Return the id of a search, or None."""
    query = sa.select(search.c.id).where(search.c.fingerprint == fingerprint)
    found: int | None = connection.execute(query).scalar()
    return found


def find_record(connection: sa.Connection, search_id: int) -> SearchRecord | None:
    """Return what was known of a search before its first candidate, or None."""
    query = _every_column(search).where(search.c.id == search_id)
    rows = _read(connection, query)
    return _codec.row_to_search(rows[0]) if rows else None


def ensure_search(
    connection: sa.Connection, record: SearchRecord, started: float | None = None
) -> int:
    """Return the id of a search, which is inserted if it is not there.

    A data set that had no name gets the one of `record`.
    """
    found = find_search(connection, record.fingerprint)
    if found is not None:
        if record.dataset is not None:
            _name_dataset(connection, found, record)
        return found
    row = {**_codec.search_to_row(record), "started": time.time() if started is None else started}
    key = connection.execute(sa.insert(search).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _name_dataset(connection: sa.Connection, search_id: int, record: SearchRecord) -> None:
    row = _codec.search_to_row(record)
    unnamed = search.c.dataset.in_(_codec.labels_without_name(record.data_digest))
    statement = sa.update(search).where(search.c.id == search_id, unnamed)
    connection.execute(statement.values(dataset=row["dataset"]))


def insert_evaluations(
    connection: sa.Connection, search_id: int, rows: Iterable[_codec.Row]
) -> int:
    """Insert the candidates that the search does not have yet; return how many."""
    wanted = {row["key"]: row for row in reversed(list(rows))}  # of equal keys, the first
    # Locking the search's row makes other writers of this search wait, where rows can be locked.
    lock = sa.select(search.c.id).where(search.c.id == search_id).with_for_update()
    connection.execute(lock)
    query = sa.select(evaluation.c.key).where(evaluation.c.search_id == search_id)
    if len(wanted) <= _FEW_KEYS:
        query = query.where(evaluation.c.key.in_(list(wanted)))
    present: Iterable[str] = connection.execute(query).scalars()
    for key in present:
        wanted.pop(key, None)
    new = [{"search_id": search_id, **row} for row in reversed(wanted.values())]
    if new:
        connection.execute(sa.insert(evaluation), new)
    return len(new)


def finish_search(connection: sa.Connection, search_id: int, finished: float | None = None) -> None:
    """Note when a search ended, the first time it did."""
    statement = sa.update(search).where(search.c.id == search_id, search.c.finished.is_(None))
    moment = time.time() if finished is None else finished
    connection.execute(statement.values(finished=moment))


def merge_search(connection: sa.Connection, item: RecordedSearch) -> int:
    """Insert what is new of a search; return how many candidates."""
    search_id = ensure_search(connection, item.record, item.started)
    if item.finished is not None:
        finish_search(connection, search_id, item.finished)
    rows = [_codec.evaluation_to_row(e) for e in item.evaluations]
    return insert_evaluations(connection, search_id, rows)


def remove_dataset(connection: sa.Connection, dataset: str) -> int:
    """Delete the searches on a data set, by its name or digest; return how many."""
    chosen = sa.or_(search.c.dataset == dataset, search.c.data_digest == dataset)
    ids = sa.select(search.c.id).where(chosen)
    connection.execute(sa.delete(evaluation).where(evaluation.c.search_id.in_(ids)))
    return connection.execute(sa.delete(search).where(chosen)).rowcount


def read_evaluations(connection: sa.Connection, search_id: int) -> list[Evaluation]:
    """Return the candidates of a search, in the order they were recorded."""
    query = _every_column(evaluation).where(evaluation.c.search_id == search_id)
    rows = _read(connection, query.order_by(evaluation.c.id))
    return [_codec.row_to_evaluation(row) for row in rows]


def read_searches(connection: sa.Connection, classes: Collection[str] | None) -> Rows:
    """Return the searches that tried one of some estimator classes (None: all of them)."""
    query = _every_column(search).order_by(search.c.id)
    if classes is not None:
        known = sa.select(search.c.estimator).distinct()
        names: Iterable[str] = connection.execute(known).scalars()
        matching = [name for name in names if not set(classes).isdisjoint(name.split("|"))]
        query = query.where(search.c.estimator.in_(matching))
    return _read(connection, query)


def read_scores(
    connection: sa.Connection, searches: Rows, last_id: int | None = None
) -> dict[int, tuple[list[str], list[str]]]:
    """Return the texts of configurations and scores, by the id of their search.

    With `last_id`, only of evaluations up to this id.
    """
    names = {row["estimator"] for row in searches}
    ids = sa.select(search.c.id).where(search.c.estimator.in_(names))
    query = (
        sa.select(evaluation.c.search_id, evaluation.c.configuration, evaluation.c.scores)
        .where(evaluation.c.search_id.in_(ids))
        .order_by(evaluation.c.id)
    )
    if last_id is not None:
        query = query.where(evaluation.c.id <= last_id)
    texts: dict[int, tuple[list[str], list[str]]] = {row["id"]: ([], []) for row in searches}
    found: Iterable[Any] = connection.execute(query)
    for search_id, configuration, scores in found:
        if search_id in texts:
            texts[search_id][0].append(configuration)
            texts[search_id][1].append(scores)
    return texts


def read_whole(connection: sa.Connection) -> Iterator[RecordedSearch]:
    """Yield every search with its candidates."""
    for row in _read(connection, _every_column(search).order_by(search.c.id)):
        yield RecordedSearch(
            record=_codec.row_to_search(row),
            evaluations=tuple(read_evaluations(connection, row["id"])),
            started=row["started"],
            finished=row["finished"],
        )


def count(connection: sa.Connection, table: sa.Table) -> int:
    """Return the number of rows."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def read_token(connection: sa.Connection) -> tuple[Any, ...]:
    """Return what differs when searches or candidates were added or removed.

    Ids are never used again, and the number tells of a smaller id that was committed later.
    """
    identity = connection.execute(sa.select(about.c.value).where(about.c.name == "id")).scalar()
    numbers = [
        tuple(connection.execute(sa.select(sa.func.count(), sa.func.max(t.c.id))).one())
        for t in (search, evaluation)
    ]
    latest = connection.execute(sa.select(sa.func.max(search.c.started))).scalar()
    return (identity, latest, *numbers)


def read_position(connection: sa.Connection) -> tuple[str, int]:
    """Return the history's identity and the id of its last evaluation."""
    identity = connection.execute(sa.select(about.c.value).where(about.c.name == "id")).scalar()
    last_id = connection.execute(sa.select(sa.func.max(evaluation.c.id))).scalar()
    return str(identity), int(last_id or 0)


def describe(connection: sa.Connection) -> list[tuple[str, int, int, int]]:
    """Return estimator, number of data sets, searches and candidates, one row an estimator."""
    query = (
        sa.select(
            search.c.estimator,
            sa.func.count(search.c.dataset.distinct()),
            sa.func.count(search.c.id.distinct()),
            sa.func.count(evaluation.c.id),
        )
        .outerjoin(evaluation, evaluation.c.search_id == search.c.id)
        .group_by(search.c.estimator)
        .order_by(search.c.estimator)
    )
    return [
        (str(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in connection.execute(query)
    ]
