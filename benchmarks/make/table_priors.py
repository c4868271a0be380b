"""Meta-train the priors for any small table, on synthetic tasks; resumable.

    python -m benchmarks.make.table_priors classification --folder RUN --planned-hours 1.5
    python -m benchmarks.make.table_priors classification --folder RUN --hours 1.5

``RUN/<kind>.checkpoint`` holds network, optimizer, random numbers and loss curve; it is written
every few minutes, and when the time is up, and the same command goes on from it to the bit (on
the same device and number of threads). ``--planned-hours H`` lets the step size fall linearly from
the warm-up on, ends the run after H hours of processor time (of the clock on a GPU), however often
it was stopped in between, and writes the prior. Without it, the step size rises, then stays as it
is. ``--export`` writes a prior, in half precision, from the mean of the last weights at any time.
``--start FILE`` begins a new run from a prior of either kind, such as one that ships
(``skmeta/priors/data``), with a new optimizer. ``--optimizer muon`` uses Muon for the matrices of
hidden layers.

``--real-share 0.7 --origins first`` draws 70% of the batches from real tables, those of the first
half of all origins (``make/real_tables.py``; ``SKMETA_DATA`` is their folder), and ``--r-share 0.6
--r-origins first`` 60% of these from tables of R packages. A model that is reported on a set has
not seen its origin, so there is one for each half; the model that ships goes on with both halves
(for regression, the model of the first half ships). ``real_loss`` in the records is that on
development sets of the other half, to be compared with the row of no iterations. The model of the
first half for classification, for example, went on from its weights before R tables with::

    python -m benchmarks.make.table_priors classification --folder RUN --planned-hours 0.4 \\
        --hours 3 --start BEFORE.skmeta \\
        --origins first --real-share 0.7 --r-origins first --r-share 0.6 --largest-support 1000 \\
        --optimizer muon --lr 4e-4 --warm-up 50 --threads 1 --record RUN/record.json --power 1.1

``--power`` raises the probabilities of the exported prior to a power, here one with less log loss
on development sets: targets of people are easier to predict than other columns.

A larger ``--n-layers`` begins with the predictions of the prior, as new layers add nothing at
first.

On a GPU (``--device cuda``) tables are drawn there. ``--amp``, the default on a GPU, computes the
linear maps in bfloat16: on a processor with AMX 1.4 times as many tables per second for 4.4 million
numbers, but fewer for 0.6 million.

Each iteration draws the shape of its tables first: 2 to 500 support rows (``--largest-support``)
and 1 to 60 columns, small ones being more frequent, as many tables as make a fixed cost. The loss
reported beside that of training is the one of the averaged weights on fixed tables of five shapes.
"""

import argparse
import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.lib.origins import HALVES
from benchmarks.lib.tabular_sets import SETS, names_of
from benchmarks.make.real_tables import RealTables, load_tables, load_tables_of_r
from benchmarks.make.synthetic_tables.batches import draw_tables
from benchmarks.make.table_loss import batch_loss
from skmeta._training import load_checkpoint, save_checkpoint
from skmeta.learners import InContextLearner
from skmeta.learners.in_context import TableTransformer, module_parameters
from skmeta.priors import MetaPrior

