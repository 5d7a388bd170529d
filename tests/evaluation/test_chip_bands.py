"""The bands of labelled chips that a model reads: found as those of a scene are."""

import logging

import numpy as np
import pytest
import rasterio
from factories_models import architecture, describe, seeded_network, write_coco, write_pixels
from factories_tilesets import NORTH_UP

import geodet.evaluation.calibrate
import geodet.evaluation.evaluated_chips
from geodet.config import Config
from geodet.errors import ModelFileError
from geodet.evaluation.calibrate import calibrate_on_chips
from geodet.evaluation.evaluate import evaluate_model
from geodet.evaluation.int8_samples import read_int8_samples
from geodet.models.model import Model

RGBN = ("red", "green", "blue", "nir")
MIXED = ("nir", "red", "green", "blue")
CLASSES = ("square",)


def model(bands=RGBN):
    count = len(bands)
    figures = {"mean": 90.0, "std": 50.0, "low": 0.0, "high": 255.0}
    per_band = {name: (value,) * count for name, value in figures.items()}
    about = describe(architecture()).model_copy(
        update={"bands": bands, "classes": CLASSES, "score_threshold": 0.0, **per_band}
    )
    return Model(lambda: seeded_network(bands=count), about, "0" * 64)


@pytest.fixture
def make_tiles(tmp_path):
    """Return a function that writes three chips with bands of an order, the same but for that."""

    def make(order, names=None, *, folder="tiles", split="val"):
        pixels = np.random.default_rng(1).integers(0, 255, (3, 4, 48, 48), np.uint8)
        places = [RGBN.index(band) for band in order]
        for number, one in enumerate(pixels):
            path = tmp_path / folder / f"{number}.tif"
            write_pixels(path, one[places], transform=NORTH_UP, crs="EPSG:32610")
            with rasterio.open(path, "r+") as raster:
                for band, name in enumerate(order if names is None else names, start=1):
                    raster.set_band_description(band, name)
        boxes = {f"{number}.tif": [[8, 8, 20, 20]] for number in range(3)}
        write_coco(tmp_path / folder / f"{split}.json", boxes, CLASSES, size=48)
        return tmp_path / folder

    return make


def found(model, tiles, **data):
    report = evaluate_model(model, tiles, config(**data), device="cpu")
    return [one.detections for one in report.evaluation.results]


def config(**data):
    return Config(data=data, detect={"precision": "float32"})


def assert_same(results, expected):
    for one, other in zip(results, expected, strict=True):
        assert len(one) > 0
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.boxes, other.boxes)


@pytest.mark.parametrize("limit", [1, 10**6])  # pixels of an image that is read whole
@pytest.mark.parametrize("wanted", [RGBN, RGBN[:3]])
def test_bands_of_chips_are_found_by_their_names(make_tiles, monkeypatch, said, wanted, limit):
    monkeypatch.setattr(geodet.evaluation.evaluated_chips, "_WHOLE_PIXELS", limit)
    expected = found(model(wanted), make_tiles(wanted, folder="usual"))
    said(logging.INFO)
    assert_same(found(model(wanted), make_tiles(MIXED)), expected)
    numbers = {4: "2, 3, 4, 1", 3: "2, 3, 4"}[len(wanted)]
    assert [line for line in said(logging.INFO) if "using" in line] == [
        f"0.tif: using {', '.join(wanted)} (bands {numbers}) for {', '.join(wanted)}; "
        "choose others with data.bands"
    ]


def test_each_chip_is_read_by_its_own_names(make_tiles):
    expected = found(model(), make_tiles(RGBN, folder="usual"))
    tiles, other = make_tiles(MIXED), make_tiles(RGBN[::-1], folder="other")
    (other / "1.tif").replace(tiles / "1.tif")
    assert_same(found(model(), tiles), expected)


def test_chosen_bands_decide(make_tiles, said):
    expected = found(model(), make_tiles(MIXED, [""] * 4, folder="nameless"))
    assert said() == []
    assert_same(found(model(), make_tiles(MIXED), bands=(1, 2, 3, 4)), expected)
    assert said() == [
        "the bands of 0.tif are not those of tiny: using nir for red, red for green, green for "
        "blue, blue for nir; name the right ones with data.bands"
    ]


def test_names_that_do_not_tell_all_bands_are_warned_of(make_tiles, said):
    tiles = make_tiles(("nir", "red", "green"))
    expected = found(model(RGBN[:3]), tiles, bands=(1, 2, 3))
    before = said()
    assert_same(found(model(RGBN[:3]), tiles), expected)
    assert (
        said()[-1:]
        == before
        == [
            "the bands of 0.tif are not those of tiny: using nir for red, red for green, green for "
            "blue; name the right ones with data.bands"
        ]
    )


def test_chips_without_names_and_with_more_bands_are_refused(make_tiles):
    with pytest.raises(ModelFileError, match=r"0\.tif has 4 bands, and the model needs 3"):
        found(model(RGBN[:3]), make_tiles(RGBN, [""] * 4))


def test_a_model_is_calibrated_on_the_bands_of_its_names(make_tiles, tmp_path, monkeypatch, said):
    def detected(tiles):
        output = tmp_path / "calibrated.safetensors"
        evaluated = calibrate_on_chips(model(), output, tiles, config(), device="cpu")
        return [one.detections for one in evaluated]

    monkeypatch.setattr(
        geodet.evaluation.calibrate, "_calibrate", lambda _model, _output, found, *_, **__: found
    )
    expected = detected(make_tiles(RGBN, folder="usual"))
    assert_same(detected(make_tiles(MIXED)), expected)
    assert any("0.tif: using red, green, blue, nir" in line for line in said(logging.INFO))


def test_eight_bits_are_calibrated_on_the_bands_of_their_names(make_tiles, said):
    def calibrating(tiles):
        return read_int8_samples(model().description, tiles, config()).calibrating

    expected = calibrating(make_tiles(RGBN, folder="usual", split="train"))
    np.testing.assert_array_equal(calibrating(make_tiles(MIXED, split="train")), expected)
    assert any("0.tif: using red, green, blue, nir" in line for line in said(logging.INFO))
