"""What the parameters of the outer loop may be, for every learner that has them."""

from __future__ import annotations

from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np
import torch

from skmeta._sklearn_compat import Interval, StrOptions
from skmeta.backend import MODES
from skmeta.training._loop import OPTIMIZERS, SCHEDULES

OUTER_LOOP_CONSTRAINTS: dict[str, list[Any]] = {
    "n_iterations": [Interval(Integral, 1, None, closed="left")],
    "meta_batch_size": [Interval(Integral, 1, None, closed="left")],
    "meta_lr": [Interval(Real, 0, None, closed="neither")],
    "meta_optimizer": [StrOptions(set(OPTIMIZERS))],
    "schedule": [StrOptions(set(SCHEDULES))],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "evaluate_every": [Interval(Integral, 1, None, closed="left")],
    "patience": [Interval(Integral, 1, None, closed="left"), None],
    "device": [str, torch.device],
    "execution": [StrOptions(set(MODES))],
    "chunk_size": [Interval(Integral, 1, None, closed="left"), None],
    "n_jobs": [Integral, None],
    "checkpoint": [str, PathLike, None],
    "verbose": ["verbose"],
    "random_state": ["random_state", np.random.Generator],
}
