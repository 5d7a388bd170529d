"""The canvas of a painted town, and the roofs, cars, ponds and ground on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geodet.vector.palette import Colour

__all__ = [
    "ASPHALT",
    "CAR",
    "CONCRETE",
    "DRY",
    "FLAT",
    "HEDGE",
    "LAKE",
    "LAWN",
    "PANEL",
    "POOL",
    "SHINGLE",
    "SOIL",
    "Canvas",
    "Material",
    "Plot",
    "PlotBox",
    "Sun",
    "TownFrame",
    "cover_ground",
    "flat_roof",
    "oval",
    "park_car",
    "pitched_roof",
]

_SHADOW_PX = 30.0  # how far from its plot a shadow falls at most

ASPHALT: tuple[Colour, ...] = ((98, 97, 101), (108, 107, 109), (120, 118, 117), (88, 88, 94))
CONCRETE: tuple[Colour, ...] = ((184, 176, 165), (168, 161, 152), (198, 190, 178))
LAWN: tuple[Colour, ...] = ((84, 106, 68), (98, 114, 74), (72, 98, 62), (60, 84, 58))
DRY: tuple[Colour, ...] = ((140, 130, 102), (154, 142, 114), (126, 124, 92), (166, 148, 122))
SOIL: tuple[Colour, ...] = ((152, 130, 108), (168, 148, 126), (136, 118, 100))
SHINGLE: tuple[Colour, ...] = (
    *((130, 126, 124), (108, 106, 108), (148, 138, 128), (162, 150, 138), (124, 110, 102)),
    *((164, 116, 96), (164, 136, 120), (182, 172, 160), (90, 90, 96), (200, 195, 188)),
    *((142, 140, 140), (172, 164, 154)),
)
FLAT: tuple[Colour, ...] = ((222, 220, 216), (196, 190, 184), (172, 166, 162), (150, 142, 136))
CAR: tuple[Colour, ...] = (
    *((226, 226, 226), (214, 214, 212), (176, 178, 182), (150, 152, 156), (48, 50, 56)),
    *((84, 86, 90), (62, 74, 100), (122, 58, 54)),
)
POOL: tuple[Colour, ...] = ((92, 176, 196), (70, 150, 178), (116, 196, 204))
LAKE: tuple[Colour, ...] = ((48, 66, 70), (58, 76, 72))
HEDGE: tuple[Colour, ...] = ((56, 76, 52), (66, 84, 60))
PANEL: Colour = (58, 62, 78)


PlotBox = tuple[float, float, float, float]  # x1, y1, x2, y2 in metres of a plot


class Material(IntEnum):
    """Material of a pixel, which determines its texture and whether a tree can stand there."""

    PAVED = 0
    GRASS = 1
    SOIL = 2
    ROOF = 3
    WATER = 4


@dataclass(frozen=True, slots=True)
class Sun:
    """Direction of the sun, in image axes (x right, y down, z up)."""

    azimuth: float  # radians clockwise from north (the top of the image)
    elevation: float  # radians above the horizon

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector that points to the sun."""
        flat = math.cos(self.elevation)
        x, y = flat * math.sin(self.azimuth), -flat * math.cos(self.azimuth)
        return x, y, math.sin(self.elevation)

    def shadow(self, height: float) -> tuple[float, float]:
        """Offset of the shadow of a point `height` above the ground, in the unit of `height`."""
        x, y, z = self.direction
        return -x / z * height, -y / z * height


