import numpy as np
import pytest
from factories_models import labelled, painted, write_pixels

from geodet.errors import TilesetError
from geodet.tilesets.displayed_images import read_chip
from geodet.training import band_statistics
from geodet.training.band_statistics import measure_bands


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_statistics_equal_numpys(tmp_path, dtype):
    random = np.random.default_rng(0)
    images, parts = [], []
    for index in range(4):
        values = (random.integers(1, 200, (2, 50, 60)) * [[[1]], [[0.5]]] * 3).astype(dtype)
        write_pixels(tmp_path / f"{index}.tif", values)
        images.append(labelled(tmp_path / f"{index}.tif"))
        parts.append(values.reshape(2, -1).astype(float))
    every = np.concatenate(parts, axis=1)
    about = measure_bands(images, ())
    np.testing.assert_allclose(about.mean, every.mean(axis=1))
    np.testing.assert_allclose(about.std, every.std(axis=1))
    np.testing.assert_allclose([about.low, about.high], np.quantile(every, [0.001, 0.999], axis=1))
    assert measure_bands(images, (2,)).mean == about.mean[1:]


def test_statistics_leave_out_what_has_no_data(tmp_path):
    values = np.full((1, 64, 64), 50, np.float32)
    values[0, :32] = -9999
    values[0, 40, 40] = np.nan
    write_pixels(tmp_path / "a.tif", values, nodata=-9999)
    about = measure_bands([labelled(tmp_path / "a.tif")], ())
    assert (about.mean, about.low, about.high) == ([50], [50], [50])
    assert 0 < about.std[0] < 1e-3  # of a constant band: small, but a divisor


@pytest.mark.parametrize(
    ("count", "least", "most"), [(1, 1, 1), (499, 499, 499), (576, 500, 1000), (4321, 500, 1000)]
)
def test_statistics_of_many_images_take_a_sample(tmp_path, monkeypatch, count, least, most):
    chip = read_chip(painted(tmp_path / "a.png", size=(8, 8)), ())
    read = []
    monkeypatch.setattr(band_statistics, "read_chip", lambda image, _: read.append(image) or chip)
    measure_bands(range(count), ())
    assert least <= len(read) <= most
    assert read[0] == 0
    assert read[-1] >= 0.9 * (count - 1)


def test_images_without_any_data_have_no_statistics(tmp_path):
    write_pixels(tmp_path / "a.tif", np.zeros((1, 8, 8), np.uint8), nodata=0)
    with pytest.raises(TilesetError, match=r"no pixel of the training images has data.*a\.tif"):
        measure_bands([labelled(tmp_path / "a.tif")], ())


def test_images_of_several_types_are_warned_of_once(tmp_path, caplog):
    images = []
    for index, dtype in enumerate(["uint8", "uint16", "uint8", "uint16"]):
        write_pixels(tmp_path / f"{index}.tif", np.full((1, 8, 8), 50, dtype))
        images.append(labelled(tmp_path / f"{index}.tif"))
    measure_bands(images[::2], ())
    assert caplog.text == ""
    measure_bands(images, ())
    (record,) = caplog.records
    types = rf"uint8, such as {tmp_path / '0.tif'}, others uint16, such as {tmp_path / '1.tif'}"
    assert types in record.getMessage()
    assert "convert the images to one type" in record.getMessage()
