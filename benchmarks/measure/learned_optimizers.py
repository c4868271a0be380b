"""A learned optimizer on new networks, with the noise of batches, against tuned rivals.

    python -m benchmarks.measure.learned_optimizers learned adam adam_cosine momentum report

Networks learn the digits of scikit-learn in batches of 128 rows. Development networks learn the
first 900 rows. They have one to three hidden layers of 8 to 40 units, ReLU or tanh, and initial
weights of half to twice the size of ``torch.nn.Linear``. The optimizer is meta-trained on these
(``learned``), and the step sizes of the rivals are tuned on them: for each number of steps on its
own, the best of 9 from 0.003 to 0.3 (SGD with ``momentum`` 0.9: 0.03 to 3). New networks learn the
other 897 rows. They have other initial weights and other sizes, up to four times as many units.
Nothing is chosen on these: the rule and the length of the meta-training were chosen on larger and
deeper networks of the first rows. ``best`` is a rival whose step size is nevertheless the best of
the grid on each new network.

The record has the cross-entropy of the rows that a network learns, and of the other part
(``held_out``), after 20, 50 and 100 steps: means over six runs of each new network, all from the
same weights. The learned optimizer and ``adam_cosine`` know the number of steps; each number is a
run of its own. ``ratio`` is the learned optimizer's mean loss over that of a rival, with a 95%
interval from a bootstrap over runs. A run resumes where it was stopped.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from benchmarks.lib.intervals import ratio_interval
from benchmarks.lib.resumable import RESULTS, read_options, read_records, store
from skmeta.learners import ExecutionOptions, LearnedOptimizer, PriorOptimizer

STEPS = (20, 50, 100)
N_DEVELOPMENT, N_RUNS = 900, 6
DEVELOPMENT_SEED, NEW_SEED = 10_000, 130_000
Rows = tuple[Tensor, Tensor]


def digits() -> tuple[Rows, Rows]:
    """Rows of development networks, and of new ones."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    rows, labels = torch.tensor(X[order] / 16, dtype=torch.float32), torch.tensor(y[order])
    n = N_DEVELOPMENT
    return (rows[:n], labels[:n]), (rows[n:], labels[n:])


class Network:
    """A problem: a network that learns rows in batches."""

    def __init__(
        self, rows: Rows, activation: str, units: tuple[int, int], n_layers: int = 1
    ) -> None:
        self.rows, self.units, self.n_layers = rows, units, n_layers
        self.activation: Callable[[Tensor], Tensor] = getattr(torch, activation)

    def init(self, rng: np.random.Generator) -> dict[str, Tensor]:
        hidden = int(rng.integers(self.units[0], self.units[1] + 1))
        sizes = [64, *[hidden] * self.n_layers, 10]
        scale, theta = 2 ** rng.uniform(-1, 1), {}
        for i, (m, n) in enumerate(pairwise(sizes)):
            bound = scale * m**-0.5
            theta[f"{i}.weight"] = torch.tensor(rng.uniform(-bound, bound, (n, m))).float()
            theta[f"{i}.bias"] = torch.tensor(rng.uniform(-bound, bound, n)).float()
        return theta

    def loss(self, theta: dict[str, Tensor], rng: np.random.Generator) -> Tensor:
        X, y = self.rows
        batch = torch.from_numpy(rng.integers(len(X), size=128))
        return self.cross_entropy(theta, (X[batch], y[batch]))

    def cross_entropy(self, theta: dict[str, Tensor], rows: Rows) -> Tensor:
        x, y = rows
        for i in range(self.n_layers + 1):
            x = self.activation(x) if i else x
            x = F.linear(x, theta[f"{i}.weight"], theta[f"{i}.bias"])
        return F.cross_entropy(x, y)


DEVELOPMENT, NEW = digits()
FAMILY = [Network(DEVELOPMENT, name, (8, 40), n) for name in ("relu", "tanh") for n in (1, 2, 3)]
NEW_NETWORKS = {
    "64 ReLU": Network(NEW, "relu", (64, 64)),
    "88 tanh": Network(NEW, "tanh", (88, 88)),
    "136 ReLU": Network(NEW, "relu", (136, 136)),
    "52 + 52 ReLU": Network(NEW, "relu", (52, 52), n_layers=2),
    "104 + 104 tanh": Network(NEW, "tanh", (104, 104), n_layers=2),
    "52 + 52 + 52 tanh": Network(NEW, "tanh", (52, 52), n_layers=3),
}
# Rivals: the optimizer, its step sizes, and whether they fall along a cosine.
ADAM_RATES, SGD_RATES = np.logspace(-2.5, -0.5, 9), np.logspace(-1.5, 0.5, 9)
RIVALS: dict[str, tuple[Callable[..., torch.optim.Optimizer], np.ndarray, bool]] = {
    "adam": (torch.optim.Adam, ADAM_RATES, False),
    "adam_cosine": (torch.optim.Adam, ADAM_RATES, True),
    "momentum": (partial(torch.optim.SGD, momentum=0.9), SGD_RATES, False),
}


