"""The public function view."""

import json
from urllib.parse import urlsplit

import geopandas
import pytest
import shapely

import geodet
from geodet.errors import ConfigError
from geodet.viewer.map_server import MapServer


@pytest.fixture
def frame(make_scene):
    return geopandas.GeoDataFrame(
        {"label": ["car"], "score": [0.5]},
        geometry=[shapely.box(500_010, 4_499_980, 500_015, 4_499_985)],
        crs="EPSG:32633",
    )


def test_a_frame_is_shown_until_ctrl_c(make_scene, frame, monkeypatch):
    told = []

    def serve(server):
        told.append(server.requests.answer("about.json").content)
        raise KeyboardInterrupt

    monkeypatch.setattr(MapServer, "serve_forever", serve)
    addresses = []
    geodet.view(make_scene(), frame, opens_browser=False, announce=addresses.append)
    assert json.loads(told[0])["layers"][0]["count"] == 1
    assert urlsplit(addresses[0]).hostname == "127.0.0.1"


def test_reviews_need_a_file(make_scene, frame, tmp_path):
    with pytest.raises(ConfigError, match="detections is a frame"):
        geodet.view(make_scene(), frame, reviews=tmp_path / "r.gpkg")