@dataclass(frozen=True, slots=True)
class TownFrame:
    """Mapping of town metres, with the origin in the image centre, to continuous image pixels."""

    width: int
    height: int
    gsd: float  # metres per pixel
    angle: float  # radians, rotation of the street grid
    phases: tuple[float, float]  # radians, where the two waves start

    BEND = 20.0  # metres of amplitude; with the wavelengths below, streets turn by up to 10 degrees
    WAVES = (640.0, 820.0)  # metres of wavelength

    def to_pixels(self, town: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (N, 2) town metres to (N, 2) image pixels."""
        u, v = town[:, 0], town[:, 1]
        bent_u = u + self.BEND * np.sin(v * (math.tau / self.WAVES[0]) + self.phases[0])
        bent_v = v + self.BEND * np.sin(u * (math.tau / self.WAVES[1]) + self.phases[1])
        cos, sin = math.cos(self.angle) / self.gsd, math.sin(self.angle) / self.gsd
        x = self.width / 2 + cos * bent_u - sin * bent_v
        y = self.height / 2 + sin * bent_u + cos * bent_v
        return np.stack([x, y], axis=1)


@dataclass(frozen=True, slots=True)
class Plot:
    """A rectangle of land with its own axes: x along the street, y away from it (metres)."""

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]  # rows: town direction of x and of y
    width: float
    depth: float

    def cut(self, box: PlotBox) -> Plot:
        """Return the part of the plot inside of `box`."""
        start = self.to_town([box[:2]])[0]
        return Plot(start, self.axes, box[2] - box[0], box[3] - box[1])

    def turned(self) -> Plot:
        """Return the same land with axes turned by 90 degrees."""
        start = self.to_town([(self.width, 0.0)])[0]
        axes = np.stack([self.axes[1], -self.axes[0]])
        return Plot(start, axes, self.depth, self.width)

    def to_town(self, points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
        """Map N local points to (N, 2) town metres."""
        return self.origin + np.asarray(points, np.float64) @ self.axes

    def outline(self, box: PlotBox) -> NDArray[np.float64]:
        """Outline of `box` in town metres, with a point every 20 m, so that long sides can bend."""
        x1, y1, x2, y2 = box
        xs = np.linspace(x1, x2, max(1, round(abs(x2 - x1) / 20)) + 1).tolist()
        ys = np.linspace(y1, y2, max(1, round(abs(y2 - y1) / 20)) + 1).tolist()
        there = [(x, y1) for x in xs[:-1]] + [(x2, y) for y in ys[:-1]]
        back = [(x, y2) for x in xs[:0:-1]] + [(x1, y) for y in ys[:0:-1]]
        return self.to_town(there + back)

    @property
    def box(self) -> PlotBox:
        """The whole plot in its own metres."""
        return 0.0, 0.0, self.width, self.depth


@dataclass(slots=True)
class Canvas:
    """Images of colour, material and shadow, drawn together, and the sites of trees."""

    frame: TownFrame
    sun: Sun
    rng: np.random.Generator
    colour: Image.Image = field(init=False)
    material: Image.Image = field(init=False)
    shade: Image.Image = field(init=False)  # 255 where the sun does not reach
    tree_sites: list[tuple[float, float, float]] = field(default_factory=list)  # x_px, y_px, r_m

    def __post_init__(self) -> None:
        size = (self.frame.width, self.frame.height)
        self.colour = Image.new("RGB", size, ASPHALT[1])
        self.material = Image.new("L", size, int(Material.PAVED))
        self.shade = Image.new("L", size, 0)

    def chance(self, probability: float) -> bool:
        """Draw True with a probability."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """Draw a number in [low, high); return `low` if `high` is not above it."""
        return float(self.rng.uniform(low, max(low, high)))

    def pick(self, palette: Sequence[Colour], spread: float = 0.07) -> Colour:
        """Draw a colour of the palette, and vary its brightness and tint a little."""
        base = np.array(palette[int(self.rng.integers(len(palette)))])
        tint = self.rng.normal(1.0, spread) + self.rng.normal(0.0, spread / 8, 3)
        red, green, blue = np.clip(base * tint, 0, 255).astype(int).tolist()
        return red, green, blue

    def can_show(self, plot: Plot) -> bool:
        """Whether any of the plot can be in the image, or cast a shadow into it."""
        pixels = self.frame.to_pixels(plot.outline(plot.box))
        low, high = pixels.min(axis=0) - _SHADOW_PX, pixels.max(axis=0) + _SHADOW_PX
        size = (self.frame.width, self.frame.height)
        return bool((high > 0).all() and (low < size).all())

    def polygon(self, pixels: NDArray[np.float64], colour: Colour, material: Material) -> None:
        """Fill a polygon given in image pixels."""
        points = [(x - 0.5, y - 0.5) for x, y in pixels.tolist()]  # Pillow counts pixel centres
        ImageDraw.Draw(self.colour).polygon(points, fill=colour)
        ImageDraw.Draw(self.material).polygon(points, fill=int(material))

    def fill(
        self, plot: Plot, box: PlotBox, colour: Colour, material: Material
    ) -> NDArray[np.float64]:
        """Fill a box of a plot and return its outline in image pixels."""
        pixels = self.frame.to_pixels(plot.outline(box))
        self.polygon(pixels, colour, material)
        return pixels

    def cast_shadow(self, pixels: NDArray[np.float64], height: float) -> None:
        """Draw the shadow of a body with this outline and a height in metres."""
        shift = np.array(self.sun.shadow(height / self.frame.gsd))
        draw = ImageDraw.Draw(self.shade)
        low, high = (pixels - 0.5), (pixels - 0.5 + shift)
        draw.polygon([(x, y) for x, y in high.tolist()], fill=255)
        following = np.roll(np.arange(len(low)), -1)
        walls = np.stack([low, low[following], high[following], high], axis=1)  # (N, 4, 2)
        for wall in walls.reshape(-1, 8).tolist():
            draw.polygon(wall, fill=255)

    def clear_shadow(self, pixels: NDArray[np.float64]) -> None:
        """Remove shadows from a surface above them."""
        ImageDraw.Draw(self.shade).polygon([(x, y) for x, y in (pixels - 0.5).tolist()], fill=0)

    def plant_tree(self, plot: Plot, x: float, y: float, median: float = 3.5) -> None:
        """Add a site of a tree at a point of a plot; `median` is that of crown radii, in metres."""
        radius = float(np.clip(self.rng.lognormal(math.log(median), 0.38), 2.0, 7.0))
        at = self.frame.to_pixels(plot.to_town([(x, y)]))[0]
        self.tree_sites.append((float(at[0]), float(at[1]), radius))


_ROOF_SLOPE = math.radians(22)  # a 5-in-12 pitch, the common one of these suburbs


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
    facing = math.sin(_ROOF_SLOPE) * (out[0] * x + out[1] * y) + math.cos(_ROOF_SLOPE) * z
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
