"""A learned optimizer on unseen problems, against Adam, RMSprop and SGD with momentum.

    python -m benchmarks.measure.learned_optimizers quadratics networks --horizon 20

``quadratics``: mean squared error of a linear model, ten rows of ten features and a target, all
normal, from drawn weights (Andrychowicz et al. 2016, section 3.1, and a bias). ``networks``: an MLP
of 20 hidden units on 20 points of a sinusoid, amplitude in [0.1, 5], phase in [0, pi]. Gradients
are exact. The optimizer is meta-trained on 5,000 problems of a family with the horizon given.

All methods start from the same weights on the same 200 unseen problems. The step size of each of
torch's optimizers is the best of 17, from 0.0001 to 1 (SGD: momentum 0.9), on 200 validation
problems, for each number of steps on its own. ``excess`` is the mean over problems of the log10 of
the learned optimizer's loss over the best rival's, with a 95% interval: below 0 is better.
The learned optimizer gets the loss (``step(loss=loss)``); ``worst_rise`` is the largest loss after
ten horizons over that after one.

A run resumes where it was stopped. Results go to ``benchmarks/results/learned_optimizers.json``.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.lib.intervals import normal_interval
from benchmarks.lib.resumable import store
from skmeta.learners import ExecutionOptions, InputOptions, LearnedOptimizer, Validation
from skmeta.learners._core import read_prior
from skmeta.learners.learned_optimizers import learned_step

RESULTS = Path(__file__).parents[1] / "results"
STEPS = (20, 100)
RATES = np.logspace(-4, 0, 17)
RIVALS: dict[str, Callable] = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd_momentum": partial(torch.optim.SGD, momentum=0.9),
}
N_TRAINING, N_TEST = 5000, 200
Problems = tuple[Callable[[Tensor], Tensor], Tensor]
Rows = tuple[np.ndarray, np.ndarray]


def quadratic_rows(rng: np.random.Generator, n: int, n_more: int = 0) -> Rows:
    """Rows of n problems and their targets."""
    return rng.normal(size=(n, 10 + n_more, 10)), rng.normal(size=(n, 10 + n_more))


def quadratics(n: int, seed: int) -> Problems:
    """Losses of n problems at n vectors of weights, and where they start."""
    rng = np.random.default_rng(seed)
    X, y = map(torch.tensor, quadratic_rows(rng, n))
    start = torch.tensor(rng.uniform(-1, 1, (n, 11)) * ([10**-0.5] * 10 + [0.0]))

    def losses(theta: Tensor) -> Tensor:
        outputs = (X @ theta[:, :10, None])[..., 0] + theta[:, 10:]
        return ((outputs - y) ** 2).mean(1)

    return losses, start


def network_rows(rng: np.random.Generator, n: int, n_more: int = 0) -> Rows:
    """Rows of n problems and their targets."""
    x = rng.uniform(-5, 5, (n, 20 + n_more))
    amplitude, phase = rng.uniform(0.1, 5, (n, 1)), rng.uniform(0, np.pi, (n, 1))
    return x[..., None], amplitude * np.sin(x - phase)


def networks(n: int, seed: int) -> Problems:
    """As above."""
    rng = np.random.default_rng(seed)
    X, y = map(torch.tensor, network_rows(rng, n))
    bounds = [1.0] * 40 + [20**-0.5] * 20 + [0.0]
    start = torch.tensor(rng.uniform(-1, 1, (n, 61)) * bounds)

    def losses(theta: Tensor) -> Tensor:
        hidden = torch.tanh(X * theta[:, None, :20] + theta[:, None, 20:40])
        outputs = (hidden * theta[:, None, 40:60]).sum(2) + theta[:, 60:]
        return ((outputs - y) ** 2).mean(1)

    return losses, start


FAMILIES = {
    "quadratics": (quadratics, quadratic_rows, {"backbone": "identity"}),
    "networks": (
        networks,
        network_rows,
        {"backbone": "mlp", "backbone_params": {"hidden": (20,), "activation": "tanh"}},
    ),
}


def meta_train(family: str, horizon: int, n_iterations: int) -> LearnedOptimizer:
    """Learn an optimizer on problems of a family."""
    _, rows, settings = FAMILIES[family]
    # The query set plays no part where the loss of the support set is descended; it must exist.
    X, y = rows(np.random.default_rng(0), N_TRAINING, n_more=1)
    n_rows = X.shape[1] - 1
    runs = RESULTS / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    learner = LearnedOptimizer(
        **settings,
        objective="support",
        network="lstm",
        first_order=True,
        n_hidden=20,
        truncation=20,
        n_inner_steps=horizon,
        n_shot=n_rows,
        n_query=1,
        inputs=InputOptions(standardize=False),
        meta_batch_size=64,
        meta_lr=0.003,
        n_iterations=n_iterations,
        validation=Validation(0.0, every=20),
        execution=ExecutionOptions(
            "vmap", checkpoint=runs / f"optimizer-{family}-{horizon}-{n_iterations}.ckpt"
        ),
        device="cpu",
        verbose=1,
        random_state=0,
    )
    groups = np.repeat(np.arange(N_TRAINING), n_rows + 1)
    return learner.fit(X.reshape(len(groups), -1), y.reshape(-1), groups=groups)


def slopes(losses: Callable[[Tensor], Tensor], theta: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and their gradients."""
    theta = theta.detach().requires_grad_()
    values = losses(theta)
    (gradient,) = torch.autograd.grad(values.sum(), theta)
    return values.detach(), gradient


