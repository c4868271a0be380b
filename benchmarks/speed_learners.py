"""Cost of a meta-iteration of the learners, over MAML's and over first-order MAML's.

    python benchmarks/speed_learners.py
    python benchmarks/speed_learners.py --table all

Four tasks of Omniglot, 5-way 1-shot with 15 queries a class, in meta-training's defaults
(inductive, prototype heads).

``all`` compares all learners of the weights of ``conv4`` with 64 filters, with one inner step, with
MAML, and their operations too: the multiplications and additions of convolutions and products of
matrices, as torch's counter has them. A gradient is recorded, as in a meta-training of 500
iterations or more.

``special`` has the learners that learn more than a start, with three inner steps. ``lstm`` has the
network of
MAML, ``conv4`` with 32 filters (the paper's) or 64; ``metanas`` has cells of 48 channels within
112,000 parameters, held against ``conv4`` with 64 filters, which has as many; before anything is
pruned, and at the end of meta-training, when one operation an edge is left after the inner steps.

One task after another on one thread. Pairs are interleaved, in processor seconds, so that other
work on the machine matters little; printed are medians, and the median and the range of the
ratios within a repetition. Results go to ``benchmarks/results/speed_learners.json``.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from skmeta.backbones import build_backbone
from skmeta.backend import Execution, Scaler
from skmeta.datasets import load_omniglot
from skmeta.learners import (
    ANIL,
    MAML,
    LSTMMetaLearner,
    MetaLearner,
    MetaNAS,
    MetaSGD,
    ProtoNet,
    Reptile,
)
from skmeta.learners._core import Session
from skmeta.tasks import ClassEpisodes

PATH = Path(__file__).parent / "results" / "speed_learners.json"
SHAPE = (1, 28, 28)
N_TASKS = 4


def conv4(cls: type[MetaLearner], n_channels: int, **settings) -> MetaLearner:
    """A learner of the weights of conv4."""
    params = {"n_channels": n_channels}
    return cls(backbone="conv4", backbone_params=params, inner_lr=0.1, **settings)


def pairs(n_steps: int) -> dict[str, tuple[MetaLearner, MetaLearner, float]]:
    """Learners, each with the first-order MAML that it is held against, and the progress."""
    steps = {"n_inner_steps": n_steps}
    maml = {n: conv4(MAML, n, first_order=True, **steps) for n in (32, 64)}
    cells = MetaNAS(
        backbone="cells",
        backbone_params={"n_channels": 48},
        max_parameters=112_000,
        **steps,
    )
    return {
        "lstm, 32 filters": (conv4(LSTMMetaLearner, 32, **steps), maml[32], 0.0),
        "lstm, 64 filters": (conv4(LSTMMetaLearner, 64, **steps), maml[64], 0.0),
        "metanas, 112,000 parameters, nothing pruned": (cells, maml[64], 0.0),
        "metanas, 112,000 parameters, at the end": (cells, maml[64], 1.0),
    }


def learners() -> dict[str, MetaLearner]:
    """All learners of the weights of conv4, MAML first."""
    return {
        "maml": conv4(MAML, 64, n_inner_steps=1),
        "fomaml": conv4(MAML, 64, n_inner_steps=1, first_order=True),
        "anil": conv4(ANIL, 64, n_inner_steps=1),
        "metasgd": conv4(MetaSGD, 64, n_inner_steps=1),
        "reptile": conv4(Reptile, 64, n_inner_steps=1),
        "protonet": ProtoNet(backbone="conv4"),
        "lstm": conv4(LSTMMetaLearner, 64, n_inner_steps=1),
    }


def iteration(
    learner: MetaLearner, progress: float = 0.0, record: bool = False
) -> Callable[[], object]:
    """One meta-gradient, as a function without arguments."""
    X, y = load_omniglot(subset="test", return_X_y=True, dtype=np.uint8)
    sampler, rng = ClassEpisodes(y, 5, 1, 15), np.random.default_rng(0)
    one, zero = np.ones(()), np.zeros(())
    generator = torch.Generator().manual_seed(0)
    session = Session.open(
        learner,
        build_backbone(learner.backbone, SHAPE, learner.backbone_params, generator),
        SHAPE,
        Scaler(zero, one, zero, one),
        kind="classification",
        head="prototype",
        classes=range(5),
        device="cpu",
        precision="float32",
    )
    tasks = [sampler.sample(rng) for _ in range(N_TASKS)]
    drawn = session.adapter.tasks(session.adapter.upload(X), tasks)
    execution = Execution("loop", device=torch.device("cpu"), flops_per_task=1e9, record=record)
    gradient = session.learner.mean_gradient
    context = replace(session.context, progress=progress)
    return partial(gradient, context, session.draw_state(1), drawn, execution)


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def operations(learner: MetaLearner) -> int:
    """Multiplications and additions of a meta-gradient."""
    call = iteration(learner)
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def compare_all(repetitions: int) -> dict:
    """Seconds and operations of each learner, over MAML's."""
    calls = {name: iteration(learner, record=True) for name, learner in learners().items()}
    counts = {name: operations(learner) for name, learner in learners().items()}
    rounds = [{name: seconds(call) for name, call in calls.items()} for _ in range(repetitions + 1)]
    record = {}
    for name in calls:
        ratios = [each[name] / each["maml"] for each in rounds[1:]]
        record[name] = {
            "seconds": statistics.median(each[name] for each in rounds[1:]),
            "over_maml": statistics.median(ratios),
            "over_maml_range": [min(ratios), max(ratios)],
            "operations_over_maml": counts[name] / counts["maml"],
        }
        print(name, json.dumps(record[name]), flush=True)
    return record


def compare_special(n_steps: int, repetitions: int) -> dict:
    """Seconds of learners that learn more than a start, over first-order MAML's."""
    record: dict = {"steps": n_steps}
    for name, (*pair, progress) in pairs(n_steps).items():
        calls = [iteration(learner, progress) for learner in pair]
        # The first of each is not counted.
        found = [[seconds(call) for call in calls] for _ in range(repetitions + 1)][1:]
        ratios = [learner / maml for learner, maml in found]
        record[name] = {
            "seconds": statistics.median(learner for learner, _ in found),
            "seconds_of_maml": statistics.median(maml for _, maml in found),
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
        }
        print(name, json.dumps(record[name]), flush=True)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", choices=["all", "special"], nargs="*", default=["special"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(PATH.read_text()) if PATH.exists() else {}
    for table in args.table:
        found = (
            compare_all(args.repetitions)
            if table == "all"
            else compare_special(args.steps, args.repetitions)
        )
        results[table] = found | {"repetitions": args.repetitions, "torch": torch.__version__}
        PATH.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
