"""Networks whose weights will be loaded are built without random first weights.

Drawing them takes longer than loading: a ResNet-18 has eleven million.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["Unfilled"]

_FILLERS: frozenset[Callable[..., Any]] = frozenset(
    {
        Tensor.normal_,
        Tensor.uniform_,
        nn.init.normal_,
        nn.init.uniform_,
        nn.init.kaiming_normal_,
        nn.init.kaiming_uniform_,
        nn.init.trunc_normal_,
    }
)
"""What fills tensors with random numbers. Those of ``nn.init`` may call the others unseen."""


class Unfilled(TorchFunctionMode):
    """A context in which tensors are not filled with random numbers, and none are drawn.

    Every parameter of a network that is built in it must be loaded afterwards.

    Reference:
        ``torch.nn.utils.skip_init`` does so for a single module.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a tensor that would be filled as it is, and call all other functions."""
        named = kwargs or {}
        if func in _FILLERS:
            return args[0] if args else named["tensor"]
        return func(*args, **named)