def train(
    problem: Network,
    seed: int,
    make: Callable[[list[Tensor]], torch.optim.Optimizer],
    n_steps: int,
    *,
    cosine: bool = False,
    at: tuple[int, ...] = (),
) -> list[list[float]]:
    """Cross-entropy of all rows, and of those held out, after the numbers of steps `at`."""
    rng = np.random.default_rng(seed)
    theta = {n: v.requires_grad_() for n, v in problem.init(rng).items()}
    optimizer, measured = make(list(theta.values())), []
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps) if cosine else None
    other = NEW if problem.rows is DEVELOPMENT else DEVELOPMENT
    for step in range(1, n_steps + 1):
        optimizer.zero_grad()
        loss = problem.loss(theta, rng)
        loss.backward()
        if isinstance(optimizer, PriorOptimizer):
            optimizer.step(loss=loss)
        else:
            optimizer.step()
        if schedule is not None:
            schedule.step()
        if step in (at or (n_steps,)):
            with torch.no_grad():
                both = [problem.cross_entropy(theta, rows) for rows in (problem.rows, other)]
            measured.append([min(float(v), 1e3) if v.isfinite() else 1e3 for v in both])
    return measured


def run_all(
    problems: list[Network], make: Any, *, cosine: bool, knows: bool, seed: int
) -> np.ndarray:
    """Losses of all runs, (n_problems, n_runs, n_steps, 2); `make(n_steps)` makes optimizers."""
    curves = []
    for problem in problems:
        for k in range(N_RUNS):
            if knows:
                curve = [train(problem, seed + k, make(n), n, cosine=cosine)[0] for n in STEPS]
            else:
                curve = train(problem, seed + k, make(max(STEPS)), max(STEPS), at=STEPS)
            curves.append(curve)
    return np.array(curves).reshape(len(problems), N_RUNS, len(STEPS), 2)


def measure_rival(name: str) -> dict[str, Any]:
    """Tune a rival on the development networks, and run it on the new ones."""
    kind, rates, cosine = RIVALS[name]
    developed, new = [], []
    for lr in rates:
        options: dict[str, Any] = {"cosine": cosine, "knows": cosine}
        options["make"] = lambda _, lr=float(lr): partial(kind, lr=lr)
        developed.append(run_all(FAMILY, seed=DEVELOPMENT_SEED, **options))
        new.append(run_all(list(NEW_NETWORKS.values()), seed=NEW_SEED, **options))
    on_development, on_new = np.array(developed), np.array(new)
    chosen = on_development[..., 0].mean((1, 2)).argmin(0)  # (n_steps,)
    tuned = np.stack([on_new[best, :, :, t] for t, best in enumerate(chosen)], 2)
    of_network = on_new[..., 0].mean(2).argmin(0)  # (n_problems, n_steps)
    at = of_network[None, :, None, :, None]
    best = np.take_along_axis(on_new, at, 0)[0]
    return {"lr": rates[chosen].tolist(), "losses": tuned.tolist(), "best": best.tolist()}


def measure_learned() -> dict[str, Any]:
    """Meta-train on the development networks, and run on the new ones."""
    runs = RESULTS / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    begun = time.process_time()
    learner = LearnedOptimizer(
        n_inner_steps=100,
        n_iterations=400,
        execution=ExecutionOptions(checkpoint=runs / "learned.ckpt"),
        device="cpu",
        verbose=1,
        random_state=0,
    ).fit_problems(FAMILY)
    seconds = time.process_time() - begun

    def make(n_steps: int) -> Callable[[list[Tensor]], torch.optim.Optimizer]:
        return partial(PriorOptimizer, prior=learner.prior_, n_inner_steps=n_steps)

    problems = list(NEW_NETWORKS.values())
    losses = run_all(problems, make, cosine=False, knows=True, seed=NEW_SEED)
    return {"seconds": seconds, "losses": losses.tolist()}


def report(records: dict[str, Any]) -> dict[str, Any]:
    """Mean losses, and ratios of the learned optimizer to its rivals."""
    summary: dict[str, Any] = {}
    means = {n: np.array(r["losses"]) for n, r in records.items() if "losses" in r}
    means |= {f"{n}, best": np.array(r["best"]) for n, r in records.items() if "best" in r}
    for key, losses in means.items():
        of_rows, held_out = np.round(losses.mean((0, 1)), 4).T.tolist()
        summary[key] = {"loss": of_rows, "held_out": held_out}
        if key == "learned":
            continue
        for t, n_steps in enumerate(STEPS):
            # Runs are pairs: they have the same start and the same batches.
            pairs = (of[:, :, t, 0].ravel() for of in (means["learned"], losses))
            summary[key][f"ratio_{n_steps}"] = np.round(ratio_interval(*pairs), 3).tolist()
        by_network = means["learned"][..., 0].mean(1) / losses[..., 0].mean(1)
        by_network = zip(NEW_NETWORKS, np.round(by_network, 3).tolist(), strict=True)
        summary[key]["ratio_by_network"] = dict(by_network)
    return summary


def main() -> None:
    options = read_options(__doc__, methods_=["learned", *RIVALS, "report"])
    torch.set_num_threads(1)
    path = RESULTS / "learned_optimizers.json"
    for method in options.methods:
        if method == "report":
            record = report({n: r for n, r in read_records(path).items() if n != "report"})
            print(record)
        else:
            record = measure_learned() if method == "learned" else measure_rival(method)
        store(path, method, record, indent=None)


if __name__ == "__main__":
    main()
