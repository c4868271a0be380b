"""What a race has found so far, in memory and in a checkpoint, and its clock."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np

from skmeta.exceptions import CheckpointError
from skmeta.training import resume_checkpoint, save_checkpoint


@dataclass(frozen=True, eq=False)
class Run:
    """A learner, trained without the tasks of a fold and compared on them.

    Attributes
    ----------
    loss : ndarray of shape (n_tasks_of_fold,)
        Loss of each task of the fold; infinite if the learner failed, NaN if time was short.
    n_iterations : int
        Meta-iterations.
    seconds : float
        Time of all.
    limited_seconds : float
        Time of the training of a learner with an outer loop, up to its limit.
    error : str
        Why it failed, or an empty string.
    """

    loss: np.ndarray
    n_iterations: int = 0
    seconds: float = 0.0
    limited_seconds: float = 0.0
    error: str = ""


class Clock:
    """Counts the seconds of a race, those before it was interrupted included.

    Parameters
    ----------
    budget : float or None
        Seconds in all; None is no limit.
    spent : float
        Seconds before it was interrupted.
    """

    def __init__(self, budget: float | None, spent: float = 0.0) -> None:
        self.budget = math.inf if budget is None else budget
        self._began = time.perf_counter() - spent

    def spent(self) -> float:
        """Return the seconds since the race began."""
        return time.perf_counter() - self._began

    def left(self) -> float:
        """Return the seconds that are left; 0 if the time is over."""
        return max(0.0, self.budget - self.spent())


class Store:
    """Runs by their keys, written to a checkpoint after each.

    Parameters
    ----------
    path : path or None
        The checkpoint; None keeps the runs in memory only.
    fingerprint : str
        Identifies the race. A checkpoint of another one is refused.
    """

    def __init__(self, path: str | PathLike[str] | None, fingerprint: str) -> None:
        self.runs: dict[str, Run] = {}
        self.spent = 0.0
        self._path, self._fingerprint = path, fingerprint
        resume_checkpoint(path, fingerprint, self._restore)

    def _restore(self, saved: dict[str, Any]) -> None:
        self.runs = {key: Run(**fields) for key, fields in saved["runs"].items()}
        self.spent = float(saved["spent"])

    def add(self, key: str, run: Run, spent: float) -> None:
        """Keep a run, and write the checkpoint.

        Parameters
        ----------
        key : str
            Learner, fold and stage.
        run : Run
            The run.
        spent : float
            Seconds since the race began.
        """
        self.runs[key] = run
        if self._path is None:
            return
        content = {"runs": {k: asdict(r) for k, r in self.runs.items()}, "spent": spent}
        try:
            save_checkpoint(self._path, self._fingerprint, content)
        except OSError as error:
            raise CheckpointError(
                f"checkpoint={str(self._path)!r} cannot be written ({error}). Free some space, or "
                "give another path."
            ) from error
