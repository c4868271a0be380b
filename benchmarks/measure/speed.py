"""Cost of one second-order MAML meta-iteration, beside torch, JAX, ``higher`` and ``torchopt``.

    python -m benchmarks.measure.speed
    python -m benchmarks.measure.speed --network mlp --repetitions 15

Two problems: ``conv4``, 32 tasks of Omniglot, 5-way 1-shot with 15 queries a class, the network
of four blocks of 64 filters; ``mlp``, 25 sinusoids, 10 support and 10 query points, two hidden
layers of 40 units. One inner step. All libraries compute the same meta-gradient, which is
checked in float64 first: same weights, a learned row of the head for each class, the query set
normalised by its own statistics (``transductive=True``, as the peers do). Each peer is used as
its documentation does: higher and torchopt one task after another, with a backward pass per task so
that memory does not grow; ``torch.func``, ``torch.compile`` of it, and JAX with ``jit`` all tasks
at once by ``vmap``, for ``mlp`` only (``vmap`` of torch has a wrong second derivative of batch
normalisation). The outer optimizer's step is left out for all.

``skmeta`` gets ready tensors like the peers; ``with sampling`` also draws the tasks and gathers
their rows, as meta-training does; ``inductive`` normalises the query set by the support set's
statistics, as is the default of meta-training; ``bfloat16`` computes convolutions and products of
matrices in it. Repetitions are interleaved, so that other work on the machine hits all alike
(``--processor-time`` on a busy one, with one thread; ``--first-calls`` come before the timed
ones; ``--tasks`` are those of conv4's meta-batch); printed are medians and the median of the
ratios within a repetition. Peak memory (on Linux) is that of a process of its own for each library,
beyond what it held before the first iteration.

Results go to ``benchmarks/results/speed.json``.
"""

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.lib.resumable import RESULTS, read_options, store
from skmeta._backend import Execution, Rows, Scaler, TaskTensors
from skmeta.backbones import build_backbone
from skmeta.datasets import load_omniglot, make_sinusoid_tasks
from skmeta.learners import MAML
from skmeta.learners._core import Session
from skmeta.tasks import ClassEpisodes, GroupEpisodes

DTYPES = {"float32": torch.float32, "float64": torch.float64}
INNER_LR = {"conv4": 0.4, "mlp": 0.01}
OURS = (
    "skmeta",
    *(f"skmeta {how}" for how in ("with sampling", "inductive", "inductive bfloat16")),
)
PEERS = {
    "conv4": ("higher", "torchopt"),
    "mlp": ("higher", "torchopt", "torch.func", "torch.compile", "jax"),
}


class Problem:
    """Tasks, and a state to start from."""

    def __init__(self, network: str, n_tasks: int, precision: str) -> None:
        self.network, self.n_tasks, self.precision = network, n_tasks, precision
        self.is_images = network == "conv4"
        if self.is_images:
            self.X, y = load_omniglot(subset="test", return_X_y=True, dtype=np.uint8)
            self.sampler = ClassEpisodes(y, 5, 1, 15)
            self.shape, self.kind, self.n_outputs = (1, 28, 28), "classification", 5
        else:
            self.X, y, groups = make_sinusoid_tasks(1000, 20, random_state=0)
            self.sampler = GroupEpisodes(y, groups, 10, 10)
            self.shape, self.kind, self.n_outputs = (1,), "regression", 1
        self.session = self.begin(transductive=True)
        self.state = self.session.draw_state(1)
        self.table = self.session.adapter.upload(self.X)
        self.rng = np.random.default_rng(0)
        self.tasks = self.draw()

    def begin(self, transductive: bool, precision: str | None = None) -> Session:
        settings = {"backbone": self.network, "inner_lr": INNER_LR[self.network]}
        learner = MAML(**settings, n_inner_steps=1, transductive=transductive)
        return Session.open(
            learner,
            build_backbone(self.network, self.shape, None, torch.Generator().manual_seed(0)),
            self.shape,
            Scaler(np.zeros(()), np.ones(()), np.zeros(()), np.ones(())),
            kind=self.kind,
            head="learned",
            classes=range(self.n_outputs),
            device="cpu",
            precision=precision or self.precision,
        )

    def draw(self):
        return self.session.adapter.tasks(
            self.table, self.sampler.sample_batch(self.rng, self.n_tasks)
        )

    def loss(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(outputs, y) if self.is_images else F.mse_loss(outputs[:, 0], y)

    def module(self) -> nn.Module:
        """The network as users of the peers write it, with the same weights."""
        if self.is_images:
            layers: list[nn.Module] = []
            for n_in in (1, 64, 64, 64):
                layers += [nn.Conv2d(n_in, 64, 3, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(64, track_running_stats=False), nn.ReLU()]
                layers += [nn.MaxPool2d(2)]
            module = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, self.n_outputs))
        else:
            module = nn.Sequential(
                nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
            )
        module.to(DTYPES[self.precision])
        # Both list their parameters from the first layer to the last.
        with torch.no_grad():
            for parameter, value in zip(module.parameters(), self.state.values(), strict=True):
                parameter.copy_(value)
        return module


