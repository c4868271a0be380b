"""Whether meta-training that ends when its validation no longer improves costs accuracy.

    SKMETA_DATA=... python -m benchmarks.measure.patience --seeds 3

Learners with their defaults, and with more iterations, learn from the development data of
``equal_seconds`` until the end (``patience=None``) and with the default of ``patience``. A line has
the iterations, the processor seconds of one thread, and the error of 400 new tasks: the mean
squared error, or the error of classes in percent. No test data is used.
"""

import time
from itertools import product

import numpy as np
import torch

from benchmarks.lib.resumable import RESULTS, group_lines, run_or_summarize
from benchmarks.measure.equal_seconds import DATA, load
from skmeta.learners import ANIL, MAML, MetaSGD, ProtoNet, Reptile, Validation

LEARNERS = {cls.__name__: cls for cls in (MAML, ANIL, MetaSGD, Reptile, ProtoNet)}
LENGTHS = (None, 8000)


def cells(seeds):
    """Data, learner, iterations (None: its default), seed."""
    for length, seed, data, name in product(LENGTHS, seeds, DATA, LEARNERS):
        if not (name == "ProtoNet" and data in ("sinusoids", "schools")):
            yield data, name, length, seed


def run(cell):
    """Meta-train to the end, and until nothing improves; score both."""
    torch.set_num_threads(1)
    data, name, length, seed = cell
    (X, y, groups), new = load(data, seed)
    line = {"cell": cell}
    for label, patience in (("end", None), ("auto", "auto")):
        settings = DATA[data][1] | ({} if length is None else {"n_iterations": length})
        learner = LEARNERS[name](
            **settings, validation=Validation(patience=patience), random_state=seed
        )
        started = time.process_time()
        learner.fit(X, y, groups=groups)
        seconds = time.process_time() - started
        score = learner.score_tasks(*new, n_tasks=400, n_query=10, random_state=1).mean()
        error = -score if data in ("sinusoids", "schools") else 100 * (1 - score)
        iterations = learner.learning_curve_["iteration"][-1]
        line[label] = [iterations, round(seconds, 2), round(float(error), 4)]
    return line


def summarize(lines):
    """Means over seeds: iterations, seconds and error, to the end and with patience."""
    runs = group_lines(lines, lambda cell: ", ".join(map(str, cell[:3])))
    return {
        key: [np.mean([line[label] for line in runs[key]], 0).tolist() for label in ("end", "auto")]
        for key in runs
    }


if __name__ == "__main__":
    run_or_summarize(__doc__, cells, run, summarize, RESULTS / "patience.jsonl")
