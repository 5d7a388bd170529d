"""A CUDA device that is not there: tensors say that they are on it, and the CPU computes.

What a machine with a GPU refuses is refused: tensors of both places in one call, and an array of a
tensor on the device. So what forgets to move a tensor is found without a GPU. Kernels, precision
and the backward pass, whose threads ask the driver, are not.
"""

import contextlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import geodet.detection.batches

DEVICE = torch.device("cuda:0")

_aten = torch.ops.aten
_MOVES = {_aten._to_copy.default, _aten.copy_.default}
_INDEXING = {  # indices of the device may be given as they are on the CPU
    *(_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default),
    _aten._index_put_impl_.default,
}


class OnDevice(torch.Tensor):
    """A tensor of the CPU that says it is on the device."""

    @staticmethod
    def __new__(cls, inner):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.inner = inner
        return made

    def __repr__(self, **_):
        return f"OnDevice({self.inner!r})"

    def tolist(self):
        return self.inner.tolist()

    def new_tensor(self, data, *, dtype=None):  # torch's own asks the driver
        return torch.tensor(data, dtype=dtype or self.dtype).to(DEVICE)

    def __reduce_ex__(self, protocol):
        return self.inner.__reduce_ex__(protocol)  # as a file is read without the device

    def numpy(self, **_):
        raise TypeError(f"can't convert a tensor on {DEVICE} to numpy")

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _call(function, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sees the calls that make tensors, too."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _call(function, args, kwargs or {})


def _call(function, args, kwargs):
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    here = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    if function not in _MOVES:
        met = tensors[:1] if function in _INDEXING else tensors
        if here and any(one.dim() > 0 and not isinstance(one, OnDevice) for one in met):
            raise RuntimeError(f"{function} got tensors on {DEVICE} and on the CPU")
    made = {id(one.inner): one for one in here}
    is_here = _is_result_here(function, args, kwargs.get("device"), here)
    inner_args, inner_kwargs = tree_map(_inner, (args, kwargs))
    if "device" in kwargs:
        inner_kwargs |= {"device": torch.device("cpu"), "pin_memory": False}
    result = function(*inner_args, **inner_kwargs)

    def wrap(one):
        if not isinstance(one, torch.Tensor):
            return one
        return made[id(one)] if id(one) in made else OnDevice(one)

    return tree_map(wrap, result) if is_here else result


def _is_result_here(function, args, wanted, here):
    if wanted is not None:
        return torch.device(wanted).type == "cuda"
    return isinstance(args[0], OnDevice) if function in _MOVES else bool(here)


def _inner(value):
    return value.inner if isinstance(value, OnDevice) else value


@contextlib.contextmanager
def pretended_cuda(monkeypatch, *, free=2**30):
    """Pretend that there is a CUDA device, older than bfloat16, with so many bytes free."""
    answers = {
        "is_available": True,
        "device_count": 1,
        "get_device_name": "pretended",
        "get_device_capability": (7, 0),
        "mem_get_info": (free, free),
        **dict.fromkeys(("_lazy_init", "set_device", "synchronize", "manual_seed_all")),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    tensor = torch.tensor

    def make_tensor(data, *, device=None, **options):  # torch's own asks the driver
        made = tensor(data, **options)
        return made if device is None else made.to(device)

    monkeypatch.setattr(torch, "tensor", make_tensor)
    # Threads of their own would not be in the mode below.
    monkeypatch.setattr(geodet.detection.batches, "iter_ahead", lambda items, **_: items)
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # which no such tensor survives
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor, *_: tensor)
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)  # norms choose it by the device
    torch._C._ensureCUDADeviceGuardSet()  # else the driver is asked which device is chosen
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Mode():
            yield DEVICE
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
