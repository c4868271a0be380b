"""Few-shot classification of Mini-ImageNet, from a copy that you have.

    python benchmarks/mini_imagenet.py FOLDER                   # scores on the validation classes
    python benchmarks/mini_imagenet.py FOLDER --learner maml --part test

The images are not in this repository, and nothing is downloaded. ``FOLDER`` holds the split of Ravi
and Larochelle (2017): ``train.csv``, ``val.csv`` and ``test.csv`` with the columns ``filename`` and
``label`` (64, 16 and 20 classes of 600 images), and ``images/`` with the files. Or it holds
``train/``, ``val/`` and ``test/`` with one folder of images per class. Pickles are not read, since
a pickle runs what it says.

Images are scaled to 84 x 84 pixels. Meta-training sees the classes of ``train`` alone, mirrored at
random; the last state is kept. Choose settings by the scores on ``val``, and ask for ``test`` once.
Accuracy is the mean over ``--episodes`` episodes with 15 queries a class, with a 95% confidence
interval, inductive. A run resumes where it was stopped. It needs Pillow, and about 2 GB of memory.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from skmeta.learners import MAML, ProtoNet, Validation

RESULTS = Path(__file__).parent / "results"
SIDE = 84
PARTS = ("train", "val", "test")
LEARNERS = {
    "protonet": (ProtoNet, {"n_way": 20, "n_shot": 1, "meta_batch_size": 1}),
    "maml": (MAML, {"n_way": 5, "n_shot": 1, "inner_lr": 0.01}),
}


def list_images(folder: Path, part: str) -> list[tuple[Path, str]]:
    """Return the file and the class of each image of a part."""
    table = folder / f"{part}.csv"
    if table.exists():
        with open(table, newline="") as file:
            return [
                (folder / "images" / row["filename"], row["label"]) for row in csv.DictReader(file)
            ]
    if not (folder / part).is_dir():
        raise SystemExit(f"{folder} has neither {part}.csv nor a folder {part}/.")
    return [
        (path, kind.name)
        for kind in sorted((folder / part).iterdir())
        if kind.is_dir()
        for path in sorted(kind.iterdir())
    ]


def load(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images of shape (n_images, 3, 84, 84) as bytes, and their classes."""
    listed = list_images(folder, part)
    images = np.empty((len(listed), 3, SIDE, SIDE), dtype=np.uint8)
    for row, (path, _) in enumerate(listed):
        with Image.open(path) as image:
            scaled = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        images[row] = np.asarray(scaled).transpose(2, 0, 1)
    return images, np.array([label for _, label in listed])


def mirror_at_random(images: torch.Tensor) -> torch.Tensor:
    """Mirror each image with probability one half. A mirrored object is of the same class."""
    turned = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(turned[:, None, None, None], images.flip(-1), images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--learner", choices=LEARNERS, default="protonet")
    parser.add_argument("--part", choices=PARTS[1:], default="val", help="what is scored")
    parser.add_argument("--iterations", type=int, default=20_000)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="more settings")
    parser.add_argument("--evaluate", nargs="*", default=["5,1", "5,5"], metavar="WAY,SHOT")
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cls, settings = LEARNERS[args.learner]
    settings = settings | {k: json.loads(v) for k, v in (s.split("=", 1) for s in args.set)}
    runs = RESULTS / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    names = ["mini_imagenet", args.learner, args.iterations, args.seed, *args.set]
    name = "-".join(map(str, names)).replace("=", "_").replace('"', "").replace("/", "_")
    common = {
        "backbone": "conv4",
        "n_query": 15,
        "n_iterations": args.iterations,
        "augment": mirror_at_random,
        "validation": Validation(0.0, every=200),
        "verbose": 1,
        "checkpoint": runs / f"{name}.ckpt",
        "random_state": args.seed,
    }
    learner = cls(**(common | settings))
    learner.fit(*load(args.folder, "train"))
    X, y = load(args.folder, args.part)
    record = {
        "learner": args.learner,
        "backbone": "conv4",
        "settings": settings,
        "iterations": args.iterations,
        "seed": args.seed,
        "part": args.part,
        "minutes": learner.history_["seconds"][-1] / 60,
    }
    for pair in args.evaluate:
        n_way, n_shot = map(int, pair.split(","))
        learner.set_params(n_way=n_way, n_shot=n_shot, n_query=15)
        scores = learner.score_tasks(X, y, n_tasks=args.episodes)
        half_width = 1.96 * scores.std(ddof=1) / len(scores) ** 0.5
        record[f"{n_way}-way {n_shot}-shot"] = [100 * scores.mean(), 100 * half_width]
    print(json.dumps(record))
    with open(RESULTS / "mini_imagenet.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
