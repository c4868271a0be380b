"""Wrong support labels, shifted queries, and another domain: what is left of the accuracy.

    python benchmarks/robustness.py images --learner protonet maml lstm finetuned scratch
    SKMETA_DATA=... python benchmarks/robustness.py tables
    python benchmarks/robustness.py --figure robustness.svg

``images``: Omniglot, meta-trained as ``omniglot.py --protocol source`` does, and tested on 5-way
5-shot tasks of other characters: 0 to 40% wrong support labels; queries turned by 30 degrees,
blurred, or with a ninth of the picture blackened; scikit-learn's digits in place of characters.
``finetuned`` is a network that was trained to
tell all training characters apart, then tuned on the support set; ``scratch`` the same from drawn
weights. ``tables``: pupils of the schools in ``grouped/Exam.csv`` that meta-training has not seen,
10 to learn from: with wrong targets; queries from the upper half of the intake scores and supports
from the lower; one feature in five replaced by its mean.

All methods see the same tasks. A figure is the mean over tasks with a 95% interval; ``loss`` is
what is lost to the clean tasks, paired. Priors and figures are kept as they are made, in
``benchmarks/results``: a run that is started again goes on. ``--figure robustness.svg`` draws them.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import omniglot
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter, rotate, zoom
from sklearn.datasets import load_digits

from skmeta import MetaFewShotClassifier, MetaFewShotRegressor, MetaPrior
from skmeta.backbones import build_backbone
from skmeta.learners import MAML, FineTuning, MetaSGD
from skmeta.tasks import ClassEpisodes, GroupEpisodes, Task, split_tasks

RESULTS = Path(__file__).parent / "results"
NOISE = (0.1, 0.2, 0.3, 0.4)
LABELS = {
    "protonet": "ProtoNet",
    "maml": "MAML",
    "maml_clipped": "MAML, clipped",
    "metasgd": "Meta-SGD",
    "lstm": "LSTM optimizer",
    "finetuned": "fine-tuning",
    "scratch": "from scratch",
}
TUNED = {"backbone": "conv4", "n_inner_steps": 20, "inner_lr": 0.003, "random_state": 0}
FEATURES = ["standLRT", "schavg", "girl", "girls_school", "boys_school"]
TABLE_LEARNERS = {
    "maml": (MAML, {"inner_lr": 0.05, "n_inner_steps": 3}),
    "metasgd": (MetaSGD, {"inner_lr": 0.05}),
    "finetuned": (FineTuning, {"n_inner_steps": 20, "inner_lr": 0.003}),
    "scratch": (FineTuning, {}),
}


def turned(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turned by 30 degrees, one way or the other."""
    angles = 30 * rng.choice([-1, 1], len(images))
    pairs = zip(images, angles, strict=True)
    return np.stack([rotate(image, angle, reshape=False, order=1) for image, angle in pairs])


