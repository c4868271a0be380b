"""Few-shot classification of Omniglot characters that meta-training has not seen.

    python -m benchmarks.measure.omniglot --protocol source --learner maml
    python -m benchmarks.measure.omniglot --protocol papers --learner protonet

Protocols: ``source`` takes 64 characters to learn from and 20 to test on, drawn at random from
all 1,623 by ``--seed``; ``papers`` the split of Vinyals et al. (1,200 and 423); ``alphabets``
learns from the 964 characters of 30 alphabets, and each test episode has characters of one of the
20 other alphabets (Lake et al. 2015). Training
characters are also turned by 90, 180 and 270 degrees, as extra classes; those of ``source`` are
mirrored too, and each drawing is there in four distorted copies more. Accuracy is the mean over
600 test episodes with 15 queries a class and a 95% confidence interval, inductive (each query
row on its own) and transductive (query rows normalised together, as the papers do).
``--learner baselines`` needs no training: the nearest neighbour on pixels, and the same network
fine-tuned on the support set from random weights.

Predictions of ``--views mirror rotations`` are means over eight views of a
task. ``--save FILE`` keeps the prior, and ``--start FILE`` goes on from one, of the same or another
learner; with ``--iterations 0`` it is evaluated only. ``--gray`` takes gray images in place of the
black and white ones of the package: the share of ink of each pixel, from the originals in
``SKMETA_DATA``.

Settings were chosen on the validation characters of the papers' split (``--protocol validation``)
and on other seeds of ``source`` than the one reported. A run resumes where it
was stopped; results are added to ``benchmarks/results/omniglot.jsonl``.
"""

import argparse
import json
import resource
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import affine_transform
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.lib.intervals import normal_interval
from benchmarks.lib.resumable import add_line
from benchmarks.make.omniglot import ink_shares
from skmeta import MetaFewShotClassifier
from skmeta.datasets import load_omniglot
from skmeta.learners import (
    ANIL,
    MAML,
    ExecutionOptions,
    FineTuning,
    LSTMMetaLearner,
    MetaNAS,
    MetaSGD,
    ProtoNet,
    Reptile,
    Validation,
)
from skmeta.priors import MetaPrior
from skmeta.tasks import EpisodeSplit

RESULTS = Path(__file__).parents[1] / "results"
STEP = {"inner_lr": 0.4, "n_inner_steps": 1, "n_query": 5, "meta_lr": 0.002}
TWO_STEPS = STEP | {"inner_lr": 0.1, "n_inner_steps": 2}
EARLY = {"architecture_lr": 0.0, "temperature": (0.03, 0.005), "annealing": (0.0, 0.15)}
LEARNERS = {
    "maml": (MAML, STEP),
    "fomaml": (MAML, STEP | {"first_order": True}),
    "mamlpp": (
        MAML,
        TWO_STEPS
        | {
            "per_step_norm": True,
            "learn": {"inner_lr": "tensor and step"},
        },
    ),
    "metanas": (
        MetaNAS,
        TWO_STEPS
        | {"backbone": "cells", "backbone_params": {"n_channels": 48}, **EARLY}
        | {"input_shape": (1, 28, 28), "max_parameters": 112_000},
    ),
    "anil": (ANIL, STEP),
    "metasgd": (MetaSGD, STEP),
    # 32 filters, as in the paper.
    "lstm": (
        LSTMMetaLearner,
        STEP
        | {"backbone_params": {"n_channels": 32}, "meta_batch_size": 4}
        | {"inner_lr": 0.1, "n_inner_steps": 3},
    ),
    "reptile": (Reptile, {"inner_lr": 0.1, "n_inner_steps": 5}),
    "protonet": (ProtoNet, {"n_way": 20, "n_query": 5, "meta_batch_size": 2, "meta_lr": 0.002}),
}
MODES = ["inductive", "transductive"]
# Of the figures in the documentation; 1,000 for what is not listed.
ITERATIONS = {
    ("source", "protonet"): 1500,
    ("source", "lstm"): 400,
    ("papers", "maml"): 3000,
    ("papers", "protonet"): 6000,
}


