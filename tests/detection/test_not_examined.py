"""Areas that cannot be read: skipped and written, or a stop after which the run goes on."""

import csv
import io
import json
import shutil
from base64 import b64decode

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from factories_rasters import break_block
from PIL import Image
from pretended_predictor import SMALL
from readings_html import addresses_of, read_page

from geodet.config.reading_config import ReadingConfig
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.detect_report import record_path
from geodet.detection.journal import journal_folder
from geodet.errors import OutputError, SceneError
from geodet.geometry.windows import Window
from geodet.previews.preview import draw_scene
from geodet.previews.views import read_view
from geodet.raster.scene import Scene
from geodet.vector.not_examined import not_examined_path
from geodet.vector.provenance import EXAMINED
from geodet.vector.read_detections import read_detections
from geodet.vector.vector_files import read_frame
from geodet.vector.vector_summary import summarise_vector

PAINT = {"width": 300, "height": 260, "tiled": True, "blockxsize": 32, "blockysize": 32}
AREA = Window(96, 160, 32, 32)  # the block that is damaged
SKIP = SMALL.model_copy(update={"on_error": "skip"})


pytestmark = pytest.mark.usefixtures("bands_of_one_row")


@pytest.fixture
def damaged(make_scene):
    """Write a scene with a damaged block, and a copy that is intact."""
    path = make_scene(compress="deflate", interleave="pixel", **PAINT)
    shutil.copy(path, path.with_name("intact.tif"))
    break_block(path, 3, 5)
    return path


def run(scenes, output, model, config=SKIP, **options):
    options = DetectOptions(device="cpu", **options)
    return detect_to_files(scenes, [output], model, config, options)


def noting(windows, read=Scene.read):
    """Return a method that notes the windows that are read; samples of the values are smaller."""
    return lambda self, window: windows.append(window) or read(self, window)


def place_of(path, area=AREA):
    with Scene(path) as scene:
        box = [[area.col_off, area.row_off, area.col_end, area.row_end]]
        return shapely.Polygon(scene.geobox.corners(np.array(box, float))[0])


def test_a_block_that_cannot_be_read_becomes_a_polygon_with_the_reason(
    damaged, tiny_model, tmp_path
):
    output = tmp_path / "out.gpkg"
    report = run([damaged], output, tiny_model)
    left = geopandas.read_file(output, layer="not_examined")
    assert left.crs == geopandas.read_file(output, layer="detections").crs
    assert left.scene.tolist() == ["scene.tif"]
    assert left.geometry[0].equals(place_of(damaged))
    assert "IReadBlock failed" in left.reason[0]
    assert left[["x1_px", "y1_px", "x2_px", "y2_px"]].to_numpy().tolist() == [[96, 160, 128, 192]]
    assert report.not_examined == report.scenes[0].not_examined == 1
    assert report.scenes[0].status == "ok"
    assert json.loads(json.dumps(report.to_json()))["scenes"][0]["not_examined"] == 1
    assert not not_examined_path(output).exists()
    metadata = pyogrio.read_info(output, layer="detections")["layer_metadata"]
    examined = shapely.from_wkt(metadata[EXAMINED])
    whole = place_of(damaged, Window(0, 0, 300, 260))
    assert examined.area == pytest.approx(whole.area - place_of(damaged).area)
    assert examined.intersection(place_of(damaged)).area == pytest.approx(0, abs=1e-3)


def test_the_report_of_a_damaged_scene_shows_the_rest_of_it(damaged, tiny_model, tmp_path):
    page = tmp_path / "report.html"
    report = run([damaged], tmp_path / "out.gpkg", tiny_model, report=page)
    assert report.not_examined == 1
    (picture, *_) = (one for one in addresses_of(read_page(page)) if one.startswith("data:image"))
    pixels = np.asarray(Image.open(io.BytesIO(b64decode(picture.partition(",")[2]))))
    assert pixels[:80].std() > 10