def blurred(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred by 1.5 pixels."""
    return gaussian_filter(images, (0, 1.5, 1.5))


def occluded(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Without a square of a third of the side."""
    images, side = images.copy(), images.shape[1] // 3
    for image in images:
        top, left = rng.integers(0, images.shape[1] - side, 2)
        image[top : top + side, left : left + side] = 0
    return images


SHIFTS = {"turned": turned, "blurred": blurred, "occluded": occluded}


def with_wrong_labels(task: Task, share: float, rng: np.random.Generator) -> Task:
    """Return a task of which a share of the support labels is wrong: other classes or targets."""
    y, n = task.y_support, len(task.y_support)
    if task.n_classes is not None:
        other = (y + rng.integers(1, task.n_classes, n)) % task.n_classes
    else:
        other = y[(np.arange(n) + rng.integers(1, n, n)) % n]
    return replace(task, y_support=np.where(rng.random(n) < share, other, y))


def image_conditions(X: np.ndarray, y: np.ndarray, n_tasks: int) -> dict[str, Callable]:
    """For each condition, a function that yields (X, y, X, y) of support and query sets."""

    def tasks(X, y, change):
        sampler, rng = ClassEpisodes(y, 5, 5, 15), np.random.default_rng(0)
        for k in range(n_tasks):
            task, own = sampler.sample(rng), np.random.default_rng(1000 + k)
            yield change(task, X, own)

    def noise(share):
        def change(task, X, rng):
            return with_wrong_labels(task, share, rng).take(X)

        return lambda: tasks(X, y, change)

    def shift(move):
        def change(task, X, rng):
            X_support, y_support, X_query, y_query = task.take(X)
            moved = move(X_query.reshape(-1, 28, 28), rng).reshape(len(X_query), -1)
            return X_support, y_support, moved, y_query

        return lambda: tasks(X, y, change)

    digits, labels = load_digits(return_X_y=True)
    digits = zoom(digits.reshape(-1, 8, 8) / 16, (1, 3.5, 3.5), order=1) > 0.5
    digits = digits.reshape(len(digits), -1).astype(np.float32)
    found = {"clean": noise(0.0)} | {name: shift(move) for name, move in SHIFTS.items()}
    found |= {f"noise {share}": noise(share) for share in NOISE}
    return found | {"digits": lambda: tasks(digits, labels, lambda task, X, rng: task.take(X))}


def image_prior(name: str, iterations: int | None) -> MetaPrior:
    """Meta-train, or read what was meta-trained before."""
    runs = RESULTS / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    iterations = iterations or omniglot.ITERATIONS.get(("source", name), 1000)
    path = runs / f"robustness-{name}-{iterations}.prior"
    if path.exists():
        return MetaPrior.load(path, **({"module": pretrained()} if name == "finetuned" else {}))
    X, y, _, _ = omniglot.load("source", 0)
    if name == "scratch":
        return FineTuning(**TUNED).initial_prior(X[:1000].astype(np.float32))
    if name == "finetuned":
        module = pretrain(X, y, iterations)
        prior = FineTuning(**TUNED | {"backbone": module}, input_shape=(1, 28, 28)).initial_prior(X)
    else:
        cls, settings = omniglot.LEARNERS[name]
        common = {
            "backbone": "conv4",
            "n_way": 5,
            "n_shot": 5,
            "n_iterations": iterations,
            "validation": 0,
            "verbose": 1,
            "checkpoint": path.with_suffix(".ckpt"),
            "random_state": 0,
        }
        prior = cls(**common | settings).fit(X, y).prior_
    prior.save(path)
    return prior


def pretrained() -> torch.nn.Module:
    """The network of ``finetuned``, with drawn weights."""
    return build_backbone("conv4", (1, 28, 28), None, torch.Generator().manual_seed(0))


def pretrain(X: np.ndarray, y: np.ndarray, iterations: int) -> torch.nn.Module:
    """Train it to tell all training characters apart."""
    body, rng = pretrained().train(), np.random.default_rng(0)
    _, labels = np.unique(y, return_inverse=True)
    head = torch.nn.Linear(64, labels.max() + 1)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=1e-3)
    for _ in range(iterations):
        rows = rng.integers(len(X), size=128)
        images = torch.tensor(X[rows].reshape(-1, 1, 28, 28), dtype=torch.float32)
        loss = torch.nn.functional.cross_entropy(head(body(images)), torch.tensor(labels[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The statistics of the last batch hang on to its graph; a copy of the values does not.
    fresh = pretrained()
    fresh.load_state_dict(body.state_dict())
    return fresh


def read_schools() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, scores and schools of the pupils."""
    table = pd.read_csv(Path(os.environ["SKMETA_DATA"]) / "grouped" / "Exam.csv")
    table = table[table.groupby("school")["school"].transform("size") > 30]
    table["girl"] = table["sex"] == "F"
    for name in ("girls", "boys"):
        table[f"{name}_school"] = table["schgend"] == name
    X = table[FEATURES].to_numpy(float)
    return X, table["normexam"].to_numpy(), table["school"].to_numpy()


def table_conditions(X, y, groups, centre, n_tasks: int) -> dict[str, Callable]:
    """As above, for schools."""

    def tasks(change):
        sampler, rng = GroupEpisodes(y, groups, 10, 20), np.random.default_rng(0)
        for k in range(n_tasks):
            yield change(sampler.sample(rng), np.random.default_rng(1000 + k))

    def noise(share):
        return lambda: tasks(lambda task, rng: with_wrong_labels(task, share, rng).take(X))

    def sorted_by_intake(task: Task, rng):
        """The weakest pupils by their intake score are the support set."""
        rows = np.concatenate([task.support, task.query])
        targets = np.concatenate([task.y_support, task.y_query])
        order, n = np.argsort(X[rows, 0], kind="stable"), len(task.support)
        rows, targets = rows[order], targets[order]
        parts = {"support": rows[:n], "query": rows[n:]}
        return replace(task, **parts, y_support=targets[:n], y_query=targets[n:]).take(X)

    def missing(task: Task, rng):
        X_support, y_support, X_query, y_query = task.take(X)
        gone = rng.random(X_query.shape) < 0.2
        return X_support, y_support, np.where(gone, centre, X_query), y_query

    found = {"clean": noise(0.0)} | {f"noise {share}": noise(share) for share in NOISE}
    return found | {
        "covariate shift": lambda: tasks(sorted_by_intake),
        "missing features": lambda: tasks(missing),
    }


def table_prior(name: str, X, y, groups, iterations: int | None) -> MetaPrior:
    """Meta-train on schools; half a minute."""
    cls, settings = TABLE_LEARNERS[name]
    learner = cls(
        **settings,
        backbone_params={"activation": "tanh"},
        n_shot=10,
        n_query=20,
        n_iterations=iterations or 500,
        meta_batch_size=16,
        random_state=0,
    )
    if name == "scratch":
        return learner.initial_prior(X, y, kind="regression")
    return learner.fit(X, y, groups=groups).prior_


def scores(model, conditions: dict[str, Callable]) -> dict[str, np.ndarray]:
    """Accuracy, or minus the squared error, of each task in each condition."""
    found: dict[str, list[float]] = {name: [] for name in conditions}
    for variants in zip(*(tasks() for tasks in conditions.values()), strict=True):
        fitted_to = None
        for name, (X_support, y_support, X_query, y_query) in zip(found, variants, strict=True):
            # Shifted queries come with the support set of the clean task.
            support = X_support.tobytes(), y_support.tobytes()
            if support != fitted_to:
                model.fit(X_support, y_support)
                fitted_to = support
            predicted = model.predict(X_query)
            if isinstance(model, MetaFewShotClassifier):
                found[name].append(100 * np.mean(predicted == y_query))
            else:
                found[name].append(-np.mean((predicted - y_query) ** 2))
    return {name: np.array(values) for name, values in found.items()}


def interval(values: np.ndarray) -> list[float]:
    """Mean, and half width of its 95% confidence interval."""
    return [float(values.mean()), float(1.96 * values.std(ddof=1) / len(values) ** 0.5)]


def draw(results: dict, path: Path) -> None:
    """Draw what is kept: wrong labels on the left, shifts on the right."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.5), layout="constrained")
    panels = figure.subplots(2, 2, sharey="row", width_ratios=(3, 2))
    colours = {name: f"C{k}" for k, name in enumerate(LABELS)}
    for (lines, dots), domain in zip(panels, ("images", "tables"), strict=True):
        found = [(key.split("-")[1], r) for key, r in results.items() if domain in key]
        found.sort(key=lambda one: list(LABELS).index(one[0]))
        sign = 1 if domain == "images" else -1
        shifts = [n for n in found[0][1] if not n.startswith("noise")]
        for k, (name, record) in enumerate(found):
            style = {"color": colours[name], "marker": "o", "markersize": 4, "label": LABELS[name]}
            values = [record[n]["score"] for n in ("clean", *(f"noise {s}" for s in NOISE))]
            mean, half = np.array(values).T
            lines.errorbar([0, *(100 * s for s in NOISE)], sign * mean, half, capsize=2, **style)
            mean, half = np.array([record[n]["score"] for n in shifts]).T
            at = np.arange(len(shifts)) + 0.1 * (k - (len(found) - 1) / 2)
            dots.errorbar(at, sign * mean, half, **style | {"linestyle": "none"})
        lines.set_ylabel("accuracy in %" if domain == "images" else "squared error")
        lines.set_title("Omniglot, 5-way 5-shot" if domain == "images" else "schools, 10 pupils")
        lines.set_xlabel("wrong support labels in %")
        lines.set_ylim(0)
        lines.legend(fontsize=7, ncols=3 if domain == "images" else 2)
        dots.set_xticks(range(len(shifts)), shifts, rotation=20)
        dots.set_title("shifted queries")
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "skmeta"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("domain", nargs="?", choices=["images", "tables"])
    parser.add_argument("--learner", nargs="+", default=None)
    parser.add_argument("--iterations", type=int, default=None)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS / "robustness.json")
    parser.add_argument("--figure", type=Path, help="draw what is in --out")
    args = parser.parse_args()
    if args.figure:
        draw(json.loads(args.out.read_text()), args.figure)
        return
    if args.domain is None:
        parser.error("Say what to test on: images or tables.")
    images = args.domain == "images"
    learners = args.learner or [*(["protonet", "maml"] if images else TABLE_LEARNERS)]
    if images:
        _, _, X_test, y_test = omniglot.load("source", 0)
        conditions = image_conditions(X_test.astype(np.float32), y_test, args.tasks)
    else:
        X, y, groups = read_schools()
        train, test = split_tasks(groups, (45, len(np.unique(groups)) - 45), random_state=0)
        own = X[test], y[test], groups[test]
        conditions = table_conditions(*own, X[train].mean(0), args.tasks)
    for name in learners:
        key = f"{args.domain}-{name}-{args.iterations or 'default'}-{args.tasks}"
        results = json.loads(args.out.read_text()) if args.out.exists() else {}
        if key in results:
            continue
        if images:
            model = MetaFewShotClassifier(image_prior(name, args.iterations))
        else:
            data = X[train], y[train], groups[train]
            model = MetaFewShotRegressor(table_prior(name, *data, args.iterations))
        found = scores(model, conditions)
        record = {n: {"score": interval(v), "loss": interval(found["clean"] - v)}
                  for n, v in found.items()}  # fmt: skip
        print(key, json.dumps(record, indent=1))
        # Read again, as another process may have written meanwhile.
        results = json.loads(args.out.read_text()) if args.out.exists() else {}
        results[key] = record
        args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
