"""A device of torch in pure Python, for tests on machines without a GPU.

Tensors of the device ``emulated`` compute on the CPU, so that results can be compared to the last
digit. As on a GPU, an operation refuses tensors of two devices, a tensor cannot become an array
before it is copied to the CPU, and tensors that the device makes are its own.

It has no kernels, streams, memory, generator or precision of its own: what a GPU computes with
other rounding, in another order or at the same time as the CPU, is not seen here, nor are
``torch.compile``, CUDA graphs, autocast, pinned memory, or several devices.

The names of torch that this module uses are private, and are used in no other test.
"""

import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "emulated"
_CPU = torch.device("cpu")
# They take tensors of two devices: copies, and positions, which a GPU copies to itself.
_MIXED = {
    *("aten::_to_copy", "aten::copy_"),
    *("aten::index.Tensor", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"),
    *("aten::index", "aten::_unsafe_index"),
}
_FACTORIES = """\
arange arange.start arange.start_step empty.memory_format empty_strided eye eye.m full linspace
logspace ones rand rand.generator randint randint.low randn randn.generator randperm scalar_tensor
zeros"""


class _Backend:
    """What torch asks a backend for."""

    def is_available(self):
        return True

    def is_initialized(self):
        return True

    def device_count(self):
        return 1

    def current_device(self):
        return 0

    def _is_in_bad_fork(self):
        return False

    def manual_seed_all(self, seed):
        pass

    def get_rng_state(self, device=None):
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, state, device=None):
        pass

    def get_amp_supported_dtype(self):
        return []


class EmulatedTensor(torch.Tensor):
    """A tensor that says it is on the emulated device, around one of the CPU."""

    @staticmethod
    def __new__(cls, raw):
        layout = {"strides": raw.stride(), "storage_offset": raw.storage_offset()}
        layout |= {"dtype": raw.dtype, "device": DEVICE}
        return torch.Tensor._make_wrapper_subclass(cls, raw.shape, **layout)

    def __init__(self, raw):
        self.raw = raw

    def __repr__(self):
        return f"EmulatedTensor({self.raw})"

    def tolist(self):
        return self.raw.tolist()

    def __deepcopy__(self, memo):
        with temporarily_clear_interpreter_stack():
            # Else, the copy would belong to the function that is being transformed.
            copied = EmulatedTensor(self.raw.clone())
        copied._is_param = getattr(self, "_is_param", False)
        return copied

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        name, kwargs = func._schema.name, dict(kwargs or {})
        if name not in _MIXED:
            for value in tree_iter((args, kwargs)):
                # A number on the CPU may take part everywhere.
                if isinstance(value, torch.Tensor) and not isinstance(value, cls) and value.dim():
                    raise RuntimeError(
                        f"{name}: expected all tensors on one device, got {DEVICE} and "
                        f"{value.device}"
                    )
        target = kwargs.get("device")
        if target is not None:
            kwargs["device"] = _CPU
        kwargs.pop("pin_memory", None)
        result = func(*tree_map(_unwrap, args), **tree_map(_unwrap, kwargs))
        if torch.Tag.inplace_view in func.tags:
            # The shape of the tensor around the other changes, too.
            with torch.utils._mode_utils.no_dispatch():
                before = torch._C._meta_in_tls_dispatch_include()
                torch._C._set_meta_in_tls_dispatch_include(True)
                try:
                    func(*args, **kwargs)
                finally:
                    torch._C._set_meta_in_tls_dispatch_include(before)
        if name.endswith("_") and not name.endswith("__"):
            return args[0]
        if func._schema.is_mutable and "out" in kwargs:
            return kwargs["out"]
        if target is not None and torch.device(target).type == "cpu":
            return result
        return tree_map(_wrap, result)


def _unwrap(value):
    return value.raw if isinstance(value, EmulatedTensor) else value


def _wrap(value):
    return EmulatedTensor(value) if isinstance(value, torch.Tensor) else value


def _factory(operation):
    def make(*args, **kwargs):
        kwargs.pop("pin_memory", None)
        return EmulatedTensor(operation(*args, **{**kwargs, "device": _CPU}))

    return make


def _copy(source, target, non_blocking=False):
    _unwrap(target).copy_(_unwrap(source))
    return target


_setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
DEVICE = torch.device(NAME, 0)
_library = torch.library.Library("aten", "IMPL")
for _full in _FACTORIES.split():
    _name, _, _overload = _full.partition(".")
    _operation = getattr(getattr(torch.ops.aten, _name), _overload or "default")
    _library.impl(_full, _factory(_operation), "PrivateUse1")
_library.impl("_copy_from", _copy, "PrivateUse1")