def test_the_objects_away_from_the_damage_are_those_of_the_intact_scene(
    damaged, tiny_model, tmp_path
):
    found = []
    for name in ("scene.tif", "intact.tif"):
        run([damaged.with_name(name)], tmp_path / f"{name}.gpkg", tiny_model)
        rows = read_frame(tmp_path / f"{name}.gpkg")
        away = rows.geometry.distance(place_of(damaged)) > 64 * 0.6
        found.append(rows[away].drop(columns="scene").reset_index(drop=True))
    assert len(found[0]) > 50
    assert found[0].equals(found[1])
    assert (
        pyogrio.list_layers(tmp_path / "intact.tif.gpkg")[:, 0].tolist().count("not_examined") == 0
    )


@pytest.mark.parametrize("name", ["out.geojson", "out.csv", "out.parquet"])
def test_other_formats_have_the_polygons_in_a_file_beside_them(damaged, tiny_model, tmp_path, name):
    output = tmp_path / name
    run([damaged], output, tiny_model)
    left = geopandas.read_file(not_examined_path(output))
    expected = geopandas.GeoSeries([place_of(damaged)], crs=32633).to_crs(4326)
    assert left.geometry[0].hausdorff_distance(expected[0]) < 1e-8
    assert "IReadBlock failed" in left.reason[0]
    run([damaged.with_name("intact.tif")], output, tiny_model, overwrite=True)
    assert not not_examined_path(output).exists()


def test_rows_that_are_appended_have_them_beside_the_file(damaged, tiny_model, tmp_path):
    output = tmp_path / "out.gpkg"
    run([damaged.with_name("intact.tif")], output, tiny_model)
    run([damaged], output, tiny_model, append=True)
    assert len(geopandas.read_file(not_examined_path(output))) == 1


def test_rows_that_are_appended_leave_the_areas_of_other_scenes(damaged, tiny_model, tmp_path):
    """Those of a scene that is searched again are anew, in the layer as well."""
    output, intact = tmp_path / "out.gpkg", damaged.with_name("intact.tif")
    other = damaged.with_name("other.tif")
    other.write_bytes(damaged.read_bytes())
    layer = f"{output}|layername=not_examined"
    run([damaged], output, tiny_model)
    run([other], output, tiny_model, append=True)
    run([intact], output, tiny_model, append=True)
    assert geopandas.read_file(not_examined_path(output)).scene.tolist() == ["other.tif"]
    assert summarise_vector(output).not_examined == 2
    for scene in (damaged, other):
        scene.write_bytes(intact.read_bytes())
        run([scene], output, tiny_model, append=True, replace_scenes=True)
    assert not not_examined_path(output).exists()
    assert len(read_frame(layer)) == 0


def test_the_layer_does_not_hide_the_detections_from_readers(damaged, tiny_model, tmp_path):
    output = tmp_path / "out.gpkg"
    report = run([damaged], output, tiny_model)
    assert len(read_frame(output)) == report.detections["scene.tif"]
    assert len(read_frame(f"{output}|layername=not_examined")) == 1
    assert len(read_detections(output, ["tree"])) == report.detections["scene.tif"]


@pytest.mark.parametrize("part", [None, Window(90, 150, 60, 60)])
def test_pictures_leave_the_area_blank(damaged, tiny_model, tmp_path, caplog, part):
    output, picture = tmp_path / "out.gpkg", tmp_path / "out.png"
    report = run([damaged], output, tiny_model, preview=picture)
    with pytest.raises(SceneError, match="cannot read") as caught:
        draw_scene(damaged, output, picture, window=part, overwrite=True)
    assert "--on-error skip" in caught.value.hint
    drawn = draw_scene(damaged, output, picture, window=part, on_error="skip", overwrite=True)
    assert part or drawn.labels == {"tree": report.detections["scene.tif"]}
    assert "cannot be read are left blank: 1" in caplog.text
    with Scene(damaged, limits=ReadingConfig(on_error="skip")) as scene:
        view = read_view(scene, part, 2048)
    off = (0, 0) if part is None else (part.col_off, part.row_off)
    blank = np.argwhere(~view.chip.valid)[:, ::-1] + off
    assert (blank.min(axis=0).tolist(), blank.max(axis=0).tolist()) == ([96, 160], [127, 191])
    assert len(blank) == 32 * 32


