"""One candidate on one fold of a search: what runs in a worker process.

A worker imports the module of the function that it is given, and the packages around it. This
module is therefore outside the package of searches, whose import takes longer than many fits,
because of the database of the history.
"""

import time
from contextlib import nullcontext
from typing import Any

from skmeta._sklearn_compat import fit_and_score


def evaluate_fold(task: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
    """Fit one candidate on one fold, score it, and return the numbers of both.

    `task` has the arguments of `fit_and_score`, and ``stopping``: None, or a callable that returns
    a context in which the fit stops early. ``cost`` of the output is the smaller of clock and
    processor seconds, so that other work has little effect.
    """
    clock, processor = time.perf_counter(), time.process_time()
    position, fold = task["candidate_progress"][0], task["split_progress"][0]
    stopping = task["stopping"]
    settings = {name: value for name, value in task.items() if name != "stopping"}
    context: Any = nullcontext() if stopping is None else stopping(task["estimator"])
    with context as stopped:
        output = dict(fit_and_score(**settings))
    for name in ("fit_time", "score_time"):  # scikit-learn asks a clock that may be set back
        output[name] = max(output[name], 0.0)
    output["cost"] = min(time.perf_counter() - clock, time.process_time() - processor)
    if stopping is not None:
        output["n_rounds"] = stopped.n_rounds
    return position, fold, output