class Ours:
    """skmeta; ``context`` is entered around calls, since it may hold threads."""

    def __init__(self, method: str, problem: Problem, first_calls: int) -> None:
        self.problem, self.sampling = problem, "sampling" in method
        precision = "bfloat16" if "bfloat16" in method else None
        session = problem.begin("inductive" not in method, precision)
        rows = sum(side.x.shape[1] for side in problem.tasks)
        flops = 3.0 * rows * session.context.network.n_flops
        self.fn = partial(session.algorithm.mean_gradient, session.context, problem.state)
        # What a ``fit`` of 500 iterations or more makes of execution="auto".
        self.context = Execution(
            "auto", device=torch.device("cpu"), flops_per_task=flops, record=True
        )
        few = TaskTensors(*(Rows(*(x[:2] for x in side)) for side in problem.tasks))
        with self.context:
            for _ in range(first_calls):
                self.fn(problem.tasks if self.context.mode == "vmap" else few, self.context)

    def __call__(self) -> list[torch.Tensor]:
        problem = self.problem
        tasks = problem.draw() if self.sampling else problem.tasks
        gradient, _ = self.fn(tasks, self.context)
        return [gradient[n] for n in problem.state]


class Peer:
    """What the peers share: tensors laid out as torch does by default."""

    context = nullcontext()

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.module = problem.module()
        self.parameters = list(self.module.parameters())
        support, query = problem.tasks
        tensors = (support.x, support.y, query.x, query.y)
        self.tasks = list(zip(*(part.contiguous() for part in tensors), strict=True))

    def __call__(self) -> list[torch.Tensor]:
        self.module.zero_grad()
        self.accumulate()
        return [p.grad for p in self.parameters]


class Higher(Peer):
    def __init__(self, problem: Problem) -> None:
        import higher

        super().__init__(problem)
        self.inner_loop = higher.innerloop_ctx
        lr = INNER_LR[problem.network]
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=lr)

    def accumulate(self) -> None:
        loss = self.problem.loss
        for x_support, y_support, x_query, y_query in self.tasks:
            copied = self.inner_loop(self.module, self.optimizer, copy_initial_weights=False)
            with copied as (fast, inner):
                inner.step(loss(fast(x_support), y_support))
                (loss(fast(x_query), y_query) / len(self.tasks)).backward()


