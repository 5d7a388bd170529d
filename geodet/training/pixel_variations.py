"""Augmentation of pixel values: light, sharpness, noise and compression."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodet.config import AugmentConfig
from geodet.files.network import unreported

__all__ = ["compose_variations"]

_Variation = Callable[[NDArray[Any], float, float], NDArray[Any]]


def compose_variations(config: AugmentConfig, size: int) -> Callable[..., dict[str, NDArray[Any]]]:
    """Build the variations of pixel values that occur between images taken from straight above.

    Args:
        config: How much is varied.
        size: Side of the result in pixels.

    Returns:
        albumentations' pipeline, which takes ``image``, (H, W, C) in uint8 or in float32 between 0
        and 1, and ``mask``, (H, W).
    """
    augment = _import_albumentations()
    gamma = 100 * config.gamma
    tint = (1 - config.tint, 1 + config.tint)
    composed: Callable[..., dict[str, NDArray[Any]]] = augment.Compose(
        [
            augment.Resize(size, size, area_for_downscale="image"),
            *_vary_light(config, augment),
            augment.RandomBrightnessContrast(config.brightness, config.contrast, p=0.8),
            augment.RandomGamma((100 - gamma, 100 + gamma), p=0.5 * float(gamma > 0)),
            augment.MultiplicativeNoise(tint, per_channel=True, p=float(config.tint > 0)),
            *_coarsen(config, augment),
            augment.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.2), p=config.blur),
            augment.GaussNoise(std_range=(0.005, 0.03), p=config.noise),
            *_compress(config, augment),
        ]
    )
    return composed


# What is off is left out: even with a probability of zero it would draw numbers, and the chips of
# former settings would not be the same.


def _vary_light(config: AugmentConfig, augment: Any) -> list[Any]:
    """Vary the light; the gradient of albumentations' own Illumination brightens on the whole."""
    varied = []
    if config.haze:
        varied.append(_make_own(augment, _add_haze, (0.0, config.haze), p=0.5))
    if config.shading:
        varied.append(_make_own(augment, _shade, (0.0, config.shading), p=0.5))
    return varied


def _coarsen(config: AugmentConfig, augment: Any) -> list[Any]:
    """Reduce the resolution; albumentations' own Downscale takes at most four bands."""
    if not config.coarsening:
        return []
    return [_make_own(augment, _lose_resolution, (0.4, 0.9), p=config.coarsening)]


def _compress(config: AugmentConfig, augment: Any) -> list[Any]:
    if not config.jpeg:
        return []
    return [augment.ImageCompression("jpeg", quality_range=(30, 90), p=config.jpeg)]


def _make_own(augment: Any, vary: _Variation, strengths: tuple[float, float], *, p: float) -> Any:
    """Make a variation of a strength and a direction that are drawn anew for each chip.

    The class is defined here, since albumentations is imported late.
    """

    class Own(augment.ImageOnlyTransform):  # type: ignore[misc]
        def get_params(self) -> dict[str, Any]:
            angle = self.py_random.uniform(0.0, 2 * math.pi)
            return {"strength": self.py_random.uniform(*strengths), "angle": angle}

        def apply(self, img: NDArray[Any], strength: float, angle: float, **_: Any) -> NDArray[Any]:
            return vary(img, strength, angle)

    return Own(p=p)


def _add_haze(image: NDArray[Any], share: float, _angle: float) -> NDArray[Any]:
    """Mix white into (H, W, C)."""
    white = 255 if image.dtype == np.uint8 else 1
    mixed: NDArray[Any] = (image * np.float32(1 - share) + share * white).astype(image.dtype)
    return mixed


def _shade(image: NDArray[Any], change: float, angle: float) -> NDArray[Any]:
    """Brighten (H, W, C) towards one side and darken it towards the other, by a factor."""
    height, width = image.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32) * math.cos(angle)
    y = np.linspace(-1, 1, height, dtype=np.float32) * math.sin(angle)
    plane = 1 + change / (abs(math.cos(angle)) + abs(math.sin(angle))) * (x + y[:, None])
    most = 255 if image.dtype == np.uint8 else 1
    shaded: NDArray[Any] = (image * plane[..., None]).clip(0, most).astype(image.dtype)
    return shaded


def _lose_resolution(image: NDArray[Any], scale: float, _angle: float) -> NDArray[Any]:
    """Reduce (H, W, C) to a share of its sides and enlarge it again."""
    import cv2  # here, because only training needs it

    height, width = image.shape[:2]
    small = max(1, round(width * scale)), max(1, round(height * scale))
    bands = [
        cv2.resize(
            cv2.resize(image[..., band], small, interpolation=cv2.INTER_AREA),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        for band in range(image.shape[2])
    ]
    return np.stack(bands, axis=-1)


def _import_albumentations() -> Any:
    """Import albumentations without the request for its newest version that it sends on import."""
    with unreported("NO_ALBUMENTATIONS_UPDATE", "1"):
        import albumentations
    return albumentations
