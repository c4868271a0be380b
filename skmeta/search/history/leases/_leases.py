"""``Leases``: one worker's view of the candidates of a shared search."""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from skmeta.exceptions import HistoryError, HistoryFormatError
from skmeta.search.history._codec import candidate_to_row, dump, row_to_candidate
from skmeta.search.history._store import HistoryStore
from skmeta.search.history.leases import _table
from skmeta.search.record import CandidateRecord

T = TypeVar("T")

_BEATS = 4  # how often a lease is renewed within its time-out
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts to reach a database


@dataclass(frozen=True)
class LeaseState:
    """The candidates of a shared search at one moment.

    Attributes
    ----------
    leased : tuple of CandidateRecord
        All candidates that workers proposed, finished or not, in the order of the proposals. They
        have no scores.
    expired : frozenset of str
        Keys of those whose worker has not renewed the lease in time, or has given it back.
    finished : tuple of str
        Keys of the finished candidates, in the order in which they were recorded.
    """

    leased: tuple[CandidateRecord, ...]
    expired: frozenset[str]
    finished: tuple[str, ...]

    @property
    def order(self) -> list[str]:
        """Return the keys of all candidates, in the order of the results.

        Candidates that a search recorded before it was shared come first.
        """
        leased = [one.key for one in self.leased]
        known = set(leased)
        return [*(key for key in self.finished if key not in known), *leased]


class Leases:
    """Leases of a worker on candidates of one shared search.

    To be used as a context. A thread renews the leases that the worker holds. At the end they are
    given back, so that other workers take the candidates over at once.

    Parameters
    ----------
    store : HistoryStore
        The database of a history.
    search_id : int
        The search's number in the history.
    timeout : float
        Seconds after which a lease that is not renewed expires.
    """

    def __init__(self, store: HistoryStore, search_id: int, timeout: float) -> None:
        self.timeout = timeout
        self.worker = f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(8)}"
        self._store = store
        self._search_id = search_id
        self._held: frozenset[str] = frozenset()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="skmeta-leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._held:
            # joblib raises this error if the candidate killed one of its processes.
            is_lost = kind is not None and issubclass(kind, BrokenExecutor)
            # If the database fails, the leases expire by themselves.
            with contextlib.suppress(HistoryError, HistoryFormatError):
                self._store.run(
                    lambda connection: _table.give_back(
                        connection, self._search_id, self.worker, self._held, is_lost=is_lost
                    ),
                    write=True,
                )

    def read(self) -> LeaseState:
        """Return the candidates as they are now."""
        rows, finished, now = self._run(lambda c: _table.read(c, self._search_id))
        leased = tuple(row_to_candidate(json.loads(row["candidate"])) for row in rows)
        expired = frozenset(row["key"] for row in rows if row["expires"] <= now)
        return LeaseState(leased, expired, tuple(finished))

    def claim(
        self,
        candidates: Sequence[CandidateRecord],
        seen: LeaseState,
        *,
        if_none_finished: bool = False,
    ) -> bool:
        """Lease new candidates.

        Parameters
        ----------
        candidates : sequence of CandidateRecord
            Candidates that no worker has proposed.
        seen : LeaseState
            What was known when they were proposed.
        if_none_finished : bool, default=False
            Refuse them also if a candidate has been finished since then.

        Returns
        -------
        bool
            False if another worker has proposed a candidate since then. Nothing is leased then.
        """
        rows = [
            {"key": one.key, "candidate": dump(candidate_to_row(one)), "worker": self.worker}
            for one in candidates
        ]
        is_mine = self._run(
            lambda connection: _table.insert(
                connection,
                self._search_id,
                rows,
                n_leases=len(seen.leased),
                n_finished=len(seen.finished) if if_none_finished else None,
                timeout=self.timeout,
            ),
            write=True,
        )
        if is_mine:
            self._held |= {one.key for one in candidates}
        return is_mine

    def take_over(self, n: int, within: int) -> dict[str, int]:
        """Lease candidates whose worker has died or has given them back.

        Parameters
        ----------
        n : int
            The most candidates.
        within : int
            Only leases before this position are taken over.

        Returns
        -------
        dict of str to int
            Their keys, and how many workers died while they evaluated the candidate.
        """
        n_lost = self._run(
            lambda connection: _table.take(
                connection, self._search_id, self.worker, n, within, self.timeout
            ),
            write=True,
        )
        self._held |= set(n_lost)
        return n_lost

    def drop(self, keys: Collection[str]) -> None:
        """Stop renewing leases, because their candidates are recorded."""
        self._held -= set(keys)

    def _beat(self) -> None:
        while not self._ended.wait(self.timeout / _BEATS):
            if self._held:
                # The worker itself hears of a database that fails, with its next transaction.
                with contextlib.suppress(HistoryError, HistoryFormatError):
                    self._renew()

    def _renew(self) -> None:
        held = self._held
        self._store.run(
            lambda connection: _table.renew(
                connection, self._search_id, self.worker, held, self.timeout
            ),
            write=True,
        )

    def _run(self, work: Callable[[Any], T], *, write: bool = False) -> T:
        return retry(lambda: self._store.run(work, write=write), self.timeout)


def retry(work: Callable[[], T], seconds: float) -> T:
    """Return the result of work on a history. Try again while the history fails.

    Parameters
    ----------
    work : callable
    seconds : float
        How long to try. A server that is restarted does not end a shared search.

    Raises
    ------
    HistoryError
        That of the last attempt.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return work()
        except HistoryError:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
