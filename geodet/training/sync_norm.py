"""Batch normalisation over the chips of all processes, on CPUs, too."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["SyncNorm", "synchronise_norms"]


class SyncNorm(nn.BatchNorm2d):
    """Normalise by the statistics of the whole batch, wherever its chips are.

    It computes what :class:`torch.nn.BatchNorm2d` would in one process, which needs chips of one
    size and as many in each process. torch's own ``SyncBatchNorm`` refuses CPUs.
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
        """Move the running statistics, as the base class does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)


class _SumOverProcesses(torch.autograd.Function):
    """Add up a tensor over the processes; the gradient is the sum of all their gradients."""

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
    """Let the batch norms of a network see the chips of all processes; its weights stay in it.

    Args:
        network: Its norms are replaced in place, with the same parameters and buffers.
        device: Where it is trained; CUDA has norms of torch's own.
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
