"""Tables of attributes in vector files."""

import numpy as np
import pandas as pd
import pytest
import shapely
from full_disk import largest_file
from pyproj import CRS

from geodet.errors import OutputError
from geodet.vector.attribute_tables import write_polygon_table


@pytest.mark.parametrize("suffix", [".fgb", ".geojson", ".gpkg"])
@pytest.mark.parametrize("missing", [2, 100, 1000])
def test_a_full_disk_is_noticed_and_keeps_the_old_file(tmp_path, suffix, missing):
    """GDAL reports no error where only the last buffer of a file is lost."""
    path, corner = tmp_path / f"counts{suffix}", np.arange(200.0)
    squares = shapely.box(corner, corner, corner + 1, corner + 1)
    table = pd.DataFrame({"objects": np.arange(200), "name": "a field"})
    written = path, "counts", table, squares, CRS.from_epsg(32633), table[:1]
    write_polygon_table(*written)
    before = path.read_bytes()
    with (
        largest_file(len(before) - missing),
        pytest.raises(OutputError, match=r"cannot write .*counts"),
    ):
        write_polygon_table(*written)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
