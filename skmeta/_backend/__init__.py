"""Devices, precision, functional networks and the execution of tasks.

Learners are given a ``Network``, ``Rows`` and ``TaskTensors``. All names are the package's own.
"""

from skmeta._backend._adapter import (
    NETWORK_PRECISIONS,
    PRECISIONS,
    Rows,
    Scaler,
    TaskTensors,
    TensorAdapter,
    call_numpy,
    here_or_cpu,
    resolve_device,
    state_to_numpy,
    state_to_torch,
    to_numpy,
)
from skmeta._backend._augmentation import Augmentation, make_views, resolve_test_time_augment
from skmeta._backend._execution import MODES, Execution
from skmeta._backend._functional import Network, State, tree_leaves, tree_map
from skmeta._backend._ranks import Ranks

__all__ = []
