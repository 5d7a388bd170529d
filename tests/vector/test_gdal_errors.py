import pytest
from pyogrio.errors import DataLayerError, DataSourceError

from geodet.vector.gdal_errors import raising_gdal_errors


@pytest.mark.parametrize("kind", [DataLayerError, DataSourceError])
def test_errors_of_gdal_are_errors_of_files(kind):
    with pytest.raises(OSError, match=r"^\.\.\. x+the end$") as caught, raising_gdal_errors():
        raise kind("x" * 500 + "the end")
    assert len(str(caught.value)) < 170
