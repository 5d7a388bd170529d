"""Grids over a scene at a ground sample distance, along both axes."""

from __future__ import annotations

__all__ = ["FARTHEST_FACTOR", "are_near", "are_square", "scale_factors", "scaled_grid"]

FARTHEST_FACTOR = 20.0
"""Pixels of a grid per pixel of the scene beyond which nothing is resampled."""

_TOLERANCE = 0.1  # a scene that is closer to a GSD is not resampled


def scale_factors(resolution: tuple[float, float], gsd: float) -> tuple[float, float]:
    """Return the pixels at a GSD per pixel of a scene, along x and y.

    Args:
        resolution: Metres per pixel of the scene along x and y.
        gsd: In metres per pixel.
    """
    x, y = resolution
    return x / gsd, y / gsd


def are_near(factors: tuple[float, float]) -> bool:
    """Whether factors are so close to 1 that nothing is resampled: within 10 %."""
    return max(abs(factor - 1) for factor in factors) <= _TOLERANCE


def are_square(resolution: tuple[float, float]) -> bool:
    """Whether pixels are square on the ground, nearly; those of a raster in degrees often are not.

    Args:
        resolution: Metres per pixel along x and y.

    Example:
        >>> are_square((0.5, 0.5)), are_square((0.28, 0.57))
        (True, False)
    """
    return are_near(scale_factors(resolution, min(resolution)))


def scaled_grid(grid: tuple[int, int], factors: tuple[float, float]) -> tuple[int, int]:
    """Return columns and rows of a grid over the same ground.

    Args:
        grid: Columns and rows of the scene.
        factors: From :func:`scale_factors`.

    Example:
        >>> scaled_grid((100, 100), scale_factors((0.25, 0.5), 0.25))
        (100, 200)
    """
    columns, rows = (
        max(round(count * factor), 1) for count, factor in zip(grid, factors, strict=True)
    )
    return columns, rows
