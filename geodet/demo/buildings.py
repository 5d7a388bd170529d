"""Paint roofs, cars, ponds and ground."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geodet.demo.canvas import (
    CAR,
    DRY,
    FLAT,
    LAWN,
    PANEL,
    SOIL,
    Canvas,
    Material,
    Plot,
    PlotBox,
)
from geodet.vector.palette import Colour

__all__ = ["cover_ground", "flat_roof", "oval", "park_car", "pitched_roof"]

ROOF_SLOPE = math.radians(22)  # a 5-in-12 pitch, the common one of these suburbs


def flat_roof(canvas: Canvas, plot: Plot, box: PlotBox, height: float) -> None:
    """Paint a flat roof with machines and perhaps solar panels, `height` metres high."""
    outline = canvas.fill(plot, box, canvas.pick(FLAT), Material.ROOF)
    canvas.cast_shadow(outline, height)
    canvas.clear_shadow(outline)
    x1, y1, x2, y2 = box
    for _ in range(int((x2 - x1) * (y2 - y1) / 120)):  # one machine for 120 square metres
        x, y = canvas.between(x1, x2 - 3), canvas.between(y1, y2 - 3)
        unit = canvas.fill(plot, (x, y, x + 2, y + 1.6), canvas.pick(FLAT), Material.ROOF)
        canvas.cast_shadow(unit, 1.2)
        canvas.clear_shadow(unit)
    if canvas.chance(0.2):
        for y in np.arange(y1 + 3, y2 - 4, 3.0).tolist():
            canvas.fill(plot, (x1 + 3, y, x2 - 3, y + 1.8), PANEL, Material.ROOF)


def pitched_roof(canvas: Canvas, plot: Plot, box: PlotBox, colour: Colour) -> None:
    """Paint a gable or hip roof, each face shaded by its slope towards the sun."""
    x1, y1, x2, y2 = box
    if y2 - y1 > x2 - x1:
        turned = plot.cut(box).turned()
        return pitched_roof(canvas, turned, turned.box, colour)
    middle, inset = (y1 + y2) / 2, (y2 - y1) / 2 * float(canvas.rng.choice([0.0, 0.6, 1.0]))
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1 + inset, middle), (x2 - inset, middle)]
    points = canvas.frame.to_pixels(plot.to_town(corners))
    canvas.cast_shadow(points[:4], 3.4)  # metres: eaves at 2.7, ridge above
    canvas.clear_shadow(points[:4])
    for face in ((0, 4, 3), (1, 2, 5), (0, 1, 5, 4), (3, 2, 5, 4)):
        _roof_face(canvas, points[list(face)], points[:4].mean(axis=0), colour)
    return None


def _roof_face(
    canvas: Canvas, face: NDArray[np.float64], centre: NDArray[np.float64], colour: Colour
) -> None:
    """Paint one face, shaded by Lambert's law relative to a flat surface."""
    out = face.mean(axis=0) - centre
    out /= max(float(np.hypot(*out)), 1e-6)
    x, y, z = canvas.sun.direction
    facing = math.sin(ROOF_SLOPE) * (out[0] * x + out[1] * y) + math.cos(ROOF_SLOPE) * z
    brightness = 0.35 + 0.65 * facing / z  # 0.35: light of the sky, the same for all faces
    red, green, blue = (min(255, int(band * brightness)) for band in colour)
    canvas.polygon(face, (red, green, blue), Material.ROOF)


def park_car(canvas: Canvas, plot: Plot, x: float, y: float, *, lengthwise: bool) -> None:
    """Paint a car of 1.9 m by 4.6 m with its corner at (x, y)."""
    wide, deep = (4.6, 1.9) if lengthwise else (1.9, 4.6)
    outline = canvas.fill(plot, (x, y, x + wide, y + deep), canvas.pick(CAR), Material.ROOF)
    canvas.cast_shadow(outline, 1.3)
    canvas.clear_shadow(outline)
    glass = (x + wide * 0.3, y + deep * 0.3, x + wide * 0.5, y + deep * 0.7)
    canvas.fill(plot, glass, (70, 74, 80), Material.ROOF)


def oval(canvas: Canvas, plot: Plot, box: PlotBox, colour: Colour, material: Material) -> None:
    """Fill an uneven oval inside of `box`: a pool, a pond, a worn patch of lawn."""
    x1, y1, x2, y2 = box
    turn = np.linspace(0, math.tau, 16, endpoint=False)
    lobes = 0.85 + 0.15 * np.sin(2 * turn + canvas.between(0, 6)) * np.cos(turn)
    x = (x1 + x2) / 2 + (x2 - x1) / 2 * lobes * np.cos(turn)
    y = (y1 + y2) / 2 + (y2 - y1) / 2 * lobes * np.sin(turn)
    town = plot.to_town(list(zip(x.tolist(), y.tolist(), strict=True)))
    canvas.polygon(canvas.frame.to_pixels(town), colour, material)


def cover_ground(canvas: Canvas, plot: Plot, box: PlotBox, green: float) -> None:
    """Fill a box with lawn (with probability `green`), dry grass or soil, and worn patches."""
    draw = canvas.rng.random()
    kinds = ((LAWN, Material.GRASS), (DRY, Material.GRASS), (SOIL, Material.SOIL))
    palette, material = kinds[0 if draw < green else 1 if draw < (1 + green) / 2 else 2]
    canvas.fill(plot, box, canvas.pick(palette), material)
    x1, y1, x2, y2 = box
    area = (x2 - x1) * (y2 - y1)
    for _ in range(int(canvas.rng.poisson(min(area / 120, 30)))):
        size = canvas.between(0.06, 0.4) * math.sqrt(area)
        patch, stuff = kinds[int(canvas.rng.choice(3, p=(0.4, 0.45, 0.15)))]
        x, y = canvas.between(x1, x2 - size), canvas.between(y1, y2 - size)
        around = (x, y, min(x + size, x2), min(y + size * canvas.between(0.4, 1), y2))
        oval(canvas, plot, around, canvas.pick(patch), stuff)
