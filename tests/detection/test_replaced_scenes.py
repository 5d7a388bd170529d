"""Scenes that are repaired, or come again, and are detected in once more, to the same file."""

import pytest
import rasterio
import shapely

import geodet
from geodet.vector.provenance import LEFT_OUT, read_examined_ground, read_provenance
from geodet.vector.vector_summary import summarise_vector

SMALL = {"device": "cpu", "chip_size": 64, "overlap": 16}
FAR = (700_000, 4_500_000)


def bounds(path):
    with rasterio.open(path) as scene:
        return shapely.box(*scene.bounds)


def is_examined(output, *parts, to=1):
    """Whether the examined ground is what is expected, to some square metres."""
    return read_examined_ground(output).symmetric_difference(shapely.union_all(parts)).area < to


def test_a_repaired_scene_that_is_added_is_not_left_out_any_more(make_scene, tiny_model, tmp_path):
    west, east = make_scene("west.tif"), make_scene("east.tif", tiled=True, origin=FAR)
    whole, output = east.read_bytes(), tmp_path / "county.gpkg"
    east.write_bytes(whole[:-9000])
    with pytest.raises(geodet.SceneError, match="1 of 2 scenes could not be read"):
        geodet.detect([west, east], tiny_model, output=output, **SMALL)
    assert read_provenance(output)[LEFT_OUT].startswith("east.tif: cannot read window")
    east.write_bytes(whole)
    geodet.detect(east, tiny_model, output=output, append=True, **SMALL)
    assert LEFT_OUT not in summarise_vector(output).made_by
    assert is_examined(output, bounds(west), bounds(east))


def test_what_a_replaced_scene_does_not_show_any_more_is_not_examined(
    make_scene, tiny_model, tmp_path
):
    size = {"width": 320, "height": 320}
    near, far = make_scene("near.tif", **size), make_scene("far.tif", origin=FAR)
    output = tmp_path / "county.gpkg"
    geodet.detect([near, far], tiny_model, output=output, **SMALL)
    assert is_examined(output, bounds(near), bounds(far))
    make_scene("near.tif", nodata=0, holes=[(160, 0, 320, 320)], **size)
    geodet.detect(near, tiny_model, output=output, append=True, replace_scenes=True, **SMALL)
    x1, y1, x2, y2 = bounds(near).bounds
    half = shapely.box(x1, y1, (x1 + x2) / 2, y2)  # to about a cell of 16 pixels
    assert is_examined(output, half, bounds(far), to=20 * 0.6 * (y2 - y1))
    assert list(read_provenance(output)).count("examined ground") == 1