def run_rival(make: Callable, lr: float, problems: Problems, n_steps: int) -> np.ndarray:
    """Losses after 0, 1, ... steps, of shape (n_steps + 1, n_problems)."""
    losses, start = problems
    theta = start.clone().requires_grad_()
    optimizer = make([theta], lr=lr)
    curve = []
    for _ in range(n_steps + 1):
        # Each entry has a step of its own, so problems side by side do not see each other.
        values, theta.grad = slopes(losses, theta)
        curve.append(values.numpy())
        optimizer.step()
    return np.stack(curve)


def run_learned(prior, problems: Problems, n_steps: int) -> np.ndarray:
    """As above; each problem has a guard of its own."""
    session, state = read_prior(
        prior, LearnedOptimizer, classes=[0], device="cpu", precision="float64"
    )
    lr, (losses, theta) = session.algorithm.settings.inner_lr, problems
    memory = {"step": torch.zeros(len(theta), dtype=torch.float64)}

    def step(theta, gradient, value, memory):
        new, memory = learned_step(state, lr, {"all": theta}, {"all": gradient}, memory, value)
        return new["all"], memory

    curve = []
    for _ in range(n_steps + 1):
        values, gradient = slopes(losses, theta)
        curve.append(values.numpy())
        with torch.no_grad():
            theta, memory = torch.func.vmap(step)(theta, gradient, values, memory)
    return np.stack(curve)


def compare(family: str, horizon: int, n_iterations: int) -> dict:
    """Losses of all methods on unseen problems of a family."""
    draw = FAMILIES[family][0]
    validation, test = draw(N_TEST, 1001), draw(N_TEST, 1002)
    learner = meta_train(family, horizon, n_iterations)
    record: dict = {"minutes": learner.history_["seconds"][-1] / 60, "iterations": n_iterations}
    learned = run_learned(learner.prior_, test, max(10 * horizon, *STEPS))
    record["worst_rise"] = float((learned[10 * horizon] / learned[horizon]).max())
    record[f"after_{10 * horizon}"] = normal_interval(learned[10 * horizon])
    best: dict[int, np.ndarray] = {}
    for name, make in RIVALS.items():
        tried = [run_rival(make, lr, validation, max(STEPS)) for lr in RATES]
        for n_steps in STEPS:
            errors = [np.nan_to_num(curve[n_steps], nan=np.inf).mean() for curve in tried]
            lr = RATES[int(np.argmin(errors))]
            losses = run_rival(make, lr, test, n_steps)[-1]
            record[f"{name}_{n_steps}"] = {"lr": float(lr), "loss": normal_interval(losses)}
            if n_steps not in best or losses.mean() < best[n_steps].mean():
                best[n_steps] = losses
    for n_steps in STEPS:
        losses = learned[n_steps]
        record[f"learned_{n_steps}"] = normal_interval(losses)
        record[f"excess_{n_steps}"] = normal_interval(np.log10(losses / best[n_steps]))
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="+", choices=FAMILIES)
    parser.add_argument("--horizon", nargs="+", type=int, default=[20])
    parser.add_argument("--iterations", type=int, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "learned_optimizers.json"
    for family in args.families:
        for horizon in args.horizon:
            record = compare(family, horizon, args.iterations)
            print(family, horizon, json.dumps(record, indent=1))
            store(path, f"{family}-{horizon}", record)


if __name__ == "__main__":
    main()
