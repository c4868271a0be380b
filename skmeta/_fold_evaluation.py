"""One candidate on one fold of a search: what runs in a worker process.

A worker imports the module of the function that it is given, and the packages around it. This
module is therefore outside the package of searches, whose import takes longer than many fits.
"""

from typing import Any

from skmeta._sklearn_compat import fit_and_score


def evaluate_fold(task: dict[str, Any]) -> tuple[int, int, dict[str, Any]]:
    """Fit one candidate on one fold, score it, and return the numbers of both.

    `task` has the arguments of `fit_and_score`.
    """
    position, fold = task["candidate_progress"][0], task["split_progress"][0]
    output = dict(fit_and_score(**task))
    for name in ("fit_time", "score_time"):  # scikit-learn asks a clock that may be set back
        output[name] = max(output[name], 0.0)
    return position, fold, output
