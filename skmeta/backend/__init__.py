"""Devices, precision, functional networks and the execution of tasks.

Names in ``__all__`` are for those who write a learner. The others are the package's own.
"""

from skmeta.backend._adapter import Rows, TaskTensors
from skmeta.backend._adapter import Scaler as Scaler
from skmeta.backend._adapter import TensorAdapter as TensorAdapter
from skmeta.backend._adapter import state_to_numpy as state_to_numpy
from skmeta.backend._adapter import state_to_torch as state_to_torch
from skmeta.backend._adapter import to_numpy as to_numpy
from skmeta.backend._augmentation import Augmentation as Augmentation
from skmeta.backend._device import NETWORK_PRECISIONS as NETWORK_PRECISIONS
from skmeta.backend._device import PRECISIONS as PRECISIONS
from skmeta.backend._device import here_or_cpu as here_or_cpu
from skmeta.backend._device import resolve_device as resolve_device
from skmeta.backend._execution import MODES as MODES
from skmeta.backend._execution import Execution as Execution
from skmeta.backend._execution import one_thread_if_small as one_thread_if_small
from skmeta.backend._functional import Network
from skmeta.backend._functional import State as State
from skmeta.backend._functional import open_network as open_network
from skmeta.backend._task_views import TaskView as TaskView
from skmeta.backend._task_views import make_views as make_views
from skmeta.backend._task_views import resolve_test_time_augment as resolve_test_time_augment
from skmeta.backend._trees import tree_leaves as tree_leaves
from skmeta.backend._trees import tree_map as tree_map

__all__ = [
    "Network",
    "Rows",
    "TaskTensors",
]
