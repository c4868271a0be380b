"""New classes with few rows: learners with their defaults, beside plain classifiers.

    SKMETA_DATA=... python -m benchmarks.measure.new_classes digits omniglot letter krkopt

Sets: ``digits`` are the digits of scikit-learn, turned by 0, 90, 180 and 270 degrees (40 classes,
24 to learn from); ``omniglot`` 100 characters of the background set to learn from, and those of the
evaluation set; ``letter`` and ``krkopt`` are tables of PMLB with 26 classes (16 to learn from) and
18 (11). A learner has its defaults, but for the network (``conv4`` for images, ``mlp`` for tables)
and the number of iterations. ``--shots`` rows of each of five classes are known, 10 are predicted.

The accuracy is the mean over ``--tasks`` tasks of classes that meta-training has not seen, each
classified by the nearest neighbour and by a logistic regression on its rows, too. Results are
added to ``benchmarks/results/new_classes.jsonl``: the gain over the better of the two, its standard
error over tasks, and whether the fit warned that a plain model is ahead, or that there are too few
classes for the comparison.
"""

import argparse
import json
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.lib.comparison import RESULTS as FOLDER
from benchmarks.lib.resumable import add_line
from benchmarks.lib.tabular_sets import load
from skmeta import MetaFewShotClassifier
from skmeta.datasets import load_omniglot
from skmeta.exceptions import PriorWarning, UnusedDataWarning
from skmeta.learners import MAML, ProtoNet

RESULTS = FOLDER / "new_classes.jsonl"
LEARNERS = {"ProtoNet": ProtoNet, "MAML": MAML}
N_WAY, N_QUERY = 5, 10


def digits():
    """Digits in four orientations, as images."""
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 1, 8, 8) / 16
    turned = np.concatenate([np.rot90(images, k, (2, 3)) for k in range(4)])
    return turned, np.concatenate([y + 10 * k for k in range(4)]), 24


def omniglot():
    """Characters; the first 100 of a random order are learned from."""
    data = load_omniglot(subset="all")
    learned = np.random.default_rng(0).choice(964, 100, replace=False)
    kept = np.isin(data.target, learned) | (data.target >= 964)
    # Classes to learn from come first.
    order = np.full(1623, 10_000)
    order[learned], order[964:] = np.arange(100), 100 + np.arange(1623 - 964)
    return data.data[kept].reshape(-1, 1, 28, 28), order[data.target[kept]], 100


def table(name, n_learned):
    """A table of PMLB."""
    X, y = load(name)
    return X, np.unique(y, return_inverse=True)[1], n_learned


SETS = {
    "digits": digits,
    "omniglot": omniglot,
    "letter": lambda: table("letter", 16),
    "krkopt": lambda: table("krkopt", 11),
}


def divide(name, seed):
    """Return rows and labels to learn from, and those of the other classes."""
    X, y, n_learned = SETS[name]()
    classes = np.unique(y)
    if name != "omniglot":
        classes = np.random.default_rng(seed).permutation(classes)
    learned = np.isin(y, classes[:n_learned])
    return X[learned], y[learned], X[~learned], y[~learned]


def draw(y, n_shot, rng):
    """Draw the rows of one task."""
    enough = np.flatnonzero(np.bincount(y) >= n_shot + N_QUERY)
    labels = rng.choice(enough, N_WAY, replace=False)
    rows = np.array([rng.permutation(np.flatnonzero(y == k))[: n_shot + N_QUERY] for k in labels])
    return rows[:, :n_shot].ravel(), rows[:, n_shot:].ravel()


def accuracy(model, X, y, known, asked):
    return float(np.mean(model.fit(X[known], y[known]).predict(X[asked]) == y[asked]))


def run(name, learner_name, args):
    """Meta-train on classes of a set, and compare on tasks of the others."""
    X, y, X_new, y_new = divide(name, args.seed)
    network = "conv4" if X.ndim > 2 else "mlp"
    learner = LEARNERS[learner_name](
        backbone=network, n_way=N_WAY, n_shot=args.shots, n_iterations=args.iterations,
        random_state=args.seed,
    )  # fmt: skip
    started = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        learner.fit(X, y)
    seconds = time.process_time() - started
    rng, flat = np.random.default_rng(1), X_new.reshape(len(X_new), -1)
    scores = []
    for _ in range(args.tasks):
        task = draw(y_new, args.shots, rng)
        scores.append(
            [
                accuracy(MetaFewShotClassifier(learner.prior_), X_new, y_new, *task),
                accuracy(KNeighborsClassifier(1), flat, y_new, *task),
                accuracy(LogisticRegression(max_iter=1000), flat, y_new, *task),
            ]
        )
    own, neighbour, logistic = np.array(scores).T
    best = neighbour if neighbour.mean() > logistic.mean() else logistic
    gain = own - best
    result = {
        "set": name, "learner": learner_name, "network": network, "shots": args.shots,
        "iterations": args.iterations, "seed": args.seed, "tasks": args.tasks,
        "accuracy": own.mean(), "nearest_neighbour": neighbour.mean(),
        "logistic_regression": logistic.mean(), "gain": gain.mean(),
        "standard_error": gain.std(ddof=1) / np.sqrt(len(gain)),
        "warned": any(issubclass(w.category, PriorWarning) for w in caught),
        "not_compared": any(issubclass(w.category, UnusedDataWarning) for w in caught),
        "cpu_seconds": seconds, "summary": learner.summary_,
    }  # fmt: skip
    result = {n: round(v, 4) if isinstance(v, float) else v for n, v in result.items()}
    print(json.dumps(result), flush=True)
    add_line(RESULTS, result)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", choices=SETS)
    parser.add_argument("--learners", nargs="+", default=["ProtoNet"], choices=LEARNERS)
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in args.sets:
        for learner in args.learners:
            run(name, learner, args)


if __name__ == "__main__":
    main()
