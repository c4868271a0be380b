"""Meta-train the priors for any small table; resumable.

    python -m benchmarks.make.table_priors classification --folder RUN --planned-hours 1.5

``RUN/<kind>.checkpoint`` is written every few minutes, and the same command goes on from it to the
bit. The step size falls linearly from the warm-up on, and the run ends after the planned hours of
processor time, however often it was stopped in between; the prior is the mean of the last weights,
in half precision. ``--start FILE`` begins from a prior of either kind. ``--optimizer muon`` uses
Muon for the matrices of hidden layers. ``--power`` raises the probabilities of the prior to a
power, chosen by the log loss on development sets.

``--real-share 0.7 --origins first`` draws 70% of the batches from real tables, those of the first
half of all origins (``make/real_tables.py``; ``SKMETA_DATA`` is their folder), and ``--r-share 0.6
--r-origins first`` 60% of these from tables of R packages. A model that is reported on a set has
not seen its origin, so there is one for each half; the model that ships goes on with both halves
(for regression, the model of the first half ships). The provenance of a prior names its settings.
The model of the first half for classification, for example, went on from synthetic tables with::

    python -m benchmarks.make.table_priors classification --folder RUN --planned-hours 0.4 \\
        --start BEFORE.skmeta --origins first --real-share 0.7 --r-origins first --r-share 0.6 \\
        --largest-support 1000 --optimizer muon --lr 4e-4 --warm-up 50 --power 1.1

Each iteration draws the shape of its tables first: 2 to 500 support rows (``--largest-support``)
and 1 to 60 columns, small ones being more frequent, as many tables as make a fixed cost.

Notation: b tables, n rows of which the first s are support rows, d columns.
"""

import argparse
import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.lib.origins import HALVES
from benchmarks.make.real_tables import RealTables, load_tables, load_tables_of_r
from benchmarks.make.synthetic_tables.batches import draw_tables
from skmeta._tabular import location_and_scale
from skmeta._tabular.table_prior import N_CODES, N_SLOTS
from skmeta._training import load_checkpoint, save_checkpoint
from skmeta.learners import InContextLearner
from skmeta.learners.in_context import TableTransformer, binned_loss, module_parameters
from skmeta.priors import MetaPrior

