"""One step of an LSTM for very many coordinates, with its gradient, as two operators of torch.

Automatic differentiation keeps all results of a step, some hundred numbers for each coordinate.
These operators take blocks of coordinates, and keep the state alone; the gradient computes the
gates again.

Notation: n coordinates, m inputs, h hidden units. W (4 h, m + h) and b (4 h,) are the weights of
the input gate, the forget gate, the candidate and the output gate. x (m, n) are inputs, and the
state is an output y (h, n) and a cell c (h, n). Coordinates lie along the last axis, so that each
gate is one block of memory. Without a state before, y and c are zero, and skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skmeta._torch_compat import apply_function

_BLOCK = 1536

_aten: Any = torch.ops.aten
_ARGUMENTS = "Tensor weight, Tensor bias, Tensor x, Tensor? y, Tensor? c"


def lstm_step(
    weight: Tensor, bias: Tensor, x: Tensor, y: Tensor | None, c: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the next output and cell."""
    results: tuple[Tensor, Tensor] = apply_function(_Step, weight, bias, x, y, c)
    return results


@torch.library.custom_op(
    "skmeta::lstm_cell", mutates_args=(), schema=f"({_ARGUMENTS}) -> (Tensor, Tensor)"
)
def _lstm_cell(
    weight: Tensor, bias: Tensor, x: Tensor, y: Tensor | None, c: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the next output and cell, in blocks."""
    h, n = len(weight) // 4, x.shape[1]
    new_y, new_c = x.new_empty(h, n), x.new_empty(h, n)
    for at, _, gates in _blocks(weight, bias, x, y):
        i, f, o, candidate = gates.split(h)
        cell = torch.mul(i, candidate)
        if c is not None:
            cell.addcmul_(f, c[:, at])
        new_c[:, at] = cell
        torch.mul(o, cell.tanh_(), out=new_y[:, at])
    return new_y, new_c


@torch.library.custom_op(
    "skmeta::lstm_cell_gradient",
    mutates_args=(),
    schema=f"({_ARGUMENTS}, Tensor new_c, Tensor on_y, Tensor on_c) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def _lstm_gradient(
    weight: Tensor,
    bias: Tensor,
    x: Tensor,
    y: Tensor | None,
    c: Tensor | None,
    new_c: Tensor,
    on_y: Tensor,
    on_c: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradient for W, b, x, y and c, from that for the next y and c."""
    h, n = len(weight) // 4, x.shape[1]
    rows = _rows(weight, bias, x, y)
    back = rows[:, :-1].t().contiguous()
    on_x, before_y, before_c = x.new_empty(len(x), n), x.new_empty(h, n), x.new_empty(h, n)
    on_rows = torch.zeros_like(rows.t(), memory_format=torch.contiguous_format)
    all_gates = x.new_empty(4 * h, min(_BLOCK, n) if x.device.type == "cpu" else n)
    for at, seen, gates in _blocks(weight, bias, x, y):
        i, f, o, candidate = gates.split(h)
        on_gates = all_gates[:, : gates.shape[1]]
        on_i, on_f, on_o, on_candidate = on_gates.split(h)
        activated = torch.tanh(new_c[:, at])
        torch.mul(on_y[:, at], activated, out=on_o)
        total = torch.mul(on_y[:, at], o)
        _aten.tanh_backward.grad_input(total, activated, grad_input=total)
        total += on_c[:, at]
        torch.mul(total, candidate, out=on_i)
        if c is None:
            on_f.zero_()
        else:
            torch.mul(total, c[:, at], out=on_f)
        soft = on_gates[: 3 * h]
        _aten.sigmoid_backward.grad_input(soft, gates[: 3 * h], grad_input=soft)
        torch.mul(total, i, out=on_candidate)
        _aten.tanh_backward.grad_input(on_candidate, candidate, grad_input=on_candidate)
        torch.mul(total, f, out=before_c[:, at])
        on_seen = back @ on_gates
        on_x[:, at] = on_seen[: len(x)]
        if y is not None:
            before_y[:, at] = on_seen[len(x) :]
        on_rows.addmm_(seen, on_gates.t())
    i, f, o, candidate = on_rows.t().split(h)
    on_weight = torch.zeros_like(weight)
    on_weight[:, : len(back)] = torch.cat([i, f, candidate, o])[:, :-1]
    return on_weight, torch.cat([i, f, candidate, o])[:, -1].clone(), on_x, before_y, before_c


def _rows(weight: Tensor, bias: Tensor, x: Tensor, y: Tensor | None) -> Tensor:
    """Return W and b side by side, (4 h, r + 1), in the order i, f, o, candidate."""
    n_seen = len(x) + (0 if y is None else len(y))
    i, f, candidate, o = torch.cat([weight[:, :n_seen], bias[:, None]], 1).chunk(4)
    return torch.cat([i, f, o, candidate])


def _blocks(
    weight: Tensor, bias: Tensor, x: Tensor, y: Tensor | None
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Iterate over blocks of coordinates: where, x, y and 1 (r + 1, k), and the gates (4 h, k)."""
    rows, n = _rows(weight, bias, x, y), x.shape[1]
    size, h = min(_BLOCK, n) if x.device.type == "cpu" else n, len(weight) // 4
    all_seen, all_gates = x.new_ones(rows.shape[1], size), x.new_empty(4 * h, size)
    for start in range(0, n, max(size, 1)):
        at = slice(start, min(start + size, n))
        seen, gates = (each[:, : at.stop - start] for each in (all_seen, all_gates))
        seen[: len(x)] = x[:, at]
        if y is not None:
            seen[len(x) : -1] = y[:, at]
        torch.mm(rows, seen, out=gates)
        gates[: 3 * h].sigmoid_()
        gates[3 * h :].tanh_()
        yield at, seen, gates


class _Step(torch.autograd.Function):
    """The step, with its gradient, for one task or for several that share the weights."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, Tensor]:
        # Under torch.func, an operator without a gradient of its own needs this.
        with torch.no_grad():
            results: tuple[Tensor, Tensor] = _lstm_cell(*arguments)
        return results

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs, output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, on_y: Tensor, on_c: Tensor) -> Any:
        weight, bias, x, y, c, new_c = ctx.saved_tensors
        gradient = _lstm_gradient(weight, bias, x, y, c, new_c, on_y, on_c)
        on_weight, on_bias, on_x, on_y, on_c = gradient
        has_state = y is not None
        return on_weight, on_bias, on_x, on_y if has_state else None, on_c if has_state else None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], *arguments: Tensor | None
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """Put the coordinates of all tasks side by side."""
        flat: list[Any] = list(arguments)
        for k, (value, dim) in enumerate(zip(arguments, in_dims, strict=True)):
            if value is None or k < 2:
                continue
            tasks = value[:, None] if dim is None else value.movedim(dim, 1)
            flat[k] = tasks.expand(-1, info.batch_size, -1).flatten(1)
        y, c = (each.unflatten(1, (info.batch_size, -1)) for each in lstm_step(*flat))
        return (y, c), (1, 1)


@_lstm_gradient.register_vmap
def _(info: Any, in_dims: tuple[int | None, ...], *arguments: Tensor | None) -> Any:
    """Compute the gradient of each task, because each has its own gradient for the weights."""
    results = [
        _lstm_gradient(
            *(
                v if v is None or dim is None else v.select(dim, i)
                for v, dim in zip(arguments, in_dims, strict=True)
            )
        )
        for i in range(info.batch_size)
    ]
    stacked = tuple(torch.stack(parts) for parts in zip(*results, strict=True))
    return stacked, (0,) * len(stacked)
