"""Few-shot classification of Omniglot characters that meta-training has not seen.

    python -m benchmarks.measure.omniglot --protocol source --learner maml
    python -m benchmarks.measure.omniglot --protocol papers --learner protonet

Protocols: ``source`` takes 64 characters to learn from and 20 to test on, drawn at random from
all 1,623 by ``--seed``; ``papers`` the split of Vinyals et al. (1,200 and 423); ``alphabets``
learns from the 964 characters of 30 alphabets, and each test episode has characters of one of the
20 other alphabets (Lake et al. 2015). Training characters are also turned by 90, 180 and 270
degrees, as extra classes; those of ``source`` are mirrored too, and each drawing is there in four
distorted copies more. Accuracy is the mean over 600 test episodes with 15 queries a class and a 95%
confidence interval, inductive (each query row on its own) and transductive (query rows normalised
together, as the papers do).

Predictions of ``--views mirror,rotations`` are means over eight views of a task. ``--save FILE``
keeps the prior, and ``--start FILE`` goes on from one, of the same or another learner; with
``--iterations 0`` it is evaluated only. ``--within`` trains on tasks of one alphabet. ``--gray``
takes the share of ink of each pixel, from the originals in ``SKMETA_DATA``. ``--test-steps`` takes
other numbers of inner steps in tests than in meta-training; a run that has ended is tested again.

Settings were chosen on the validation characters of the papers' split (``--protocol validation``)
and on other seeds of ``source``. A run resumes where it was stopped.
"""

import resource
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import affine_transform

from benchmarks.lib.intervals import normal_interval
from benchmarks.lib.resumable import RESULTS, add_line, read_options, read_settings
from benchmarks.make.omniglot import ink_shares
from skmeta.datasets import load_omniglot
from skmeta.learners import (
    ANIL,
    MAML,
    ExecutionOptions,
    LSTMMetaLearner,
    MetaSGD,
    ProtoNet,
    Reptile,
    Validation,
)
from skmeta.priors import MetaPrior

STEP = {"inner_lr": 0.4, "n_inner_steps": 1, "n_query": 5, "meta_lr": 0.002}
TWO_STEPS = STEP | {"inner_lr": 0.1, "n_inner_steps": 2}
PLUS_PLUS = {"per_step_norm": True, "learn": {"inner_lr": "tensor and step"}}
# 32 filters, as in the paper.
LSTM = {"backbone_params": {"n_channels": 32}, "meta_batch_size": 4, "n_inner_steps": 3}
LEARNERS = {
    "maml": (MAML, STEP),
    "fomaml": (MAML, STEP | {"first_order": True}),
    "mamlpp": (MAML, TWO_STEPS | PLUS_PLUS),
    "anil": (ANIL, STEP),
    "metasgd": (MetaSGD, STEP),
    "lstm": (LSTMMetaLearner, STEP | LSTM | {"inner_lr": 0.1}),
    "reptile": (Reptile, {"inner_lr": 0.1, "n_inner_steps": 5}),
    "protonet": (ProtoNet, {"n_way": 20, "n_query": 5, "meta_batch_size": 2, "meta_lr": 0.002}),
}


@cache
def load(protocol: str, seed: int, gray: bool = False) -> tuple[np.ndarray, ...]:
    """Training and test rows of a protocol."""
    names = {"papers": ("trainval", "test"), "validation": ("train", "validation")}
    if protocol != "source":
        train, test = names.get(protocol, ("background", "evaluation"))
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


def main() -> None:
    given = {"protocol": ("source", "papers", "validation", "alphabets")}
    given |= {"learner": tuple(LEARNERS), "iterations": 1000, "set": [], "views": "auto"}
    given |= {"evaluate": ["5,1"], "modes": ["inductive", "transductive"], "episodes": 600}
    given |= {"threads": torch.get_num_threads(), "seed": 0, "start": Path, "save": Path}
    given |= {"test_steps": 0}
    options = read_options(__doc__, **given, within=False, gray=False)
    torch.set_num_threads(options.threads)
    X, y, X_test, y_test = load(options.protocol, options.seed, options.gray)
    of = ("protocol", "learner", "seed", "gray", "within", "views", "iterations", "threads")
    record = {name: getattr(options, name) for name in of}
    record |= run(options, X, y, X_test, y_test)
    if options.test_steps:
        record["test_steps"] = options.test_steps
    print(record)
    add_line(RESULTS / "omniglot.jsonl", record)


def run(options, X, y, X_test, y_test) -> dict:
    """Meta-train a learner, or take a prior, and test it."""
    cls, settings = LEARNERS[options.learner]
    settings = settings | read_settings(options.set)
    start = options.start.stem if options.start else None
    parts = (options.protocol, options.learner, options.iterations, options.seed, *options.set)
    name = "-".join(map(str, (*parts, options.within, options.gray, start)))
    (RESULTS / "runs").mkdir(parents=True, exist_ok=True)
    checkpoint = RESULTS / "runs" / (name.replace("=", "_").replace('"', "") + ".ckpt")
    common = {"backbone": "conv4", "n_way": 5, "n_shot": 1, "n_query": 15, "verbose": 1}
    common |= {"n_iterations": max(options.iterations, 1), "random_state": options.seed}
    common |= {"validation": Validation(0.0, every=100)}
    common |= {"execution": ExecutionOptions(checkpoint=checkpoint)}
    common["prior"] = MetaPrior.load(options.start) if start else None
    alphabets = alphabet_of() if options.protocol == "alphabets" else None
    if options.within:
        labels = np.unique(y).tolist()
        common["superclass"] = {label: alphabets[label % 1623] for label in labels}
    learner = cls(**common).set_params(**settings)  # Settings may be nested: execution__precision.
    if options.iterations:
        learner.fit(X, y)
    else:
        learner.prior_, learner.n_features_in_ = learner.prior, X.shape[1]
    if options.save:
        learner.prior_.save(options.save)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    record = {"settings": settings, "start": start}
    record["cpu_minutes"] = (usage.ru_utime + usage.ru_stime) / 60
    learner.set_params(superclass=alphabets, n_query=15)
    views = options.views if options.views == "auto" else options.views.split(",")
    for pair, mode in product(options.evaluate, options.modes):
        n_way, n_shot = map(int, pair.split(","))
        learner.set_params(n_way=n_way, n_shot=n_shot, transductive=mode == "transductive")
        tests = {"n_tasks": options.episodes, "test_time_augment": views}
        tests["n_inner_steps"] = options.test_steps or None
        scores = learner.score_tasks(X_test, y_test, **tests)
        record[f"{n_way}-way {n_shot}-shot {mode}"] = normal_interval(100 * scores)
    return record


if __name__ == "__main__":
    main()