ORIGINS = {"none": (), "both": HALVES} | {half: (half,) for half in HALVES}
EVERY, MINUTES = 250, 4  # iterations between two lines, minutes between two checkpoints


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that a run depends on."""

    kind: str
    width: int = 128
    n_layers: int = 4
    optimizer: str = "adamw"
    lr: float = 1e-3
    planned_hours: float = 1.5
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
        return InContextLearner(width=self.width, n_layers=self.n_layers)


def batch_loss(
    network: TableTransformer, kind: str, x: Tensor, y: Tensor, s: int, generator: torch.Generator
) -> Tensor:
    """Return losses (b,) of query rows of x (b, n, d) with permuted columns and classes.

    It is the mean cross-entropy, or minus the mean log density in units of the support set's
    standard deviation. Query rows of a class without support rows are left out.
    """
    slots = torch.randperm(N_SLOTS, generator=generator)[None, : x.shape[2]]
    support, query = x[:, :s], x[:, s:]
    if kind == "regression":
        location, scale = location_and_scale(y[:, :s], torch.ones_like(y[:, :s]))
        y = (y - location[:, None]) / scale[:, None]
        logits = network(support, y[:, :s], None, slots, query).float()
        return binned_loss(logits, y[:, s:].float()).mean(1)
    y = torch.rand(len(x), N_CODES, generator=generator).argsort(1).gather(1, y)
    y_support, y_query = y[:, :s], y[:, s:]
    present = F.one_hot(y_support, N_CODES).any(1)
    logits = network(support, y_support, None, slots, query).float()
    log_p = F.log_softmax(logits.masked_fill(~present[:, None], -1e9), 2)
    counted = present.gather(1, y_query).float()
    losses = counted * log_p.gather(2, y_query[:, :, None])[:, :, 0]
    return -losses.sum(1) / counted.sum(1).clamp_min(1.0)


class Run:
    """A meta-training in progress."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.network = config.learner().make_network(config.kind)
        self.network.draw(torch.Generator().manual_seed(config.seed))
        self.average = {n: p.detach().clone() for n, p in self.network.named_parameters()}
        self.optimizers = make_optimizers(self.network, config)
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.started_from: dict | None = None
        self.real = None
        if config.real_share:
            tables = load_tables(ORIGINS[config.origins])
            if config.r_share:
                tables += load_tables_of_r(ORIGINS[config.r_origins], config.r_share, tables)
            self.real = RealTables(tables, config.kind)
        self.iteration, self.n_tasks, self.seconds = 0, 0, 0.0
        self.recent: list[float] = []

    def step_size(self) -> float:
        """The step size at this iteration; 0 when the run is over."""
        rise = min(1.0, (self.iteration + 1) / self.config.warm_up)
        fall = max(0.0, 1 - self.seconds / (3600 * self.config.planned_hours))
        return self.config.lr * rise * fall

    def draw_shape(self, real: RealTables | None) -> tuple[int, int, int]:
        """Draw the numbers of tables, support rows and columns of an iteration."""
        config, rng = self.config, self.rng
        n_support = round(math.exp(rng.uniform(math.log(2), math.log(config.largest_support + 1))))
        if real is None:
            n_columns = int(math.exp(rng.uniform(0, math.log(config.most_columns + 1))))
        else:
            n_columns = real.draw_columns(rng, n_support + config.n_query)
        n_support = max(2, min(config.largest_support, n_support))
        # A row costs as much as 20 cells beside its own, and 20 pairs of rows as much as one.
        cost = (n_support + config.n_query) * (n_columns + 20 + n_support / 20)
        return max(2, min(config.most_tasks, round(config.cost / cost))), n_support, n_columns

    def step(self) -> None:
        """One iteration."""
        config = self.config
        real = self.real
        if real is not None and self.rng.random() >= config.real_share:
            real = None
        b, n_support, n_columns = self.draw_shape(real)
        n_rows = n_support + config.n_query
        if real is None:
            x, y = draw_tables(self.generator, b, n_rows, n_columns, kind=config.kind)
        else:
            x, y = real.draw(self.rng, b, n_rows, n_columns)
        losses = batch_loss(self.network, config.kind, x, y, n_support, self.generator)
        # A table whose targets are far out must not decide the step.
        loss = losses.clamp_max(20.0).mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        if not bool(torch.isfinite(norm)):
            raise FloatingPointError(f"The gradient is {norm} at iteration {self.iteration}.")
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.step_size()
            optimizer.step()
        self.network.zero_grad(set_to_none=True)
        # Early weights are forgotten faster.
        keep = min(config.average, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            # By name: a checkpoint may list them in another order.
            parameters = dict(self.network.named_parameters())
            averages = [self.average[name] for name in parameters]
            torch._foreach_lerp_(averages, list(parameters.values()), 1 - keep)
        self.recent.append(loss.item())
        self.iteration += 1
        self.n_tasks += b
        if self.iteration % EVERY == 0:
            print(self.iteration, f"{self.seconds:.0f} s, loss {np.mean(self.recent):.4f}")
            self.recent.clear()

    def saved(self) -> dict:
        """What a checkpoint holds."""
        return {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "rng": self.rng.bit_generator.state,
            "generator": self.generator.get_state(),
            "counts": (self.iteration, self.n_tasks, self.seconds),
            "started_from": self.started_from,
        }

    def restore(self, saved: dict) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(saved["network"])
        self.average = dict(saved["average"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.rng.bit_generator.state = saved["rng"]
        self.generator.set_state(saved["generator"])
        self.iteration, self.n_tasks, self.seconds = saved["counts"]
        self.started_from = saved["started_from"]

    def begin_from(self, prior: MetaPrior) -> None:
        """Take the weights of a prior; of one of the other kind, all but what is of its labels."""
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
            "started_from": self.started_from,
            "power": power,
        }
        if self.real is not None:
            provenance["real_tables"] = sorted(table.name for table in self.real.tables)
        network = self.config.learner().make_network(self.config.kind)
        network.load_state_dict(self.average)
        with torch.no_grad():
            for values in network.head.parameters():
                values.mul_(power)
        prior = self.config.learner().table_prior(network, self.config.kind, **provenance)
        prior = prior.replace(tensors={n: v.astype(np.float16) for n, v in prior.tensors.items()})
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
    settings = {"betas": (0.9, config.beta2), "weight_decay": config.weight_decay}
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, config.lr, **settings)]
    if muon:
        # Steps have the size of AdamW's, so that both optimizers share a step size.
        optimizers.append(
            torch.optim.Muon(muon, config.lr, config.weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers


def main() -> None:
    """Meta-train to the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("classification", "regression"))
    parser.add_argument("--folder", type=Path, required=True, help="of the checkpoint")
    parser.add_argument("--start", type=Path, help="prior that a new run begins from")
    parser.add_argument("--power", type=float, default=1.0, help="of probabilities of classes")
    fields = [field for field in dataclasses.fields(Config) if field.name != "kind"]
    for field in fields:
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), default=field.default)
    options = parser.parse_args()
    config = Config(options.kind, **{field.name: getattr(options, field.name) for field in fields})
    fingerprint = json.dumps(dataclasses.asdict(config), sort_keys=True)
    path = options.folder / f"{config.kind}.checkpoint"
    run = Run(config)
    saved = load_checkpoint(path, fingerprint)
    if saved is not None:
        run.restore(saved)
    elif options.start is not None:
        run.begin_from(MetaPrior.load(options.start))
    last_saved, start = time.perf_counter(), time.process_time() - run.seconds
    while run.step_size() > 0:
        run.step()
        run.seconds = time.process_time() - start
        if time.perf_counter() - last_saved > 60 * MINUTES:
            save_checkpoint(path, fingerprint, run.saved())
            last_saved = time.perf_counter()
    save_checkpoint(path, fingerprint, run.saved())
    run.export(options.folder / f"{config.kind}.skmeta", options.power)


if __name__ == "__main__":
    main()