RESULTS = Path(__file__).parents[1] / "results"
ORIGINS = {"none": (), "both": HALVES} | {half: (half,) for half in HALVES}
SHAPES = ((6, 5), (20, 4), (40, 12), (100, 30), (200, 10))
TASKS_A_SHAPE = 48
# Support rows, and draws of each size, of the real tables that a run has not seen.
REAL_SIZES, REAL_DRAWS = (8, 40), 8


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that a run depends on, but for its length and the machine."""

    kind: str
    width: int = 128
    n_layers: int = 4
    n_heads: int = 4
    cell_width: int = 32
    optimizer: str = "adamw"
    lr: float = 1e-3
    planned_hours: float = 0.0
    warm_up: int = 500
    weight_decay: float = 0.01
    beta2: float = 0.98
    clip_norm: float = 1.0
    average: float = 0.998
    n_query: int = 32
    cost: int = 90_000
    most_tasks: int = 64
    largest_support: int = 500
    most_columns: int = 60
    real_share: float = 0.0
    origins: str = "none"
    r_share: float = 0.0
    r_origins: str = "none"
    seed: int = 0

    def learner(self) -> InContextLearner:
        """The learner whose network is trained."""
        names = ("width", "n_layers", "n_heads", "cell_width")
        return InContextLearner(**{name: getattr(self, name) for name in names})


def draw_shape(
    config: Config, rng: np.random.Generator, real: RealTables | None = None
) -> tuple[int, int, int]:
    """Number of tables, support rows and columns of an iteration."""
    n_support = round(math.exp(rng.uniform(math.log(2), math.log(config.largest_support + 1))))
    if real is None:
        n_columns = int(math.exp(rng.uniform(0, math.log(config.most_columns + 1))))
    else:
        n_columns = real.draw_columns(rng, n_support + config.n_query)
    n_support = max(2, min(config.largest_support, n_support))
    # A row costs as much as 20 cells beside its own, and 20 pairs of rows as much as one.
    cost = (n_support + config.n_query) * (n_columns + 20 + n_support / 20)
    return max(2, min(config.most_tasks, round(config.cost / cost))), n_support, n_columns


class Run:
    """A meta-training in progress."""

    def __init__(self, config: Config, device: str, amp: bool) -> None:
        self.config, self.device, self.amp = config, device, amp
        self.network = config.learner().make_network(config.kind)
        self.network.draw(torch.Generator().manual_seed(config.seed))
        self.network.to(device)
        self.average = {n: p.detach().clone() for n, p in self.network.named_parameters()}
        self.optimizers = make_optimizers(self.network, config)
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.started_from: dict | None = None
        self.real, self.unseen = None, []
        if config.real_share:
            tables = load_tables(ORIGINS[config.origins])
            if config.r_share:
                tables += load_tables_of_r(ORIGINS[config.r_origins], config.r_share, tables)
            self.real = RealTables(tables, config.kind)
            self.unseen = unseen_tables(config)
        self.iteration, self.n_tasks, self.seconds = 0, 0, 0.0
        self.curve: list[dict] = []
        self.recent: list[tuple[float, float]] = []

    def lr_factor(self) -> float:
        """Share of the step size at this iteration."""
        rise = min(1.0, (self.iteration + 1) / self.config.warm_up)
        if not self.config.planned_hours:
            return rise
        return rise * max(0.0, 1 - self.seconds / (3600 * self.config.planned_hours))

    def is_over(self) -> bool:
        """Whether the step size has fallen to zero."""
        return 0 < 3600 * self.config.planned_hours <= self.seconds

    def step(self) -> None:
        """One iteration."""
        config = self.config
        real = self.real
        if real is not None and self.rng.random() >= config.real_share:
            real = None
        b, n_support, n_columns = draw_shape(config, self.rng, real)
        n_rows = n_support + config.n_query
        if real is None:
            x, y = draw_tables(self.generator, b, n_rows, n_columns, kind=config.kind)
        else:
            x, y = (v.to(self.device) for v in real.draw(self.rng, b, n_rows, n_columns))
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.amp):
            losses, scores = batch_loss(self.network, config.kind, x, y, n_support, self.generator)
        # A table whose targets are far out must not decide the step.
        loss = losses.clamp_max(20.0).mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        if bool(torch.isfinite(norm)):
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = config.lr * self.lr_factor()
                optimizer.step()
        else:
            raise FloatingPointError(f"The gradient is {norm} at iteration {self.iteration}.")
        self.network.zero_grad(set_to_none=True)
        # Early weights are forgotten faster.
        keep = min(config.average, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            # By name: a checkpoint may list them in another order.
            parameters = dict(self.network.named_parameters())
            averages = [self.average[name] for name in parameters]
            torch._foreach_lerp_(averages, list(parameters.values()), 1 - keep)
        self.recent.append((loss.item(), scores.mean().item()))
        self.iteration += 1
        self.n_tasks += b

    def record(self) -> None:
        """Add a row to the loss curve."""
        train_loss, train_score = np.mean(self.recent, axis=0)
        row = {
            "iteration": self.iteration,
            "seconds": round(self.seconds, 1),
            "n_tasks": self.n_tasks,
            "lr": self.config.lr * self.lr_factor(),
            "train_loss": round(float(train_loss), 5),
            "train_score": round(float(train_score), 5),
        } | self.validate()
        self.curve.append(row)
        self.recent.clear()
        print(json.dumps(row), flush=True)

    def validate(self) -> dict:
        """Losses of the averaged weights."""
        network, kind = self.averaged(), self.config.kind
        row = validate(network, kind, self.device)
        if self.unseen:
            row["real_loss"] = validate_real(network, kind, self.unseen, self.device)
        return row

    def averaged(self) -> TableTransformer:
        """The network with the averaged weights."""
        network = self.config.learner().make_network(self.config.kind).to(self.device)
        network.load_state_dict(self.average)
        return network

    def saved(self) -> dict:
        """What a checkpoint holds."""
        return {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "rng": self.rng.bit_generator.state,
            "generator": self.generator.get_state(),
            "iteration": self.iteration,
            "n_tasks": self.n_tasks,
            "seconds": self.seconds,
            "curve": self.curve,
            "recent": self.recent,
            "started_from": self.started_from,
        }

    def restore(self, saved: dict) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(saved["network"])
        # In the order of the parameters, whatever order the file has.
        self.average = {
            n: saved["average"][n].detach().to(self.device)
            for n, _ in self.network.named_parameters()
        }
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.rng.bit_generator.state = saved["rng"]
        self.generator.set_state(saved["generator"].cpu())
        self.iteration, self.n_tasks = saved["iteration"], saved["n_tasks"]
        self.seconds, self.curve = saved["seconds"], list(saved["curve"])
        self.recent = [tuple(pair) for pair in saved["recent"]]
        self.started_from = saved.get("started_from")

    def begin_from(self, prior: MetaPrior) -> None:
        """Take the weights of a prior; of one of the other kind, all but what is of its labels.

        Layers beyond those of the prior add nothing to the tokens at first.
        """
        names = ("n_iterations", "n_tasks", "hours")
        self.started_from = {"digest": prior.digest}
        self.started_from |= {name: prior.provenance.get(name) for name in names}
        own = self.network.state_dict()
        weights = {
            name: torch.tensor(value, dtype=torch.float32)
            for name, value in module_parameters(prior.tensors).items()
        }
        if prior.kind != self.config.kind:
            weights = {n: v for n, v in weights.items() if n in own and v.shape == own[n].shape}
        for name in own.keys() - weights.keys():
            if name.startswith("blocks.") and (".output." in name or ".feed_forward_out." in name):
                own[name].zero_()
        self.network.load_state_dict(own | weights)
        self.average = {n: p.detach().clone() for n, p in self.network.named_parameters()}

    def export(self, path: Path, power: float = 1.0) -> None:
        """Write the prior of the averaged weights, whose probabilities are raised to a power."""
        provenance = {
            "made_by": "benchmarks/make/table_priors.py",
            "config": dataclasses.asdict(self.config),
            "n_iterations": self.iteration,
            "n_tasks": self.n_tasks,
            "hours": round(self.seconds / 3600, 3),
            "device": self.device,
            "started_from": self.started_from,
            "power": power,
        }
        if self.real is not None:
            provenance["real_tables"] = sorted(table.name for table in self.real.tables)
        network = self.averaged()
        with torch.no_grad():
            for values in network.head.parameters():
                values.mul_(power)
        prior = self.config.learner().table_prior(network, self.config.kind, **provenance)
        half = {n: v.astype(np.float16) for n, v in prior.tensors.items()}
        prior = prior.replace(tensors=half)
        prior.save(path)
        print(f"{path}: {prior!r}", flush=True)


def make_optimizers(network: TableTransformer, config: Config) -> list[torch.optim.Optimizer]:
    """AdamW for all weights, or Muon for the matrices of hidden layers and AdamW for the rest.

    Reference: Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks.
    """
    muon, decaying, others = [], [], []
    for name, p in network.named_parameters():
        if p.dim() < 2:
            others.append(p)  # Offsets and norms do not decay.
        elif config.optimizer == "muon" and name.endswith(".weight") and "head" not in name:
            muon.append(p)
        else:
            decaying.append(p)
    groups = [{"params": decaying}, {"params": others, "weight_decay": 0.0}]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            groups, config.lr, betas=(0.9, config.beta2), weight_decay=config.weight_decay
        )
    ]
    if muon:
        # Steps have the size of AdamW's, so that both optimizers share a step size.
        optimizers.append(
            torch.optim.Muon(muon, config.lr, config.weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers


@torch.no_grad()
def validate(network: TableTransformer, kind: str, device: str) -> dict:
    """Mean loss and score on fixed tables, of each shape and of all."""
    losses, scores = [], []
    for i, (n_support, n_columns) in enumerate(SHAPES):
        generator = torch.Generator().manual_seed(10**6 + i)
        x, y = draw_tables(generator, TASKS_A_SHAPE, n_support + 64, n_columns, kind=kind)
        loss, score = batch_loss(
            network, kind, x.to(device), y.to(device), n_support, torch.Generator().manual_seed(i)
        )
        losses.append(loss.clamp_max(20).mean().item())
        scores.append(score.clamp_min(-20).mean().item())
    return {
        "validation_loss": round(float(np.mean(losses)), 5),
        "validation_score": round(float(np.mean(scores)), 5),
        "losses": [round(value, 4) for value in losses],
    }


def unseen_tables(config: Config) -> list[RealTables]:
    """The development sets of ``measure/small_tables.py`` that a run does not train on."""
    names = names_of(config.kind)[SETS["development"]]
    others = [half for half in HALVES if half not in ORIGINS[config.origins]]
    tables = [table for table in load_tables(others) if table.name in names]
    unseen = [RealTables([table], config.kind, own_target=1.0, varied=False) for table in tables]
    # Where one value is most of a target, it is none for a regression here.
    return [table for table in unseen if table.weight.any()]


@torch.no_grad()
def validate_real(
    network: TableTransformer, kind: str, tables: list[RealTables], device: str
) -> list[float]:
    """Mean loss on real tables of each size."""
    rng, losses = np.random.default_rng(0), []
    for n_support in REAL_SIZES:
        each = []
        for table in tables:
            if table.n_rows[0] <= n_support:
                continue
            n, d = min(n_support + 64, int(table.n_rows[0])), min(60, int(table.n_columns[0]))
            x, y = table.draw(rng, REAL_DRAWS, n, d)
            generator = torch.Generator().manual_seed(0)
            loss, _ = batch_loss(network, kind, x.to(device), y.to(device), n_support, generator)
            each.append(loss.clamp_max(20).mean().item())
        losses.append(round(float(np.mean(each)), 5))
    return losses


def write_record(run: Run, path: Path, threads: int) -> None:
    """Keep configuration and loss curve."""
    record = {
        "config": dataclasses.asdict(run.config),
        "device": run.device,
        "threads": threads,
        "iterations": run.iteration,
        "n_tasks": run.n_tasks,
        "hours": round(run.seconds / 3600, 3),
        "validation_shapes": SHAPES,
        "curve": run.curve,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def main() -> None:
    """Meta-train until the time is up, or to the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("classification", "regression"))
    parser.add_argument("--folder", type=Path, required=True, help="of the checkpoints")
    parser.add_argument("--hours", type=float, default=1.0, help="of this call, by the clock")
    parser.add_argument("--start", type=Path, help="prior that a new run begins from")
    parser.add_argument("--export", type=Path, help="only write the prior of a checkpoint here")
    parser.add_argument("--power", type=float, default=1.0, help="of exported probabilities")
    parser.add_argument("--record", type=Path, help="file of the loss curve; by default in results")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, help="compute in bfloat16")
    parser.add_argument("--every", type=int, default=250, help="iterations between two records")
    parser.add_argument("--minutes", type=float, default=4.0, help="between two checkpoints")
    defaults = {f.name: f for f in dataclasses.fields(Config) if f.name != "kind"}
    for name, field in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(field.default), dest=name)
    options = parser.parse_args()
    given = {n: getattr(options, n) for n in defaults if getattr(options, n) is not None}
    config = Config(options.kind, **given)
    if options.power != 1 and options.kind == "regression":
        parser.error("--power is for probabilities of classes; leave it out for a regression.")
    torch.set_num_threads(options.threads)

    fingerprint = json.dumps(dataclasses.asdict(config), sort_keys=True)
    path = options.folder / f"{config.kind}.checkpoint"
    amp = options.device != "cpu" if options.amp is None else options.amp
    run = Run(config, options.device, amp)
    saved = load_checkpoint(path, fingerprint)
    if saved is not None:
        run.restore(saved)
    elif options.start is not None:
        run.begin_from(MetaPrior.load(options.start))
    if options.export is not None:
        run.export(options.export, options.power)
        return

    if run.iteration == 0:
        print(json.dumps(run.validate()), flush=True)
    # Processor time on a processor, which other programs may share.
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    began, last_saved = time.perf_counter(), time.perf_counter()
    start = clock() - run.seconds
    while time.perf_counter() - began < 3600 * options.hours:
        if run.is_over():
            break
        run.step()
        run.seconds = clock() - start
        if run.iteration % options.every == 0:
            run.record()
        if time.perf_counter() - last_saved > 60 * options.minutes:
            save_checkpoint(path, fingerprint, run.saved())
            last_saved = time.perf_counter()
    save_checkpoint(path, fingerprint, run.saved())
    name = f"table_priors-{config.kind}.json"
    write_record(run, options.record or RESULTS / name, options.threads)
    if run.is_over():
        run.export(options.folder / f"{config.kind}.skmeta", options.power)


if __name__ == "__main__":
    main()
