"""Queries and statements on the table of leases, each within one transaction.

A row is a candidate that a worker proposed. It stays when the candidate is finished, since its
position is the candidate's place in the results.
"""

import time
from collections.abc import Collection, Sequence
from datetime import UTC
from typing import Any

import sqlalchemy as sa

from skmeta.search.history._schema import candidate, lease, search

Row = dict[str, Any]


def read(connection: sa.Connection, search_id: int) -> tuple[list[Row], list[str], float]:
    """Return the leases by position, the keys of finished candidates, and the time."""
    query = sa.select(lease).where(lease.c.search_id == search_id).order_by(lease.c.position)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    keys = sa.select(candidate.c.key).where(candidate.c.search_id == search_id)
    finished: list[str] = list(connection.execute(keys.order_by(candidate.c.id)).scalars())
    return rows, finished, _now(connection)


def insert(
    connection: sa.Connection,
    search_id: int,
    rows: Sequence[Row],
    *,
    n_leases: int,
    n_finished: int | None,
    timeout: float,
) -> bool:
    """Insert leases if there are as many leases, and finished candidates, as the worker knows.

    Otherwise nothing is done, and the answer is False: the worker proposed without knowledge of
    what others did meanwhile.
    """
    _lock(connection, search_id)
    if _count(connection, lease, search_id) != n_leases:
        return False
    if n_finished is not None and _count(connection, candidate, search_id) != n_finished:
        return False
    expires = _now(connection) + timeout
    connection.execute(
        sa.insert(lease),
        [
            {
                **row,
                "search_id": search_id,
                "position": n_leases + k,
                "expires": expires,
                "n_starts": 1,
            }
            for k, row in enumerate(rows)
        ],
    )
    return True


def take(
    connection: sa.Connection, search_id: int, worker: str, n: int, within: int, timeout: float
) -> dict[str, int]:
    """Take over at most `n` unfinished candidates whose leases have expired.

    Only of the first `within` positions. Return their keys, with the number of workers that began
    them and ended.
    """
    _lock(connection, search_id)
    now = _now(connection)
    finished = sa.select(candidate.c.key).where(candidate.c.search_id == search_id)
    query = (
        sa.select(lease.c.key, lease.c.n_starts)
        .where(lease.c.search_id == search_id, lease.c.expires <= now, lease.c.position < within)
        .where(lease.c.key.not_in(finished))
        .order_by(lease.c.position)
        .limit(n)
    )
    n_lost = {row.key: int(row.n_starts) for row in connection.execute(query)}
    if n_lost:
        mine = sa.update(lease).where(lease.c.search_id == search_id, lease.c.key.in_(list(n_lost)))
        changed = {"worker": worker, "expires": now + timeout, "n_starts": lease.c.n_starts + 1}
        connection.execute(mine.values(changed))
    return n_lost


def renew(
    connection: sa.Connection, search_id: int, worker: str, keys: Collection[str], timeout: float
) -> None:
    """Let a worker's leases end `timeout` seconds from now."""
    mine = _leases_of(search_id, worker, keys)
    connection.execute(mine.values(expires=_now(connection) + timeout))


def give_back(
    connection: sa.Connection, search_id: int, worker: str, keys: Collection[str], *, is_lost: bool
) -> None:
    """Let a worker's leases end now; the worker's start counts only if its processes died."""
    n_starts = lease.c.n_starts if is_lost else lease.c.n_starts - 1
    mine = _leases_of(search_id, worker, keys)
    connection.execute(mine.values(expires=_now(connection), n_starts=n_starts))


def _leases_of(search_id: int, worker: str, keys: Collection[str]) -> sa.Update:
    return sa.update(lease).where(
        lease.c.search_id == search_id, lease.c.worker == worker, lease.c.key.in_(list(keys))
    )


def _lock(connection: sa.Connection, search_id: int) -> None:
    """Make other writers of this search wait, as writers of its candidates do."""
    connection.execute(sa.select(search.c.id).where(search.c.id == search_id).with_for_update())


def _count(connection: sa.Connection, table: sa.Table, search_id: int) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(table.c.search_id == search_id)
    return int(connection.execute(query).scalar_one())


def _now(connection: sa.Connection) -> float:
    """Return the time of the database, since the clocks of workers may differ."""
    if connection.dialect.name == "sqlite":  # all workers are on one machine
        return time.time()
    moment = connection.execute(sa.select(sa.func.current_timestamp())).scalar_one()
    return float((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
