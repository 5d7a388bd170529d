import subprocess
import sys

import geopandas
import pyogrio
import pytest

from geodet.vector import lazy_modules


def test_the_names_are_those_of_the_modules():
    assert lazy_modules.geopandas.GeoDataFrame is geopandas.GeoDataFrame
    assert lazy_modules.pyogrio.errors.DataSourceError is pyogrio.errors.DataSourceError
    with pytest.raises(AttributeError, match="no attribute 'GeoFrame'"):
        lazy_modules.geopandas.GeoFrame  # noqa: B018


@pytest.mark.parametrize("module", ["geodet.detection.detect", "geodet.jobs.pooled_run"])
def test_a_detection_is_planned_without_them(module):
    program = (
        f"import sys, {module}; print({{'pandas', 'geopandas', 'pyogrio'}} & {{*sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()"
