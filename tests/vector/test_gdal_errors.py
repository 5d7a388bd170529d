"""What remains of the messages of GDAL."""

import re

import pyogrio
import pytest

from geodet.vector.gdal_errors import raising_gdal_errors

STATEMENT = "INSERT INTO gpkg_contents (table_name) VALUES ('counts', strftime('%s','now'))"


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (f"feature 0: sqlite3_exec({STATEMENT}) failed: disk is full", "disk is full"),
        ("Failed to commit transaction", "Failed to commit transaction"),
        ("x" * 200, f"... {'x' * 160}"),
    ],
)
def test_the_cause_remains_and_not_the_statement(message, cause):
    with pytest.raises(OSError, match=re.escape(cause)) as raised, raising_gdal_errors():
        raise pyogrio.errors.DataSourceError(message)
    assert str(raised.value) == cause