class TorchOpt(Peer):
    def __init__(self, problem: Problem) -> None:
        import torchopt

        super().__init__(problem)
        self.torchopt = torchopt
        # It replaces the module's tensors, but not those in the list of parameters.
        self.optimizer = torchopt.MetaSGD(self.module, lr=INNER_LR[problem.network])

    def accumulate(self) -> None:
        loss, torchopt = self.problem.loss, self.torchopt
        initial = torchopt.extract_state_dict(self.module, by="reference", detach_buffers=True)
        resting = torchopt.extract_state_dict(self.optimizer, by="reference")
        for x_support, y_support, x_query, y_query in self.tasks:
            self.optimizer.step(loss(self.module(x_support), y_support))
            (loss(self.module(x_query), y_query) / len(self.tasks)).backward()
            torchopt.recover_state_dict(self.module, initial)
            torchopt.recover_state_dict(self.optimizer, resting)


class TorchFunc(Peer):
    """All tasks at once, by ``torch.func``, compiled or not."""

    def __init__(self, problem: Problem, *, is_compiled: bool) -> None:
        super().__init__(problem)
        lr = INNER_LR[problem.network]

        def loss(parameters: dict[str, torch.Tensor], x, y) -> torch.Tensor:
            return problem.loss(torch.func.functional_call(self.module, parameters, (x,)), y)

        def task_loss(parameters: dict[str, torch.Tensor], xs, ys, xq, yq) -> torch.Tensor:
            slopes = torch.func.grad(loss)(parameters, xs, ys)
            return loss({n: v - lr * slopes[n] for n, v in parameters.items()}, xq, yq)

        def mean_loss(parameters: dict[str, torch.Tensor], *tasks) -> torch.Tensor:
            over_tasks = torch.func.vmap(task_loss, (None, 0, 0, 0, 0))
            return over_tasks(parameters, *tasks).mean()

        gradient = torch.func.grad(mean_loss)
        self.gradient = torch.compile(gradient) if is_compiled else gradient
        self.stacked = tuple(torch.stack(parts) for parts in zip(*self.tasks, strict=True))

    def __call__(self) -> list[torch.Tensor]:
        parameters = {n: v.detach() for n, v in self.module.named_parameters()}
        return list(self.gradient(parameters, *self.stacked).values())


class Jax(Peer):
    """All tasks at once, by ``jax.vmap`` within ``jax.jit``; of ``mlp`` only."""

    def __init__(self, problem: Problem) -> None:
        import jax
        import jax.numpy as jnp

        super().__init__(problem)
        jax.config.update("jax_enable_x64", problem.precision == "float64")
        lr = INNER_LR[problem.network]

        def loss(parameters, x, y):
            for i in range(0, len(parameters), 2):
                x = x @ parameters[i].T + parameters[i + 1]
                x = jax.nn.relu(x) if i + 2 < len(parameters) else x
            return ((x[:, 0] - y) ** 2).mean()

        def task_loss(parameters, xs, ys, xq, yq):
            slopes = jax.grad(loss)(parameters, xs, ys)
            moved = [v - lr * slope for v, slope in zip(parameters, slopes, strict=True)]
            return loss(moved, xq, yq)

        def mean_loss(parameters, *tasks):
            return jax.vmap(task_loss, (None, 0, 0, 0, 0))(parameters, *tasks).mean()

        self.gradient = jax.jit(jax.grad(mean_loss))
        self.values = [jnp.asarray(v.detach().numpy()) for v in self.parameters]
        stacked = (torch.stack(parts) for parts in zip(*self.tasks, strict=True))
        self.stacked = tuple(jnp.asarray(part.numpy()) for part in stacked)

    def __call__(self) -> list[torch.Tensor]:
        found = self.gradient(self.values, *self.stacked)
        return [torch.from_numpy(np.array(slope)) for slope in found]


def make(method: str, problem: Problem, first_calls: int = 1) -> Ours | Peer:
    peers: dict[str, Callable[[Problem], Peer]] = {
        "higher": Higher,
        "torchopt": TorchOpt,
        "torch.func": partial(TorchFunc, is_compiled=False),
        "torch.compile": partial(TorchFunc, is_compiled=True),
        "jax": Jax,
    }
    return peers[method](problem) if method in peers else Ours(method, problem, first_calls)


