"""Labels count where the file of detections was examined."""

import json

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from cli_runner import invoke_fixture  # noqa: F401 - a fixture

import geodet
from geodet.errors import VectorError

X, Y = 500_000.0, 4_500_000.0


def write(path, shapes, about=None, **columns):
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=32633)
    pyogrio.write_dataframe(frame, path, layer_metadata=about)
    return path


def swap(source, path):
    frame = geopandas.read_file(source).to_crs(4326)
    frame.geometry = shapely.transform(frame.geometry.to_numpy(), lambda xy: xy[:, ::-1])
    frame.to_file(path)
    return path


@pytest.fixture
def files(tmp_path):
    """Write 100 labels of a square of 100 m, and the detections of its western half."""
    x, y = (part.ravel() for part in np.mgrid[5:100:10, 5:100:10])
    trees = shapely.box(X + x - 2, Y - y - 2, X + x + 2, Y - y + 2)
    truth = write(tmp_path / "truth.gpkg", trees, label=["tree"] * 100)
    found = trees[x < 50][:40]
    about = {"examined ground": shapely.box(X, Y - 100, X + 50, Y).wkt}
    columns = {"label": ["tree"] * 40, "score": np.linspace(0.5, 1, 40)}
    write(tmp_path / "other.gpkg", found, **columns)
    return write(tmp_path / "half.gpkg", found, about, **columns), truth


@pytest.mark.parametrize("with_scene", [True, False])
def test_labels_where_nothing_was_searched_are_no_misses(
    tmp_path, files, make_scene, caplog, with_scene
):
    scene = make_scene(origin=(X, Y), pixel_size=0.5, width=200, height=160) if with_scene else None
    report = geodet.evaluate(
        detections=files[0], labels=files[1], scene=scene, output=tmp_path / "out"
    )
    scores = report.evaluation.overall.scores
    labelled = 40 if with_scene else 50  # the scene has 80 m
    assert (scores.labelled, scores.detected) == (labelled, scores.matched)
    assert report.labels_not_examined == labelled
    said = f"{labelled} of {2 * labelled} labels lie outside the examined area of {files[0]}"
    assert said in caplog.text
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["labels_not_examined"] == labelled


def test_the_number_of_labels_left_out_is_printed(files, invoke):
    pair = ("--detections", str(files[0]), "--labels", str(files[1]))
    assert json.loads(invoke("evaluate", *pair, "--json").stdout)["labels_not_examined"] == 50


def test_of_a_file_that_does_not_say_where_it_was_examined_all_labels_count(tmp_path, files):
    report = geodet.evaluate(detections=tmp_path / "other.gpkg", labels=files[1])
    assert report.evaluation.overall.scores.labelled == 100
    assert report.labels_not_examined == 0


@pytest.mark.parametrize(
    ("name", "message"), [("half", "none of the labels"), ("other", "no label in .* within 1 km")]
)
def test_labels_elsewhere_are_refused_with_a_guess(tmp_path, files, name, message):
    swapped = swap(files[1], tmp_path / "swapped.gpkg")
    with pytest.raises(VectorError, match=message) as caught:
        geodet.evaluate(detections=tmp_path / f"{name}.gpkg", labels=swapped)
    assert caught.value.hint.endswith("perhaps latitude and longitude are swapped")
