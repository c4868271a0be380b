"""One candidate on one fold of a search: what runs in a worker process.

A worker imports the module of the function that it is given, and the packages around it. So this
module is not in the room of the searches, whose import takes longer than many fits, because of the
database of the history.
"""

import time
from contextlib import nullcontext, suppress
from typing import Any

import joblib

from skmeta._sklearn_compat import fit_and_score


def evaluate_fold(task: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
    """Fit one candidate on the training part of a fold, and score it on the test part.

    Parameters
    ----------
    task : dict
        Arguments of `fit_and_score`, and ``stopping``: None, or a callable that takes the estimator
        and returns a context in which its fit stops early. The context yields an object whose
        ``n_rounds`` is the number of rounds that the fit found. With ``return_estimator``, a digest
        of the fitted estimator is returned as ``state``, None if it cannot be pickled.

    Returns
    -------
    position : int
        Of the candidate.
    fold : int
    output : dict
        As `fit_and_score` returns it, with ``cost``, its seconds of the clock or of the processor,
        whichever are fewer: other work on the machine has little effect on it. With ``n_rounds`` if
        the fit could stop early.
    """
    clock, processor = time.perf_counter(), time.process_time()
    position, fold = task["candidate_progress"][0], task["split_progress"][0]
    stopping = task["stopping"]
    settings = {name: value for name, value in task.items() if name != "stopping"}
    context: Any = nullcontext() if stopping is None else stopping(task["estimator"])
    with context as stopped:
        output = dict(fit_and_score(**settings))
    output["cost"] = min(time.perf_counter() - clock, time.process_time() - processor)
    if stopping is not None:
        output["n_rounds"] = stopped.n_rounds
    if "estimator" in output:
        output["state"] = None
        with suppress(Exception):  # pickling runs code of the object, which may raise anything
            output["state"] = joblib.hash(output.pop("estimator"))
    return position, fold, output
