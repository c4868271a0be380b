"""Devices, precision, functional networks and the execution of tasks."""

from skmeta.backend._crossing import (
    Crossing,
    Rows,
    Scaler,
    TaskTensors,
    state_to_numpy,
    state_to_torch,
    to_numpy,
)
from skmeta.backend._device import PRECISIONS, resolve_device
from skmeta.backend._execution import MODES, Execution, is_small, one_intra_op_thread
from skmeta.backend._functional import Network, State

__all__ = [
    "MODES",
    "PRECISIONS",
    "Crossing",
    "Execution",
    "Network",
    "Rows",
    "Scaler",
    "State",
    "TaskTensors",
    "is_small",
    "one_intra_op_thread",
    "resolve_device",
    "state_to_numpy",
    "state_to_torch",
    "to_numpy",
]
