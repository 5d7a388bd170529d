"""How much memory a network takes, found by running it once."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["WidestLayer"]


class WidestLayer:
    """Watches a network in a ``with`` block for the layer that holds most at once.

    Args:
        network: What will run.
    """

    def __init__(self, network: nn.Module) -> None:
        self.bytes = 0
        """Of the inputs and outputs of that layer."""
        self._leaves = [part for part in network.modules() if not any(part.children())]

    def __enter__(self) -> WidestLayer:
        self._hooks = [leaf.register_forward_hook(self._look) for leaf in self._leaves]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _look(self, _: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        tensors = [tensor for tensor in (*inputs, output) if isinstance(tensor, Tensor)]
        self.bytes = max(self.bytes, sum(t.numel() * t.element_size() for t in tensors))
