"""Several processes that train one network, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from geodet.files.torchrun import count_processes
from geodet.models.device import resolve_device, resolve_precision
from geodet.training.fabric import Fabric

__all__ = [
    "SyncNorm",
    "disconnect_processes",
    "launch_processes",
    "local_processes",
    "mean_over_processes",
    "name_precision",
    "synchronise_norms",
]


def launch_processes(precision: str, device: str) -> Fabric:
    """Start Fabric on a device; under torchrun each process is one of its devices.

    Args:
        precision: ``auto``, ``float32`` or ``bfloat16``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: This machine has no such device.
    """
    chosen = resolve_device(device)
    world, local = count_processes(), local_processes()
    one = [chosen.index or 0] if chosen.type == "cuda" else 1
    fabric = Fabric(
        accelerator=chosen.type,
        devices=local if world > 1 else one,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=name_precision(precision, chosen),
    )
    fabric.launch()
    return fabric


def name_precision(precision: str, device: torch.device) -> Literal["bf16-mixed", "32-true"]:
    """Return Fabric's name of the precision of a training.

    Args:
        precision: ``auto``, ``float32`` or ``bfloat16``.
        device: Device of the training.
    """
    dtype = resolve_precision(precision, device)
    return "bf16-mixed" if dtype == torch.bfloat16 else "32-true"


def disconnect_processes(fabric: Fabric) -> None:
    """Close the connection between the processes.

    If it is left open until the interpreter exits, its threads may abort the process.
    """
    if fabric.world_size > 1:
        fabric.barrier()
        dist.destroy_process_group()


def local_processes() -> int:
    """Return the number of training processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def mean_over_processes(values: Tensor) -> Tensor:
    """Average floating-point values over all processes, element by element, without gradients."""
    mean = values.detach().clone()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(mean)
        mean /= dist.get_world_size()
    return mean


class SyncNorm(nn.BatchNorm2d):
    """Batch normalisation over the chips of all processes, on CPUs as well.

    It computes what :class:`torch.nn.BatchNorm2d` computes in one process, provided that all chips
    have one size and each process has equally many. torch's own ``SyncBatchNorm`` refuses CPUs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W); outside of training by the running statistics."""
        if not self.training:
            return super().forward(x)
        variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
        means, variances = _gather(torch.stack([mean, variance])).unbind(dim=1)  # (W, C) each
        mean = means.mean(dim=0)
        variance = (variances + (means - mean).square()).mean(dim=0)
        self._track(mean.detach(), variance.detach(), count=x.numel() // len(mean) * len(means))
        shape = (1, -1, 1, 1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        centred = x.float() - mean.view(shape)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, *, count: int) -> None:
        """Update the running statistics as the base class does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)


class _SumOverProcesses(torch.autograd.Function):
    """Sum a tensor over the processes; the gradient is the sum of all their gradients."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def _gather(value: Tensor) -> Tensor:
    """Stack the tensors of the W processes: (W, ...)."""
    slots = [torch.zeros_like(value)] * dist.get_world_size()
    slots[dist.get_rank()] = value
    gathered: Tensor = _SumOverProcesses.apply(torch.stack(slots))
    return gathered


def synchronise_norms(network: nn.Module, device: torch.device) -> None:
    """Make the batch norms of a network measure the chips of all processes.

    Args:
        network: Its norms are replaced in place; parameters and buffers stay the same.
        device: Where it is trained. On CUDA, torch's ``SyncBatchNorm`` is used.
    """
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(network, name, _synchronised(child, device))
        else:
            synchronise_norms(child, device)


def _synchronised(norm: nn.BatchNorm2d, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return converted
    own = SyncNorm(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    own.weight, own.bias = norm.weight, norm.bias
    for name, buffer in norm.named_buffers(recurse=False):
        setattr(own, name, buffer)
    return own.train(norm.training)
