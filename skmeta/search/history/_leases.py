"""``Leases``: which worker of a shared search evaluates which candidate.

A row of the table is a candidate that a worker proposed. It stays when the candidate is finished,
since its position is the candidate's place in the results.
"""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from skmeta.exceptions import FileFormatError, HistoryError
from skmeta.search.history._codec import candidate_to_row, dump, row_to_candidate
from skmeta.search.history._queries import candidate, find_search, lease, search
from skmeta.search.history._store import HistoryStore
from skmeta.search.record import CandidateRecord

T = TypeVar("T")

TIMEOUT = 60.0  # seconds after which another worker takes the candidate of a dead worker
_BEATS = 4  # how often a lease is renewed within its time-out


@dataclass(frozen=True)
class LeaseState:
    """A moment of a shared search: all candidates, in the order of proposal, without scores."""

    leased: tuple[CandidateRecord, ...]
    expired: frozenset[str]  # keys whose worker did not renew the lease, or gave it back
    finished: tuple[str, ...]  # keys, in the order of recording

    @property
    def order(self) -> list[str]:
        """Return all keys in the order of results: first those recorded before it was shared."""
        leased = [one.key for one in self.leased]
        known = set(leased)
        return [*(key for key in self.finished if key not in known), *leased]


class Leases:
    """Leases of a worker on candidates of one shared search, which expire after ``TIMEOUT``.

    As a context, a thread renews them, and at the end other workers take the candidates over at
    once.
    """

    def __init__(self, store: HistoryStore, fingerprint: str) -> None:
        self.timeout = TIMEOUT
        self.worker = f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(8)}"
        self._store = store
        self._search_id = store.run(find_search, fingerprint)
        self._held: frozenset[str] = frozenset()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="skmeta-leases", daemon=True)

    def __enter__(self) -> Self:
        self._store.patience = self.timeout
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._store.patience = 0.0
        self._ended.set()
        self._thread.join()
        # joblib raises this error if the candidate killed one of its processes. Only then does the
        # start of this worker count.
        is_lost = kind is not None and issubclass(kind, BrokenExecutor)
        self._let_end(0.0, n_starts=lease.c.n_starts - (not is_lost))

    def read(self) -> LeaseState:
        """Return the candidates as they are now."""

        def work(connection: sa.Connection) -> tuple[list[Any], list[str], float]:
            query = sa.select(lease).where(lease.c.search_id == self._search_id)
            rows = connection.execute(query.order_by(lease.c.position)).all()
            keys = self._finished().order_by(candidate.c.id)
            return list(rows), list(connection.execute(keys).scalars()), _now(connection)

        rows, finished, now = self._store.run(work)
        leased = tuple(row_to_candidate(json.loads(row.candidate)) for row in rows)
        expired = frozenset(row.key for row in rows if row.expires <= now)
        return LeaseState(leased, expired, tuple(finished))

    def claim(
        self,
        candidates: Sequence[CandidateRecord],
        seen: LeaseState,
        *,
        if_none_finished: bool = False,
    ) -> bool:
        """Lease new candidates; False if another worker proposed one since `seen`.

        With `if_none_finished`, also if a candidate has been finished since then.
        """
        known = {lease: len(seen.leased)}
        if if_none_finished:
            known[candidate] = len(seen.finished)

        def work(connection: sa.Connection) -> bool:
            self._lock(connection)
            for table, n in known.items():
                query = sa.select(sa.func.count()).where(table.c.search_id == self._search_id)
                if connection.execute(query).scalar_one() != n:
                    return False
            expires = _now(connection) + self.timeout
            shared = {"worker": self.worker, "expires": expires, "n_starts": 1}
            rows = [
                {
                    **shared,
                    "search_id": self._search_id,
                    "position": len(seen.leased) + k,
                    "key": one.key,
                    "candidate": dump(candidate_to_row(one)),
                }
                for k, one in enumerate(candidates)
            ]
            connection.execute(sa.insert(lease), rows)
            return True

        is_mine = self._store.run(work, write=True)
        if is_mine:
            self._held |= {one.key for one in candidates}
        return is_mine

    def take_over(self, n: int, within: int) -> dict[str, int]:
        """Lease up to `n` candidates, at positions below `within`, whose worker left them.

        Return their keys, and how many workers died at each.
        """

        def work(connection: sa.Connection) -> dict[str, int]:
            self._lock(connection)
            now = _now(connection)
            query = (
                sa.select(lease.c.key, lease.c.n_starts)
                .where(lease.c.search_id == self._search_id, lease.c.position < within)
                .where(lease.c.expires <= now, lease.c.key.not_in(self._finished()))
                .order_by(lease.c.position)
                .limit(n)
            )
            n_lost = {row.key: int(row.n_starts) for row in connection.execute(query)}
            if n_lost:
                chosen = (lease.c.search_id == self._search_id, lease.c.key.in_(list(n_lost)))
                mine: dict[str, Any] = {"worker": self.worker, "n_starts": lease.c.n_starts + 1}
                mine["expires"] = now + self.timeout
                connection.execute(sa.update(lease).where(*chosen).values(mine))
            return n_lost

        n_lost = self._store.run(work, write=True)
        self._held |= set(n_lost)
        return n_lost

    def drop(self, keys: Collection[str]) -> None:
        """Stop renewing leases, because their candidates are recorded."""
        self._held -= set(keys)

    def _beat(self) -> None:
        while not self._ended.wait(self.timeout / _BEATS):
            self._let_end(self.timeout)

    def _let_end(self, seconds: float, **values: Any) -> None:
        """Let the worker's leases end in some seconds, or expire if the database fails."""
        held = list(self._held)
        mine = sa.update(lease).where(
            lease.c.search_id == self._search_id,
            lease.c.worker == self.worker,
            lease.c.key.in_(held),
        )
        if held:
            with contextlib.suppress(HistoryError, FileFormatError):
                self._store.run(
                    lambda c: c.execute(mine.values(expires=_now(c) + seconds, **values)),
                    write=True,
                )

    def _finished(self) -> sa.Select[Any]:
        return sa.select(candidate.c.key).where(candidate.c.search_id == self._search_id)

    def _lock(self, connection: sa.Connection) -> None:
        """Make other writers of this search wait, as writers of its candidates do."""
        query = sa.select(search.c.id).where(search.c.id == self._search_id)
        connection.execute(query.with_for_update())


def _now(connection: sa.Connection) -> float:
    """Return the time of the database, since the clocks of workers may differ."""
    if connection.dialect.name == "sqlite":  # all workers are on one machine
        return time.time()
    moment = connection.execute(sa.select(sa.func.current_timestamp())).scalar_one()
    return float((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
