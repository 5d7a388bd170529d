"""Chips that are composed of parts of four crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from factories_models import painted, random_squares
from test_training_chips import PLAIN, STRONG, chips, same_items

ALL = {"mosaic": 1.0}
MOSAIC, VARIED = PLAIN.model_copy(update=ALL), STRONG.model_copy(update=ALL)


@pytest.fixture
def images(tmp_path):
    """Four images with bright squares on dark ground."""
    return [
        painted(tmp_path / f"{i}.png", random_squares(i, count=6, size=96), size=(96, 96))
        for i in range(4)
    ]


def filled(boxes, side=64):
    """Return which pixels boxes cover at all: (side, side)."""
    covered = np.zeros((side, side), bool)
    for x1, y1, x2, y2 in boxes.tolist():
        covered[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = True
    return covered


@pytest.mark.parametrize("oriented", [False, True])
def test_what_is_bright_is_an_object_or_a_region(images, oriented):
    dataset = chips(images, MOSAIC, oriented=oriented)
    for index in range(40):
        pixels, valid, target = dataset[index]
        bright = pixels[0] > 105
        assert (filled(torch.cat([target.boxes, target.ignored])) == bright).all()
        assert valid.all()
        assert (len(target.oriented) if oriented else len(target.labels)) == len(target.boxes)


def test_objects_stay_in_place_however_the_crops_are_varied(images):
    dataset = chips(images, VARIED)
    for index in range(40):
        pixels, _, target = dataset[index]
        assert pixels.shape == (3, 64, 64)
        for x1, y1, x2, y2 in target.boxes.round().int().tolist():
            inside = pixels[0, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
            assert inside.size == 0 or inside.min() > 105


def test_a_box_around_a_point_belongs_to_the_part_with_the_point(tmp_path):
    """One of them reaches over the edge of its image: that is how they are known."""
    image = painted(tmp_path / "a.png", [[39, 39, 41, 41], [0, 0, 2, 2]], size=(64, 64))
    boxes = np.array([[30, 30, 50, 50], [-9, -9, 11, 11]], float)
    dataset = chips([replace(image, boxes=boxes, labels=np.zeros(2, int))], MOSAIC)
    counts = set()
    for index in range(30):
        pixels, _, target = dataset[index]
        sides = target.boxes[:, 2:] - target.boxes[:, :2]
        assert (sides == 20).all()
        centres = ((target.boxes[:, :2] + target.boxes[:, 2:]) / 2).int().tolist()
        assert all(pixels[0, y, x] > 105 for x, y in centres)
        counts.add(len(centres))
    assert max(counts) >= 2


def test_the_parts_come_from_any_image_and_meet_anywhere_in_the_middle(tmp_path):
    images = [painted(tmp_path / f"{i}.png", [[0, 0, 64, 64]]) for i in range(2)]
    dark = [painted(tmp_path / f"dark{i}.png") for i in range(2)]
    dataset = chips([*images, *dark], MOSAIC)
    kinds, seams = set(), set()
    for index in range(200):
        bright = dataset[index][0][0] > 105
        kinds.add((bright[0, 0], bright[0, -1], bright[-1, 0], bright[-1, -1]))
        if bright[0, 0] != bright[0, -1]:
            seams.add(int(np.flatnonzero(np.diff(bright[0]))[0]) + 1)
    assert len(kinds) == 16
    assert 0.3 * 64 - 1 <= min(seams) < max(seams) <= 0.7 * 64
    assert len(seams) > 8


def test_a_share_of_the_chips_is_composed(images):
    half, none = (chips(images, PLAIN.model_copy(update={"mosaic": m})) for m in (0.5, 0.0))
    plain = sum(np.array_equal(half[index][0], none[index][0]) for index in range(200))
    assert 70 < plain < 130


def test_an_item_depends_on_seed_and_index_alone(images):
    first, again = chips(images, VARIED), chips(images, VARIED)
    forwards = [first[index] for index in range(9)]
    for index in reversed(range(9)):
        assert same_items(forwards[index], again[index])
