"""Cost of a meta-iteration of the learners that learn more than a start, over first-order MAML's.

    python benchmarks/speed_learners.py

Four tasks of Omniglot, 5-way 1-shot with 15 queries a class, in meta-training's defaults
(inductive, prototype heads), with equally many inner steps for both. ``lstm`` has the network of
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

from skmeta.backbones import build_backbone
from skmeta.backend import Execution, Scaler
from skmeta.datasets import load_omniglot
from skmeta.learners import MAML, LSTMMetaLearner, MetaLearner, MetaNAS
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
        backbone="image_cells",
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


def iteration(learner: MetaLearner, progress: float) -> Callable[[], object]:
    """One meta-gradient, as a function without arguments."""
    X, y = load_omniglot(subset="test", return_X_y=True, dtype=np.uint8)
    sampler, rng = ClassEpisodes(y, 5, 1, 15), np.random.default_rng(0)
    one, zero = np.ones(()), np.zeros(())
    generator = torch.Generator().manual_seed(0)
    session = Session.begin(
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
    execution = Execution("loop", device=torch.device("cpu"), flops_per_task=1e9)
    gradient = session.learner.mean_gradient
    context = replace(session.context, progress=progress)
    return partial(gradient, context, session.draw_state(1), drawn, execution)


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    record: dict = {"steps": args.steps, "repetitions": args.repetitions}
    record["torch"] = torch.__version__
    for name, (*pair, progress) in pairs(args.steps).items():
        calls = [iteration(learner, progress) for learner in pair]
        # The first of each is not counted.
        found = [[seconds(call) for call in calls] for _ in range(args.repetitions + 1)][1:]
        ratios = [learner / maml for learner, maml in found]
        record[name] = {
            "seconds": statistics.median(learner for learner, _ in found),
            "seconds_of_maml": statistics.median(maml for _, maml in found),
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
        }
        print(name, json.dumps(record[name]), flush=True)
    PATH.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
