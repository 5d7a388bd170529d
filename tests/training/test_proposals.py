"""Proposed crops, chip sizes and epochs."""

from pathlib import Path

import numpy as np
import pytest
from factories_tilesets import shared_data, some_trees
from hypothesis import given
from hypothesis import strategies as st

from geodet.config import Config
from geodet.config.recipes import resolve_config
from geodet.tilesets.labels import LabelledImage
from geodet.tilesets.tileset import read_tileset
from geodet.training.proposals import measure_crops, propose_settings


def image(boxes, side=512):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    return LabelledImage(
        path=Path("a.png"),
        width=side,
        height=side,
        boxes=boxes,
        labels=np.zeros(len(boxes), np.int64),
        ignored=np.zeros((0, 4)),
        place="a",
        split="train",
        gsd=None,
    )


def square(x, y, side=8):
    return [x, y, x + side, y + side]


def configured(chip_size=64, share=0.5, **train):
    return Config.model_validate(
        {
            "augment": {"object_share": share, "scale": 0},
            "train": {"chip_size": chip_size, **train},
        }
    )


def proposed(config, images, large=8):
    return {" ".join(one.typed) for one in propose_settings(config, images, large=large)}


def test_the_share_of_random_crops_is_that_of_the_places_that_show_the_object():
    """Of 193 x 193 places of a crop of 64 px in 256 px, 57 x 57 show all of the object."""
    config = configured(64)
    images = [image([square(124, 124)], 256)] * 400
    whole = 57**2 / 193**2
    some = 71**2 / 193**2  # by a pixel at least
    assert whole * 0.8 < measure_crops(config, images, 0.0) < some * 1.2
    assert measure_crops(config, images, 1.0) > 0.98
    share = measure_crops(config, images, 0.0)
    assert measure_crops(config, images, 0.5) == pytest.approx(0.5 + 0.5 * share, abs=0.04)


def test_sparse_objects_get_more_crops():
    images = [image([square(250, 250)])] * 20
    config = configured(epochs=20)
    assert "--set augment.object_share=0.8" in proposed(config, images)
    raised = configured(share=0.8, epochs=20)
    assert not any("object_share" in text for text in proposed(raised, images))


def test_dense_objects_get_none():
    images = [image([square(x, y) for x in range(0, 500, 24) for y in range(0, 500, 24)])] * 20
    for share in (0.0, 0.5, 1.0):
        texts = proposed(configured(share=share, epochs=20), images)
        assert not any("object_share" in text for text in texts)


@given(st.integers(2, 20), st.integers(8, 200), st.integers(2, 16))
def test_a_proposed_chip_holds_large_objects_and_fits_the_images(size, large, image_side):
    chip, side = 32 * size, 64 * image_side
    images = [image([square(2, 2)], side)]
    texts = proposed(configured(chip), images, large=large)
    sizes = [int(text.split()[1]) for text in texts if text.startswith("--chip-size")]
    if 1.25 * large <= chip <= 1.5 * side:
        assert not sizes
    for found in sizes:
        assert found <= side
        assert found >= min(1.25 * large, side // 32 * 32) or found > chip


def test_epochs_make_about_3000_steps():
    images = [image([square(2, 2)], 256)] * 160  # 16 chips of 64 px each: 160 steps of 16
    config = configured(epochs=100, batch_size=16)
    assert "--epochs 20" in proposed(config, images)
    config = configured(epochs=10, batch_size=128)
    assert "--epochs 150" in proposed(config, images)
    config = configured(epochs=100, batch_size=128)
    assert not any("epochs" in text for text in proposed(config, images))
    warm = config.model_copy(
        update={"train": config.train.model_copy(update={"init": "vehicles", "epochs": 2})}
    )
    assert not any("epochs" in text for text in proposed(warm, images))


@pytest.mark.parametrize("name", ["urban-trees", "vehicles", "thermal"])
def test_the_recipes_of_the_bundled_models_suit_their_data(name, tmp_path):
    data = shared_data(name)
    if not data.is_dir():
        pytest.skip(f"no real data at {data}")
    config, times = resolve_config(name), 1
    if name == "urban-trees":  # every sixth image six times, since all of them take 20 s to open
        times = 6
        data, *_ = some_trees(
            tmp_path / "trees", lambda n, row: row["fold"] == "val" or n % times == 0
        )
    images = times * read_tileset(data, config.data).split("train")
    sides = np.concatenate([one.boxes[:, 2:] - one.boxes[:, :2] for one in images]).max(axis=1)
    assert propose_settings(config, images, large=float(np.quantile(sides, 0.99))) == ()
