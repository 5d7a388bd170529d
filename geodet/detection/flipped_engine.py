"""Average the outputs of a network over the flips of a chip, at four times the work.

Logits and deltas are averaged before decoding, so that no boxes need to be fused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from array_api_compat import array_namespace
from array_api_compat import device as device_of
from numpy.typing import NDArray

from geodet.config import ModelConfig
from geodet.models.engine import AnyArray, ChipTensors, Engine, Outputs
from geodet.models.input_values import InputValues

__all__ = ["FlippedEngine"]

_FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))  # none, x, y, both


class FlippedEngine:
    """An engine whose outputs are the mean over a chip and its three flips.

    Chips whose sides are no multiple of the coarsest stride are extended by pixels without data, or
    the cells of a flipped chip would lie between those of the chip.

    Args:
        engine: Computes each of the four.
        config: The network's levels and anchors.
    """

    def __init__(self, engine: Engine, config: ModelConfig) -> None:
        self._engine, self._config = engine, config
        first, last = config.levels
        self._strides = [2**level for level in range(first, last + 1)]
        self._per_cell = len(config.anchor_scales) * len(config.anchor_ratios)

    @property
    def device(self) -> Any:
        """The device of the engine."""
        return self._engine.device

    @property
    def precision(self) -> str:
        """The precision of the engine."""
        return self._engine.precision

    @property
    def stride(self) -> int:
        """The stride of the engine's coarsest level, in pixels."""
        return self._engine.stride

    @property
    def software(self) -> dict[str, str]:
        """The software of the engine."""
        return self._engine.software

    @property
    def paired(self) -> FlippedEngine | None:
        """The engine for two passes at a time, where its own engine has one."""
        paired = self._engine.paired
        return None if paired is None else FlippedEngine(paired, self._config)

    def bytes_per_pixel(self, values: InputValues) -> float:
        """Return the memory of a forward pass, in bytes per pixel: one flip after another."""
        return self._engine.bytes_per_pixel(values)

    def stack(self, pixels: Sequence[NDArray[Any]], valid: Sequence[NDArray[Any]]) -> ChipTensors:
        """Stack the arrays of chips."""
        return self._engine.stack(pixels, valid)

    def start(self, tensors: ChipTensors) -> ChipTensors:
        """Start the transfer of chips to the device."""
        return self._engine.start(tensors)

    def forward(self, pixels: AnyArray, valid: AnyArray, values: InputValues) -> Outputs:
        """Compute the mean outputs of (N, C, H, W) pixels and (N, H, W) valid."""
        height, width = pixels.shape[-2:]
        pixels, valid = self._extended(pixels), self._extended(valid)
        sides = pixels.shape[-2:]
        parts = [self._unflipped(pixels, valid, values, axes, sides) for axes in _FLIPS]
        logits = sum(part.logits for part in parts) / len(parts)
        deltas = sum(part.deltas for part in parts) / len(parts)
        return self._cropped(Outputs(logits, deltas, *parts[0][2:]), sides, (height, width))

    def _extended(self, array: AnyArray) -> AnyArray:
        """Extend (..., H, W) by zeros to multiples of the coarsest stride."""
        xp = array_namespace(array)
        for axis in (-1, -2):
            missing = -array.shape[axis] % self.stride
            if missing:
                shape = list(array.shape)
                shape[axis] = missing
                empty = xp.zeros(tuple(shape), dtype=array.dtype, device=device_of(array))
                array = xp.concat([array, empty], axis=axis)
        return array

    def _unflipped(
        self,
        pixels: AnyArray,
        valid: AnyArray,
        values: InputValues,
        axes: tuple[int, ...],
        sides: tuple[int, int],
    ) -> Outputs:
        """Compute the outputs of a flip, in the cells of the chip itself."""
        if not axes:
            return self._engine.forward(pixels, valid, values)
        xp = array_namespace(pixels)
        found = self._engine.forward(xp.flip(pixels, axis=axes), xp.flip(valid, axis=axes), values)
        # A flip mirrors one shift of the centre, and the direction of an oriented box.
        x, y = (-1.0 if axis in axes else 1.0 for axis in (-1, -2))
        signs = [x, y, 1.0, 1.0, 1.0, x * y][: found.deltas.shape[-1]]
        sign = xp.asarray(signs, dtype=found.deltas.dtype, device=device_of(found.deltas))
        over = tuple(axis - 2 for axis in axes)  # rows and columns come before anchors and values
        return Outputs(
            self._by_level(found.logits, sides, lambda maps: xp.flip(maps, axis=over)),
            self._by_level(found.deltas * sign, sides, lambda maps: xp.flip(maps, axis=over)),
            *found[2:],
        )

    def _cropped(
        self, outputs: Outputs, sides: tuple[int, int], wanted: tuple[int, int]
    ) -> Outputs:
        """Return the outputs of the cells that a chip has without its extension."""
        if sides == wanted:
            return outputs
        strides = iter(self._strides * 3)

        def crop(maps: AnyArray) -> AnyArray:
            stride = next(strides)
            return maps[:, : -(-wanted[0] // stride), : -(-wanted[1] // stride)]

        logits, deltas = (self._by_level(o, sides, crop) for o in (outputs.logits, outputs.deltas))
        anchors = self._by_level(outputs.anchors[None, ...], sides, crop)[0, ...]
        sizes = tuple(
            -(-wanted[0] // stride) * -(-wanted[1] // stride) * self._per_cell
            for stride in self._strides
        )
        return Outputs(logits, deltas, anchors, sizes)

    def _by_level(self, array: AnyArray, sides: tuple[int, int], change: Any) -> AnyArray:
        """Change the maps (N, H, W, A, values) of each level of (N, R, values)."""
        xp = array_namespace(array)
        count, _, size = array.shape
        parts, start = [], 0
        for stride in self._strides:
            rows, columns = sides[0] // stride, sides[1] // stride
            end = start + rows * columns * self._per_cell
            maps = xp.reshape(array[:, start:end, :], (count, rows, columns, self._per_cell, size))
            parts.append(xp.reshape(change(maps), (count, -1, size)))
            start = end
        return xp.concat(parts, axis=1)