def disagreement(network: str) -> float:
    """Largest relative difference of the peers' meta-gradients from ours, in float64."""
    problem = Problem(network, 3, "float64")
    # Binary images tie in the pooling, where the libraries may pick different winners.
    for side in problem.tasks:
        side.x.add_(0.1 * torch.randn(side.x.shape, generator=torch.Generator().manual_seed(2)))
    gradients = []
    for method in ("skmeta", *PEERS[network]):
        iteration = make(method, problem)
        with iteration.context:
            gradients.append(torch.cat([g.flatten() for g in iteration()]))
    ours = gradients[0]
    return max(float((g - ours).norm() / ours.norm()) for g in gradients[1:])


def timings(
    network: str, n_tasks: int, repetitions: int, n: int, clock: Callable[[], float], calls: int
) -> dict[str, list[float]]:
    """Seconds of one meta-iteration, for each repetition."""
    problem, warm_up = Problem(network, n_tasks, "float32"), Problem(network, 2, "float32")
    all_methods = OURS + PEERS[network]
    methods = {m: (make(m, problem, calls), make(m, warm_up)) for m in all_methods}
    seconds: dict[str, list[float]] = {m: [] for m in all_methods}
    for repetition in range(repetitions + 1):
        for method, (iteration, short) in methods.items():
            with short.context:
                short()
            with iteration.context:
                began = clock()
                for _ in range(n):
                    iteration()
                if repetition > 0:
                    seconds[method].append((clock() - began) / n)
    return seconds


def memory(name: str) -> float:
    """Megabytes that this process holds (``VmRSS``) or has held at most (``VmHWM``)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def peak_memory(method: str, network: str, n_tasks: int) -> list[float]:
    """Memory before the first iteration and its peak, in MB, of this process."""
    problem = Problem(network, n_tasks, "float32")
    Path("/proc/self/clear_refs").write_text("5")  # The peak starts anew.
    before = memory("VmRSS")
    iteration = make(method, problem)
    with iteration.context:
        for _ in range(3):
            iteration()
    return [before, memory("VmHWM")]


def main() -> None:
    args = read_options(
        __doc__, network=[*PEERS], repetitions=7, processor_time=False, first_calls=40, tasks=32,
        skip_memory=False, memory="",
    )  # fmt: skip
    sizes = {"conv4": (args.tasks, 1), "mlp": (25, 20)}
    if args.memory:
        print(json.dumps(peak_memory(args.memory, args.network[0], sizes[args.network[0]][0])))
        return
    if unknown := set(args.network) - set(PEERS):
        raise SystemExit(f"--network takes {' and '.join(PEERS)}, got {', '.join(unknown)}.")
    for network in args.network:
        n_tasks, n = sizes[network]
        record = {
            "n_tasks": n_tasks,
            "clock": "processor time" if args.processor_time else "wall time",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "machine": platform.machine(),
            "repetitions": args.repetitions,
            "disagreement_float64": disagreement(network),
        }
        assert record["disagreement_float64"] < 1e-6, record
        clock = time.process_time if args.processor_time else time.perf_counter
        seconds = timings(network, n_tasks, args.repetitions, n, clock, args.first_calls)
        for method, each in seconds.items():
            ratios = [a / b for a, b in zip(each, seconds["skmeta"], strict=True)]
            record[method] = {
                "milliseconds": 1000 * statistics.median(each),
                "time_over_skmeta": statistics.median(ratios),
                "time_over_skmeta_range": [min(ratios), max(ratios)],
            }
            if args.skip_memory:
                continue
            command = [sys.executable, "-m", __spec__.name, "--tasks", str(args.tasks)]
            command += ["--network", network, "--memory", method]
            before, peak = json.loads(subprocess.check_output(command))
            record[method] |= {
                "memory_before_mb": before,
                "memory_peak_mb": peak,
                "memory_added_mb": peak - before,
            }
        print(network, json.dumps(record, indent=1))
        store(RESULTS / "speed.json", network, record)


if __name__ == "__main__":
    main()
