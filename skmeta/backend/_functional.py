"""A network as a pure function of its parameters and statistics."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from skmeta.backbones import EpisodeBatchNorm, n_output_features

State = dict[str, Tensor]
"""Named tensors: ``body.*`` weights, ``head.*``, ``stat.*`` normalisation statistics, ..."""


class Network:
    """Evaluates a module with weights and statistics that are passed in.

    Dropout is inactive, so that adaptation is a function of its arguments. Safe to call from
    several threads at once: each works on a copy of the module of its own.

    Parameters
    ----------
    module : torch.nn.Module
        On the CPU. Maps (n_rows, *input_shape) to (n_rows, n_features).
    input_shape : tuple of int
        Shape of one row.
    device : torch.device
        Where it computes.

    Attributes
    ----------
    n_features : int
        Size of the output.
    n_flops : int
        Floating-point operations of one row's forward pass.
    has_statistics : bool
        Whether the module has batch normalisations.
    """

    def __init__(
        self, module: nn.Module, input_shape: tuple[int, ...], device: torch.device
    ) -> None:
        self._local = threading.local()
        self.n_features = n_output_features(module, input_shape)
        self.n_flops = _count_flops(module, input_shape)
        self._module = module.eval().to(device)
        self._statistics: State = {}
        for prefix, part in module.named_modules():
            if isinstance(part, EpisodeBatchNorm):
                dot = prefix + "." if prefix else ""
                self._statistics[dot + "mean"] = torch.zeros_like(part.mean)
                self._statistics[dot + "var"] = torch.ones_like(part.var)
        self.input_shape = tuple(input_shape)
        self.has_statistics = bool(self._statistics)

    def initial_weights(self) -> State:
        """The module's own weights, under names that begin with ``body.``."""
        return {f"body.{n}": p.detach().clone() for n, p in self._module.named_parameters()}

    def features(self, state: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Features of ``x`` (n_rows, *input_shape), normalised by the statistics in ``state``."""
        values = {n: state[f"stat.{n}"] for n in self._statistics}
        return self._call(state, values, x, measure=False)

    def measure(self, state: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, State]:
        """Features of ``x`` normalised by its own statistics, and those (``stat.*``)."""
        values = {n: v.to(x.dtype) for n, v in self._statistics.items()}
        features = self._call(state, values, x, measure=True)
        return features, {f"stat.{n}": v for n, v in values.items()}

    def _call(self, state: Mapping[str, Tensor], values: State, x: Tensor, measure: bool) -> Tensor:
        module = self._own_copy()
        for part in module.modules():
            if isinstance(part, EpisodeBatchNorm):
                part.training = measure
        weights = {n: state[f"body.{n}"] for n, _ in module.named_parameters()}
        # `functional_call` writes buffers that the module replaced back into the mapping passed.
        arguments = weights | values
        features: Tensor = functional_call(module, arguments, (x,))
        values.update((n, arguments[n]) for n in values)
        return features

    def _own_copy(self) -> nn.Module:
        if not hasattr(self._local, "module"):
            self._local.module = copy.deepcopy(self._module)
        module: nn.Module = self._local.module
        return module


def _count_flops(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *input_shape, dtype=dtype))
    return int(counter.get_total_flops())
