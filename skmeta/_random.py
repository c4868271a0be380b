"""Where every stream of random numbers starts."""

from numbers import Integral
from typing import Any

import numpy as np


def check_rng(random_state: Any = None) -> np.random.Generator:
    """Turn ``random_state`` into a NumPy generator, without touching any global state.

    A Generator is returned as it is; a RandomState seeds a new one, and moves on from call to call.
    """
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint32))
    if isinstance(random_state, Integral) and int(random_state) >= 0:
        return np.random.default_rng(int(random_state))
    raise ValueError(
        "random_state must be None, an integer of at least 0, a numpy.random.Generator or a "
        f"numpy.random.RandomState, got {random_state!r}."
    )