def test_an_area_of_interest_leaves_out_damage_outside_of_it(damaged, tiny_model, tmp_path):
    with Scene(damaged) as scene:
        corners = scene.geobox.to_world(np.array([[0.0, 0.0], [300.0, 100.0], [300.0, 260.0]]))
    (left, top), (right, middle), (_, bottom) = corners.tolist()
    above = run([damaged], tmp_path / "a.gpkg", tiny_model, bounds=(left, middle, right, top))
    below = run([damaged], tmp_path / "b.gpkg", tiny_model, bounds=(left, bottom, right, middle))
    assert (above.not_examined, below.not_examined) == (0, 1)


def test_of_several_scenes_each_has_its_own_areas(damaged, make_scene, tiny_model, tmp_path):
    other = make_scene(
        "b.tif", seed=1, origin=(500_900.0, 4_500_000.0), compress="deflate", **PAINT
    )
    break_block(other, 0, 0)
    break_block(other, 1, 0)
    output = tmp_path / "out.gpkg"
    report = run([damaged, other], output, tiny_model)
    assert [one.not_examined for one in report.scenes] == [1, 2]
    assert report.not_examined == 3
    left = geopandas.read_file(output, layer="not_examined")
    assert left.scene.tolist() == ["scene.tif", "b.tif", "b.tif"]
    with record_path(output).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["not_examined"] for row in rows] == ["1", "2"]
    assert [row["status"] for row in rows] == ["ok", "ok"]


def test_what_was_skipped_before_an_interruption_is_written_after_it(
    damaged, tiny_model, tmp_path, monkeypatch
):
    output = tmp_path / "out.gpkg"

    def interrupt(step):
        if step.share == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect_to_files(
            [damaged], [output], tiny_model, SKIP, DetectOptions(device="cpu"), progress=interrupt
        )
    parts = len(list(journal_folder(output).rglob("*.part")))
    assert parts > 3
    monkeypatch.setattr(Scene, "read", noting(read := []))
    report = run([damaged], output, tiny_model)
    assert not [window for window in read if window.width == 64]  # all is in the journal
    assert report.not_examined == 1
    assert len(geopandas.read_file(output, layer="not_examined")) == 1


@pytest.mark.parametrize("way", ["mended", "skipped"])
def test_by_default_the_run_stops_and_the_same_command_goes_on(
    damaged, tiny_model, tmp_path, caplog, monkeypatch, way
):
    output, whole = tmp_path / "out.gpkg", tmp_path / "whole.gpkg"
    with pytest.raises(SceneError, match="cannot read window") as caught:
        run([damaged], output, tiny_model, SMALL)
    assert "--on-error skip" in caught.value.hint
    assert not output.exists()
    assert list(journal_folder(output).rglob("*.part"))
    if way == "mended":
        shutil.copy(damaged.with_name("intact.tif"), damaged)
    with monkeypatch.context() as patching:
        patching.setattr(Scene, "read", noting(read := []))
        run([damaged], output, tiny_model, SMALL if way == "mended" else SKIP)
    rows = {window.row_off for window in read if window.width == 64}
    assert 0 < min(rows) < 160  # the first bands come from the journal
    assert ("has changed since" in caplog.text) == (way == "mended")
    run([damaged], whole, tiny_model, SKIP)
    assert read_frame(output).equals(read_frame(whole))


def test_a_scene_that_was_readable_may_not_change_before_a_run_goes_on(
    damaged, make_scene, tiny_model, tmp_path
):
    other = make_scene("a.tif", seed=1, origin=(500_900.0, 4_500_000.0), **PAINT)
    output = tmp_path / "out.gpkg"

    def interrupt(step):
        if step.number == 2 and step.share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect_to_files(
            [other, damaged.with_name("intact.tif")],
            [output],
            tiny_model,
            SMALL,
            DetectOptions(device="cpu"),
            progress=interrupt,
        )
    break_block(other, 0, 0)
    with pytest.raises(OutputError, match=r"scene 1 (was|has changed)"):
        run([other, damaged.with_name("intact.tif")], output, tiny_model, SMALL)
