"""What differs between versions of torch."""

from __future__ import annotations

import torch


def has_bfloat16_instructions() -> bool:
    """Return whether the processor multiplies matrices of bfloat16 itself.

    Returns
    -------
    bool
        False too if torch cannot tell.
    """
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        # avx512_bf16 and amx_bf16 of x86, bf16 of ARM.
        return any(bool(value) for name, value in found.items() if name.endswith("bf16"))
    old = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # Until torch 2.9 or so.
    return old is not None and bool(old())
