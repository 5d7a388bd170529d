"""Vector files by anybody: which layer is meant, and its CRS."""

from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import shapely
from factories_vectors import SITE, UTM, part, write

from geodet.errors import VectorError
from geodet.vector.arrow_shapes import read_shape_layer
from geodet.vector.formats import path_of
from geodet.vector.vector_files import list_layers, read_extent, read_fields, read_frame
from geodet.vector.vector_summary import summarise_vector

ENDS = [".gpkg", ".geojson", ".fgb", ".parquet", ".geoparquet", ".csv"]


def save(path, crs=4326, layer=None, **columns):
    shapes = shapely.points([[1.0, 2.0], [3.0, 5.0]])
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, **({} if layer is None else {"layer": layer}))
    return path


@pytest.mark.parametrize("end", ENDS)
def test_what_detect_writes_is_read_in_every_format(tmp_path, end):
    source = part(crs=UTM)
    path = write(tmp_path / f"found{end}", source)
    frame = read_frame(path)
    wanted = geopandas.GeoSeries(
        shapely.points(source.geobox.to_world(source.detections.centres)), crs=UTM
    )
    assert frame.crs == (4326 if end == ".geojson" else UTM)
    centres = frame.to_crs(UTM).geometry.centroid
    assert max(wanted.distance(centre).min() for centre in centres) < 1e-3
    assert {"label", "score", "scene"} <= set(read_fields(path))
    crs, extent = read_extent(path)
    assert crs == frame.crs
    np.testing.assert_allclose(extent, frame.total_bounds)
    assert list(read_frame(path, columns=[]).columns) == [frame.geometry.name]


@pytest.mark.parametrize("end", [".gpkg", ".geojson", ".fgb", ".shp", ".kml", ".csv"])
def test_a_path_that_looks_like_an_address_is_that_of_a_file(tmp_path, end):
    for path in (tmp_path / f"a;b{end}", Path(f"/{tmp_path}", f"c{end}")):
        write(path, part(crs=UTM))
        assert len(read_frame(path)) == summarise_vector(path).objects == 3


def test_a_path_that_gdal_takes_for_an_archive_is_refused(tmp_path):
    (tmp_path / "new!").mkdir()
    path = write(tmp_path / "a.gpkg").rename(tmp_path / "new!" / "a.gpkg")
    for read in (read_frame, read_extent, list_layers, read_shape_layer, summarise_vector):
        with pytest.raises(
            VectorError, match=r"^.*new!/a\.gpkg: because of its !, .* the file /a\.gpkg"
        ):
            read(path)


@pytest.mark.parametrize("end", [".gpkg", ".parquet", ".csv"])
def test_a_file_without_a_crs_reads_without_one(tmp_path, end):
    path = write(tmp_path / f"found{end}", part(crs=None))
    assert read_frame(path).crs is None
    assert read_extent(path)[0] is None


def test_the_crs_of_a_table_may_be_written_in_full(tmp_path):
    path = write(tmp_path / "found.csv", part(crs=SITE))
    assert read_frame(path).crs.name == "site"


@pytest.mark.parametrize(
    ("column", "message"),
    [(["EPSG:4326", "EPSG:3857"], "objects in several CRSs"), (["x", "x"], "does not name a CRS")],
)
def test_a_table_with_an_unknown_crs_or_two_is_an_error(tmp_path, column, message):
    rows = [f'"POINT (1 2)",{crs}' for crs in column]
    (tmp_path / "a.csv").write_text("\n".join(["WKT,crs", *rows]) + "\n")
    with pytest.raises(VectorError, match=message):
        read_frame(tmp_path / "a.csv")


def test_one_of_several_layers_can_be_named(tmp_path):
    path = save(tmp_path / "two.gpkg", layer="a")
    save(path, layer="b", crs=3857, kind=["x", "y"])
    with pytest.raises(VectorError, match="has 2 layers with geometries: a, b") as caught:
        read_frame(path)
    assert "two.gpkg|layername=a" in caught.value.hint
    named = f"{path}|layername=b"
    assert (read_frame(named).crs, read_fields(named)) == (3857, ("kind",))
    assert read_extent(named)[1].tolist() == [1, 2, 3, 5]
    assert path_of(named) == path_of(path) == str(path)
    with pytest.raises(VectorError, match=r"cannot read .*c as a vector file"):
        read_frame(f"{path}|layername=c")


@pytest.mark.parametrize("read", [read_frame, read_fields, read_extent])
def test_a_broken_geoparquet_is_an_error(tmp_path, read):
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(VectorError, match=r"cannot read .*a\.parquet as a vector file"):
        read(tmp_path / "a.parquet")


def test_a_parquet_file_without_geometries_is_an_error(tmp_path):
    pandas.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(VectorError, match="Missing geo metadata"):
        read_frame(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("UTF-8", "its text is read as UTF-8"),
        ("ISO-8859-1", "its text is read as ISO-8859-1"),
    ],
)
def test_a_shapefile_without_its_encoding_says_which_is_assumed(
    tmp_path, caplog, encoding, message
):
    """UTF-8 is recognised; other encodings cannot be told apart."""
    path = tmp_path / "objects.shp"
    shapes = shapely.points([[1.0, 2.0], [3.0, 5.0]])
    frame = geopandas.GeoDataFrame({"label": ["Bäume", "car"]}, geometry=shapes, crs=4326)
    frame.to_file(path, encoding=encoding)
    assert list(read_frame(path)["label"]) == ["Bäume", "car"]
    assert not caplog.text
    path.with_suffix(".cpg").unlink()
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    table[29] = 0  # names the encoding, too
    path.with_suffix(".dbf").write_bytes(table)
    assert list(read_frame(path)["label"]) == ["Bäume", "car"]
    assert f"no .cpg file that names its encoding: {message}" in caplog.text
    assert summarise_vector(path).classes == {"Bäume": 1, "car": 1}
    assert read_shape_layer(path).attributes["label"].to_pylist() == ["Bäume", "car"]


def test_a_shapefile_in_ascii_needs_no_encoding(tmp_path, caplog):
    path = save(tmp_path / "objects.shp", label=["tree", "car"])
    path.with_suffix(".cpg").unlink(missing_ok=True)
    assert list(read_frame(path)["label"]) == ["tree", "car"]
    assert not caplog.text
