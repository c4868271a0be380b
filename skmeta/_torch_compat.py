"""What differs between versions of torch, and what torch has no types for."""

from __future__ import annotations

from typing import Any

import torch

LinAlgError: type[RuntimeError] = torch.linalg.LinAlgError  # type: ignore[attr-defined]  # has no stub
"""What torch raises for a matrix that it cannot factorise or invert."""


def apply_function(function: Any, *args: Any) -> Any:
    """Call an autograd function. Its ``apply`` has no types.

    Parameters
    ----------
    function : type of torch.autograd.Function
        The function.
    *args
        Arguments of its ``forward``.

    Returns
    -------
    Tensor or tuple of Tensor
        What ``forward`` returns.
    """
    return function.apply(*args)


def has_bfloat16_instructions() -> bool:
    """Return whether the processor multiplies matrices of bfloat16 itself.

    Returns
    -------
    bool
        False too if torch cannot tell.
    """
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        # avx512_bf16 and amx_bf16 of x86, bf16 of ARM.
        return any(bool(value) for name, value in capabilities.items() if name.endswith("bf16"))
    old = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # Until torch 2.9 or so.
    return old is not None and bool(old())
