"""Paint the quarters of a town, from house lots to parks, and the streets between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from geodet.demo.canvas import (
    ASPHALT,
    CAR,
    CONCRETE,
    DRY,
    FLAT,
    HEDGE,
    LAKE,
    POOL,
    SHINGLE,
    SOIL,
    Canvas,
    Material,
    Plot,
    PlotBox,
    cover_ground,
    flat_roof,
    oval,
    park_car,
    pitched_roof,
)

__all__ = ["QUARTERS", "draw_town"]


def _house_lot(canvas: Canvas, plot: Plot) -> None:
    """Paint one lot: front garden, drive, house, back garden and its trees."""
    width, depth = plot.width, plot.depth
    front, house = canvas.between(5, 8), canvas.between(10, 14)
    cover_ground(canvas, plot, (0, 0, width, front + 2), 0.55)
    cover_ground(canvas, plot, (0, front + 1, width, depth), 0.35)
    drive = canvas.between(1.0, 2.5)
    canvas.fill(plot, (drive, 0, drive + 5, front + 2), canvas.pick(CONCRETE), Material.PAVED)
    if canvas.chance(0.4):
        park_car(canvas, plot, drive + 1, front - 4.8, lengthwise=False)
    back = (2.0, front + house, width - 2.0, depth - 1.5)
    _back_garden(canvas, plot, back)
    colour = canvas.pick(SHINGLE, 0.1)
    pitched_roof(canvas, plot, (1.4, front, width - 1.4, front + house * 0.75), colour)
    if canvas.chance(0.7):
        wing = canvas.between(5.5, 8)
        pitched_roof(canvas, plot, (1.6, front - 1.5, 1.6 + wing, front + house), colour)
    _small_objects(canvas, plot, back)
    _garden_trees(canvas, plot, front, back)


def _small_objects(canvas: Canvas, plot: Plot, box: PlotBox) -> None:
    """Paint small objects that are not green: parasols, boats, woodpiles."""
    for _ in range(int(canvas.rng.poisson(4))):
        x, y = canvas.between(box[0], box[2] - 1), canvas.between(box[1], box[3] - 1)
        thing = (x, y, x + canvas.between(0.7, 2), y + canvas.between(0.7, 2))
        outline = canvas.fill(plot, thing, canvas.pick(CAR + FLAT + SOIL), Material.PAVED)
        canvas.cast_shadow(outline, 1.0)
        canvas.clear_shadow(outline)


def _back_garden(canvas: Canvas, plot: Plot, back: PlotBox) -> None:
    """Paint perhaps a terrace, a pool or a shed, and a hedge behind the house."""
    x1, y1, x2, y2 = back
    if canvas.chance(0.6):
        terrace = (x1 + canvas.between(0, 4), y1 - 1, x2 - canvas.between(0, 4), y1 + 4)
        canvas.fill(plot, terrace, canvas.pick(CONCRETE), Material.PAVED)
    x, y = canvas.between(x1, x2 - 9), canvas.between(y1 + 1, y2 - 5)
    if canvas.chance(0.2):
        oval(canvas, plot, (x - 1.2, y - 1.2, x + 9.2, y + 6.2), (190, 182, 170), Material.PAVED)
        oval(canvas, plot, (x, y, x + 8, y + 5), canvas.pick(POOL), Material.WATER)
    elif canvas.chance(0.35):
        pitched_roof(canvas, plot, (x, y, x + 4, y + 3), canvas.pick(SHINGLE))
    if canvas.chance(0.5):
        fence = canvas.fill(plot, (0, y1 - 6, 0.5, y2 + 1), canvas.pick(HEDGE), Material.ROOF)
        canvas.cast_shadow(fence, 1.8)


def _garden_trees(canvas: Canvas, plot: Plot, front: float, back: PlotBox) -> None:
    """Add perhaps a street tree, one in front, and some behind, mostly near the fence."""
    if canvas.chance(0.35):
        canvas.plant_tree(plot, canvas.between(8, plot.width - 1), canvas.between(0.8, 1.6))
    if canvas.chance(0.25):
        canvas.plant_tree(plot, canvas.between(8, plot.width - 1), front - canvas.between(1, 3))
    for _ in range(int(canvas.rng.poisson(0.7))):
        y = back[3] - abs(float(canvas.rng.normal(0, (back[3] - back[1]) / 2)))
        canvas.plant_tree(plot, canvas.between(back[0], back[2]), y, 3.4)


def _homes(canvas: Canvas, plot: Plot) -> None:
    """Paint streets with two rows of house lots between them, back to back."""
    rows = max(1, int(plot.depth / 68))  # metres: two lots of 28 and a street
    pitch, street = plot.depth / rows, canvas.between(10, 12)
    canvas.fill(plot, plot.box, canvas.pick(ASPHALT), Material.PAVED)
    for row in range(rows):
        block = plot.cut((0, row * pitch, plot.width, (row + 1) * pitch - street))
        for part in _cross_streets(canvas, block, street):
            canvas.fill(part, part.box, canvas.pick(CONCRETE), Material.PAVED)
            for side in (part, part.turned().turned()):
                _row_of_lots(canvas, side.cut((1.5, 1.5, side.width - 1.5, side.depth / 2)))
        for x in np.arange(0, plot.width, 9.0).tolist():
            if canvas.chance(0.2):
                park_car(canvas, block, x, block.depth + canvas.between(0.3, 0.7), lengthwise=True)


def _cross_streets(canvas: Canvas, block: Plot, street: float) -> list[Plot]:
    """Divide some of the long blocks in two by a cross street."""
    if block.width < 180 or canvas.chance(0.4):
        return [block]
    at = block.width * canvas.between(0.4, 0.6)
    return [
        block.cut((0, 0, at, block.depth)),
        block.cut((at + street, 0, block.width, block.depth)),
    ]


def _row_of_lots(canvas: Canvas, row: Plot) -> None:
    """Fill a row with lots of 16 to 23 m."""
    x = 0.0
    while x < row.width - 12:
        width = min(canvas.between(16, 23), row.width - x)
        lot = row.cut((x, 0, x + max(width, 13), row.depth))
        if canvas.can_show(lot):
            _house_lot(canvas, lot)
        x += width


def _shops(canvas: Canvas, plot: Plot) -> None:
    """Paint large flat roofs behind car parks with rows of small trees."""
    canvas.fill(plot, plot.box, canvas.pick(ASPHALT), Material.PAVED)
    cover_ground(canvas, plot, (0, 0, plot.width, 4), 0.6)
    for x in np.arange(5, plot.width, 11.0).tolist():
        canvas.plant_tree(plot, x, 2)
    x = 6.0
    while x < plot.width - 40:
        wide = min(canvas.between(40, 90), plot.width - x - 6)
        deep = plot.depth * canvas.between(0.3, 0.5)
        roof = (x, plot.depth - deep, x + wide, plot.depth - 5)
        flat_roof(canvas, plot, roof, canvas.between(5, 9))
        x += wide + canvas.between(6, 14)
    _car_park(canvas, plot, (8, 10, plot.width - 8, plot.depth * 0.48))


def _car_park(canvas: Canvas, plot: Plot, box: PlotBox) -> None:
    """Paint rows of parking places 17 m apart, with a tree in every seventh place."""
    x1, y1, x2, y2 = box
    for y in np.arange(y1, y2 - 5, 17.0).tolist():
        busy = canvas.between(0.1, 0.8)
        for place, x in enumerate(np.arange(x1, x2 - 3, 2.8).tolist()):
            if place % 7 == 2:
                canvas.fill(plot, (x, y, x + 2, y + 4.5), canvas.pick(DRY), Material.SOIL)
                canvas.plant_tree(plot, x + 1, y + 2.2, 2.5)
            elif canvas.chance(busy):
                park_car(canvas, plot, x, y + canvas.between(0, 0.5), lengthwise=False)


def _flats(canvas: Canvas, plot: Plot) -> None:
    """Paint blocks of flats on lawns."""
    cover_ground(canvas, plot, plot.box, 0.75)
    for y in np.arange(8, plot.depth - 20, 34.0).tolist():
        for x in np.arange(6, plot.width - 36, 44.0).tolist():
            side, wall = canvas.between(-2, 4), canvas.between(-3, 3)
            box = (x + side, y + wall, x + side + canvas.between(20, 34), y + wall + 12)
            if canvas.chance(0.5):
                flat_roof(canvas, plot, box, 6)
            else:
                pitched_roof(canvas, plot, box, canvas.pick(SHINGLE, 0.1))
            for _ in range(int(canvas.rng.poisson(3.5))):
                canvas.plant_tree(plot, x + canvas.between(-4, 40), y + canvas.between(14, 31), 3.4)
        path = (2, y + 22, plot.width - 2, y + 23.5)
        canvas.fill(plot, path, canvas.pick(CONCRETE), Material.PAVED)


def _park(canvas: Canvas, plot: Plot) -> None:
    """Paint clumps of trees, paths and perhaps a lake on grass."""
    cover_ground(canvas, plot, plot.box, 0.9)
    width, depth = plot.width, plot.depth
    for share in (0.3, 0.7):
        path = canvas.pick(CONCRETE)
        canvas.fill(plot, (width * share, 0, width * share + 3, depth), path, Material.PAVED)
        canvas.fill(plot, (0, depth * share, width, depth * share + 3), path, Material.PAVED)
    if canvas.chance(0.6):
        x, y = canvas.between(0.1, 0.5) * width, canvas.between(0.1, 0.5) * depth
        lake = (x, y, x + width * 0.4, y + depth * 0.3)
        oval(canvas, plot, lake, canvas.pick(LAKE), Material.WATER)
    for _ in range(int(width * depth / 1600)):
        x, y, spread = canvas.between(0, width), canvas.between(0, depth), canvas.between(4, 16)
        for _ in range(int(canvas.rng.integers(1, 12))):
            at = canvas.rng.normal((x, y), spread).tolist()
            canvas.plant_tree(plot, min(max(at[0], 0), width), min(max(at[1], 0), depth), 3.8)


def _wasteland(canvas: Canvas, plot: Plot) -> None:
    """Paint unbuilt land: dry grass, soil, tracks and a few trees."""
    cover_ground(canvas, plot, plot.box, 0.1)
    for _ in range(3):
        y = canvas.between(0, plot.depth - 4)
        canvas.fill(plot, (0, y, plot.width, y + 2.5), canvas.pick(SOIL), Material.SOIL)
    for _ in range(int(plot.width * plot.depth / 500)):
        canvas.plant_tree(plot, canvas.between(0, plot.width), canvas.between(0, plot.depth))


# Kinds of quarters and their shares; about two thirds are detached houses.
QUARTERS: Sequence[tuple[Callable[[Canvas, Plot], None], float]] = (
    (_homes, 0.64),
    (_shops, 0.12),
    (_flats, 0.11),
    (_park, 0.08),
    (_wasteland, 0.05),
)


def draw_town(canvas: Canvas) -> None:
    """Divide the land into quarters along avenues, and paint those that the image can show."""
    frame = canvas.frame
    reach = math.hypot(frame.width, frame.height) / 2 * frame.gsd + 2 * frame.BEND
    kinds, shares = zip(*QUARTERS, strict=True)
    rows, columns = (_avenues(canvas, reach) for _ in range(2))
    for y1, y2 in rows:
        for x1, x2 in columns:
            quarter = Plot(np.array([x1, y1]), np.eye(2), x2 - x1, y2 - y1)
            kind = kinds[int(canvas.rng.choice(len(kinds), p=shares))]
            if canvas.can_show(quarter):
                _avenue_side(canvas, quarter)
                _avenue_side(canvas, quarter.turned())
                inner = quarter.cut((2, 2, quarter.width - 2, quarter.depth - 2))
                kind(canvas, inner.turned() if canvas.chance(0.5) else inner)


def _avenue_side(canvas: Canvas, quarter: Plot) -> None:
    """Paint the pavement of a quarter, and cars and perhaps a row of trees on the avenue by it."""
    width = quarter.width
    canvas.fill(quarter, quarter.box, canvas.pick(CONCRETE), Material.PAVED)
    canvas.fill(quarter, (0, -4.5, width, -3.9), canvas.pick(CONCRETE[1:2]), Material.PAVED)
    for x in np.arange(0, width - 6, 14.0).tolist():
        if canvas.chance(0.3):
            park_car(canvas, quarter, x + canvas.between(0, 8), -2.6, lengthwise=True)
    if canvas.chance(0.25):
        cover_ground(canvas, quarter, (8, -8.5, width - 8, -5.5), 0.6)
        for x in np.arange(12, width - 12, 10.0).tolist():
            canvas.plant_tree(quarter, x + canvas.between(-1, 1), -7, 3.1)


def _avenues(canvas: Canvas, reach: float) -> list[tuple[float, float]]:
    """Place avenues 12 to 24 m wide across [-reach, reach]; return the land between them."""
    land, start = [], -reach - canvas.between(0, 200)
    while start < reach:
        end = start + canvas.between(150, 300)
        land.append((start, end))
        start = end + canvas.between(12, 24)
    return land