@cache
def load(protocol: str, seed: int, gray: bool = False) -> tuple[np.ndarray, ...]:
    """Training and test rows of a protocol."""
    names = {
        "papers": ("trainval", "test"),
        "validation": ("train", "validation"),
        "alphabets": ("background", "evaluation"),
    }
    if protocol != "source":
        train, test = names[protocol]
        X, y = load_omniglot(subset=train, rotations=True, return_X_y=True, dtype=np.uint8)
        X_test, y_test = load_omniglot(subset=test, return_X_y=True, dtype=np.uint8)
        return (as_gray(y), y, as_gray(y_test), y_test) if gray else (X, y, X_test, y_test)
    X, y = load_omniglot(subset="all", rotations=True, return_X_y=True, dtype=np.uint8)
    drawn = np.random.default_rng(seed).permutation(1623)
    train, test = np.isin(y % 1623, drawn[:64]), np.isin(y, drawn[64:84])
    return *augment(X[train], y[train], seed), X[test], y[test]


@cache
def gray_images() -> np.ndarray:
    """Shares of ink of all 1,623 characters, from 0 to 255."""
    return np.stack([np.rint(255 * shares).astype(np.uint8) for shares in ink_shares()])


def as_gray(y: np.ndarray) -> np.ndarray:
    """Rows of ``load_omniglot`` from its labels, with gray pixels from 0 to 1."""
    labels = y[::20]
    images = gray_images()[labels % 1623]
    turned = [
        np.rot90(drawings, k, axes=(1, 2))
        for drawings, k in zip(images, labels // 1623, strict=True)
    ]
    return np.concatenate(turned).reshape(-1, 784) / np.float32(255)


def alphabet_of() -> dict[int, str]:
    """The alphabet of each character."""
    every = load_omniglot(subset="all", dtype=np.uint8)
    return dict(zip(every.target.tolist(), every.alphabet, strict=True))


def augment(X: np.ndarray, y: np.ndarray, seed: int, n_copies: int = 4) -> tuple[np.ndarray, ...]:
    """Add mirrored characters as further classes, and distorted drawings as further rows."""
    rng = np.random.default_rng(seed)
    mirrored = X.reshape(-1, 28, 28)[:, :, ::-1]
    images = np.concatenate([X.reshape(-1, 28, 28), mirrored])
    labels = np.concatenate([y, y + 10_000])
    copies = [images]
    for _ in range(n_copies):
        copies.append(np.stack([distort(image, rng) for image in images]))
    return np.concatenate(copies).reshape(-1, 784), np.tile(labels, n_copies + 1)


def distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn by up to 15 degrees, scale and shear by up to 15%, shift by up to 2 pixels."""
    angle = rng.uniform(-0.26, 0.26)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ (np.eye(2) + rng.uniform(-0.15, 0.15, (2, 2)))
    offset = 13.5 - matrix @ np.array([13.5, 13.5]) + rng.uniform(-2, 2, 2)
    moved = affine_transform(image.astype(np.float32), matrix, offset, order=1)
    return (moved > 0.4).astype(np.uint8)


def baselines(X: np.ndarray, y: np.ndarray, pairs: list[str], episodes: int) -> dict:
    """Accuracy without meta-learning, on the test characters alone."""
    X = X.astype(np.float32)
    scratch = FineTuning(backbone="conv4", n_inner_steps=20, inner_lr=0.003, random_state=0)
    methods = {
        "nearest neighbour": KNeighborsClassifier(1),
        "fine-tuning from random weights": MetaFewShotClassifier(scratch.initial_prior(X)),
    }
    record = {}
    for pair in pairs:
        n_way, n_shot = map(int, pair.split(","))
        cv = EpisodeSplit(n_way, n_shot, 15, n_episodes=episodes, random_state=0)
        for name, method in methods.items():
            scores = cross_val_score(method, X, y, cv=cv)
            record[f"{n_way}-way {n_shot}-shot {name}"] = normal_interval(100 * scores)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--protocol", choices=["source", "papers", "validation", "alphabets"], default="source"
    )
    parser.add_argument("--learner", choices=[*LEARNERS, "baselines"], default="maml")
    parser.add_argument("--iterations", type=int, default=None)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="more settings")
    parser.add_argument("--views", nargs="*", default="auto", help="test-time augmentation")
    parser.add_argument("--evaluate", nargs="*", default=["5,1"], metavar="WAY,SHOT")
    parser.add_argument("--modes", nargs="*", default=MODES, choices=MODES)
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="prior that meta-training goes on from")
    parser.add_argument("--save", type=Path, help="file for the prior")
    parser.add_argument("--within", action="store_true", help="train on tasks of one alphabet")
    parser.add_argument("--gray", action="store_true", help="gray images, from SKMETA_DATA")
    args = parser.parse_args()
    if args.gray and args.protocol == "source":
        parser.error("--gray is for the other protocols: source has distorted copies.")
    if args.within and args.protocol != "alphabets":
        parser.error("--within is for the protocol alphabets.")
    if args.iterations == 0 and not args.start:
        parser.error("--iterations 0 evaluates a prior: name its file with --start.")
    if args.threads:
        torch.set_num_threads(args.threads)
    X, y, X_test, y_test = load(args.protocol, args.seed, args.gray)
    if args.learner == "baselines":
        record = {"protocol": args.protocol, "learner": "baselines", "seed": args.seed}
        report(record | baselines(X_test, y_test, args.evaluate, args.episodes))
        return
    cls, settings = LEARNERS[args.learner]
    iterations = args.iterations
    if iterations is None:
        iterations = ITERATIONS.get((args.protocol, args.learner), 1000)
    changes = {k: json.loads(v) for k, v in (s.split("=", 1) for s in args.set)}
    name = "-".join([args.protocol, args.learner, str(iterations), str(args.seed), *args.set])
    name += "-within" * args.within + "-gray" * args.gray
    name += f"-from-{args.start.stem}" if args.start else ""
    runs = RESULTS / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    common = {
        "backbone": "conv4",
        "n_way": 5,
        "n_shot": 1,
        "n_query": 15,
        "n_iterations": iterations,
        "validation": Validation(0.0, every=100),
        "execution": ExecutionOptions(
            checkpoint=runs / (name.replace("=", "_").replace('"', "") + ".ckpt")
        ),
        "verbose": 1,
        "random_state": args.seed,
        "prior": MetaPrior.load(args.start) if args.start else None,
    }
    if args.within:
        alphabets = alphabet_of()
        superclass = {label: alphabets[label % 1623] for label in np.unique(y).tolist()}
        common["superclass"] = superclass
    learner = cls(**(common | settings)).set_params(**changes)
    if iterations:
        learner.fit(X, y)
    else:
        learner.set_params(n_iterations=1)
        learner.prior_, learner.n_features_in_ = learner.prior, X.shape[1]
    if args.save:
        learner.prior_.save(args.save)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    record = {
        "protocol": args.protocol,
        "learner": args.learner,
        "settings": settings | changes,
        "views": args.views,
        "iterations": iterations,
        **{name: getattr(args, name) for name in ("seed", "gray", "within")},
        "start": args.start.stem if args.start else None,
        "minutes": learner.learning_curve_["seconds"][-1] / 60 if iterations else 0.0,
        "cpu_minutes": (usage.ru_utime + usage.ru_stime) / 60,
        "threads": torch.get_num_threads(),
    }
    superclass = alphabet_of() if args.protocol == "alphabets" else None
    learner.set_params(superclass=superclass, n_query=15)
    for pair, mode in product(args.evaluate, args.modes):
        n_way, n_shot = map(int, pair.split(","))
        learner.set_params(n_way=n_way, n_shot=n_shot, transductive=mode == "transductive")
        scores = learner.score_tasks(
            X_test, y_test, n_tasks=args.episodes, test_time_augment=args.views
        )
        record[f"{n_way}-way {n_shot}-shot {mode}"] = normal_interval(100 * scores)
    report(record)


def report(record: dict) -> None:
    """Print a result and keep it."""
    print(json.dumps(record, indent=1, default=repr))
    add_line(RESULTS / "omniglot.jsonl", record)


if __name__ == "__main__":
    main()
