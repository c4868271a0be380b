"""Few-shot classification of Omniglot characters that meta-training has not seen.

    python benchmarks/omniglot.py --protocol source --learner maml
    python benchmarks/omniglot.py --protocol papers --learner protonet

Protocols: ``source`` takes 64 characters to learn from and 20 to test on, drawn at random from
all 1,623; ``papers`` the split of Vinyals et al. (1,200 and 423). Training characters are also
turned by 90, 180 and 270 degrees, as extra classes. Accuracy is the mean over 600 test episodes
with 15 queries a class and a 95% confidence interval, inductive (each query row on its own) and
transductive (query rows normalised together, as the papers do).

Settings were chosen on the validation characters of the papers' split. A run resumes where it
was stopped; results are added to ``benchmarks/results/omniglot.jsonl``.
"""

import argparse
import json
import resource
from pathlib import Path

import numpy as np
import torch

from skmeta.datasets import load_omniglot
from skmeta.learners import ANIL, MAML, MetaSGD, ProtoNet, Reptile

RESULTS = Path(__file__).parent / "results"
LEARNERS = {
    "maml": (MAML, {"inner_lr": 0.4, "n_inner_steps": 1}),
    "fomaml": (MAML, {"inner_lr": 0.4, "n_inner_steps": 1, "first_order": True}),
    "anil": (ANIL, {"inner_lr": 0.4, "n_inner_steps": 1}),
    "metasgd": (MetaSGD, {"inner_lr": 0.4, "n_inner_steps": 1}),
    "reptile": (Reptile, {"inner_lr": 0.1, "n_inner_steps": 5}),
    "protonet": (ProtoNet, {}),
}


def load(protocol: str, seed: int):
    """Training and test rows of a protocol."""
    if protocol == "papers":
        train, test = "trainval", "test"
        X_test, y_test = load_omniglot(subset=test, return_X_y=True, dtype=np.uint8)
        return (
            *load_omniglot(subset=train, rotations=True, return_X_y=True, dtype=np.uint8),
            X_test,
            y_test,
        )
    if protocol == "validation":
        X_test, y_test = load_omniglot(subset="validation", return_X_y=True, dtype=np.uint8)
        return (
            *load_omniglot(subset="train", rotations=True, return_X_y=True, dtype=np.uint8),
            X_test,
            y_test,
        )
    X, y = load_omniglot(subset="all", rotations=True, return_X_y=True, dtype=np.uint8)
    drawn = np.random.default_rng(seed).permutation(1623)
    train = np.isin(y % 1623, drawn[:64])
    test = np.isin(y, drawn[64:84])
    return X[train], y[train], X[test], y[test]


def interval(scores: np.ndarray) -> list[float]:
    """Mean and half width of its 95% confidence interval, in percent."""
    return [100 * scores.mean(), 196 * scores.std(ddof=1) / len(scores) ** 0.5]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", choices=["source", "papers", "validation"], default="source")
    parser.add_argument("--learner", choices=LEARNERS, default="maml")
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="more settings")
    parser.add_argument("--evaluate", nargs="*", default=["5,1"], metavar="WAY,SHOT")
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    X, y, X_test, y_test = load(args.protocol, args.seed)
    cls, settings = LEARNERS[args.learner]
    settings = settings | {k: json.loads(v) for k, v in (s.split("=", 1) for s in args.set)}
    name = "-".join([args.protocol, args.learner, str(args.iterations), str(args.seed), *args.set])
    runs = RESULTS / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    common = {
        "backbone": "conv4",
        "n_way": 5,
        "n_shot": 1,
        "n_query": 15,
        "n_iterations": args.iterations,
        "validation_fraction": 0.0,
        "evaluate_every": 100,
        "verbose": 1,
        "checkpoint": runs / (name.replace("=", "_").replace('"', "") + ".ckpt"),
        "random_state": args.seed,
    }
    learner = cls(**(common | settings))
    learner.fit(X, y)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    record = {
        "protocol": args.protocol,
        "learner": args.learner,
        "settings": settings,
        "iterations": args.iterations,
        "seed": args.seed,
        "minutes": learner.history_["seconds"][-1] / 60,
        "cpu_minutes": (usage.ru_utime + usage.ru_stime) / 60,
        "threads": torch.get_num_threads(),
    }
    for pair in args.evaluate:
        n_way, n_shot = map(int, pair.split(","))
        for transductive in (False, True):
            learner.set_params(n_way=n_way, n_shot=n_shot, n_query=15, transductive=transductive)
            scores = learner.score_tasks(X_test, y_test, n_tasks=args.episodes)
            mode = "transductive" if transductive else "inductive"
            record[f"{n_way}-way {n_shot}-shot {mode}"] = interval(scores)
    print(json.dumps(record, indent=1))
    with open(RESULTS / "omniglot.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
