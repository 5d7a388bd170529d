import nanoarrow
import numpy as np
import pyarrow as pa
import pytest
import shapely
from factories_vectors import FIELDS, found, layer_of, part

from geodet.boxes import Detections
from geodet.vectors.arrow import to_arrow
from geodet.vectors.rows import to_rows


def rows_of(path, *, count=20, crs="utm", geometry="box", scene="größe.tif"):
    options = {} if crs == "utm" else {"crs": crs}
    source = part(found(count), scene=scene, **options)
    return to_rows(source, layer_of(path, geometry=geometry, **options))


@pytest.mark.parametrize("geometry", ["box", "centroid"])
def test_pyarrow_reads_the_same_values(tmp_path, geometry):
    """Another library's reading of the memory is the oracle."""
    rows = rows_of(tmp_path / "a", geometry=geometry)
    batch = pa.record_batch(to_arrow(rows, "shape"))
    batch.validate(full=True)
    assert batch.schema.names == [*FIELDS, "shape"]
    assert [column.to_pylist() for column in batch.columns[:-1]] == rows.columns
    shapes = shapely.from_wkb(batch["shape"].to_pylist())
    expected = rows.coordinates
    if geometry == "box":
        expected = np.concatenate([expected, expected[:, :1]], axis=1)
    np.testing.assert_array_equal(shapely.get_coordinates(shapes), expected.reshape(-1, 2))


def test_areas_that_nobody_knows_are_null(tmp_path):
    rows = rows_of(tmp_path / "a", count=11, crs=None)
    rows.fields["area_m2"][[0, 9]] = 5.0, 7.0
    areas = pa.record_batch(to_arrow(rows, "geom"))["area_m2"]
    assert areas.to_pylist() == [5.0, *[None] * 8, 7.0, None]
    assert areas.null_count == 9


def test_no_rows_are_a_batch(tmp_path):
    rows = to_rows(part(Detections.empty()), layer_of(tmp_path / "a"))
    batch = pa.record_batch(to_arrow(rows, "geom"))
    batch.validate(full=True)
    assert (batch.num_rows, batch.num_columns) == (0, len(FIELDS) + 1)


def test_the_memory_outlives_the_rows(tmp_path):
    expected = rows_of(tmp_path / "a").columns
    stream = nanoarrow.c_array_stream(to_arrow(rows_of(tmp_path / "a"), "geom"))
    table = pa.table(stream)
    assert [column.to_pylist() for column in table.columns[:-1]] == expected
