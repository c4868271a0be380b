"""Devices, precision, functional networks and the execution of tasks."""

from skmeta.backend._adapter import (
    Rows,
    Scaler,
    TaskTensors,
    TensorAdapter,
    state_to_numpy,
    state_to_torch,
    to_numpy,
)
from skmeta.backend._augmentation import Augmentation
from skmeta.backend._device import NETWORK_PRECISIONS, PRECISIONS, check_bfloat16, resolve_device
from skmeta.backend._execution import MODES, Execution
from skmeta.backend._functional import Network, State
from skmeta.backend._ranks import Ranks
from skmeta.backend._task_views import TaskView, make_views, resolve_test_time_augment
from skmeta.backend._trees import tree_leaves, tree_map

__all__ = [
    "MODES",
    "NETWORK_PRECISIONS",
    "PRECISIONS",
    "Augmentation",
    "Execution",
    "Network",
    "Ranks",
    "Rows",
    "Scaler",
    "State",
    "TaskTensors",
    "TaskView",
    "TensorAdapter",
    "check_bfloat16",
    "make_views",
    "resolve_device",
    "resolve_test_time_augment",
    "state_to_numpy",
    "state_to_torch",
    "to_numpy",
    "tree_leaves",
    "tree_map",
]
