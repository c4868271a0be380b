"""What differs between versions of torch, and what torch has no types for."""

from __future__ import annotations

from typing import Any

import torch

LinAlgError: type[RuntimeError] = torch.linalg.LinAlgError  # type: ignore[attr-defined]  # has no stub
"""What torch raises for a matrix that it cannot factorise or invert."""

UNSAFE_VIEW: Any = torch.ops.aten._unsafe_view.default
"""What ``matmul`` records for a view of its result."""


def apply_function(function: Any, *args: Any) -> Any:
    """Call an autograd function, whose ``apply`` has no types."""
    return function.apply(*args)
