"""Rectangles at angles are drawn, moved, resized and turned as rectangles."""

import contextlib
import math
import sqlite3

import geopandas
import numpy as np
import pytest
import shapely
from on_page import click_at, drag, settle

from geodet.geometry.oriented_boxes import oriented_corners
from geodet.raster.scene import Scene

ROW = np.array([200.0, 200.0, 60.0, 20.0, math.radians(30)])


@pytest.fixture
def page(open_page, painted, tmp_path):
    rows = np.array([ROW, [100, 100, 50, 10, -0.7], [300, 120, 40, 12, 1.2]])
    with Scene(painted) as scene:
        geobox = scene.geobox
    shapes = shapely.polygons(geobox.to_world(oriented_corners(rows)))
    frame = geopandas.GeoDataFrame({"score": [0.9, 0.8, 0.7]}, geometry=shapes, crs=geobox.crs)
    frame.to_file(tmp_path / "found.gpkg", layer="detections")
    return open_page(reviews="r.gpkg")


def reviewed(page, folder):
    page.wait_for_timeout(300)
    names = "length_px, width_px, angle_px, (x1_px + x2_px) / 2, (y1_px + y2_px) / 2"
    with contextlib.closing(sqlite3.connect(folder / "r.gpkg")) as database:
        (row,) = database.execute(f"SELECT {names} FROM labels").fetchall()
    return row


def test_a_rectangle_is_moved_resized_and_turned_at_its_angle(page, tmp_path):
    settle(page)
    click_at(page, 200, 200)
    page.locator("#card").wait_for()
    settle(page)
    drag(page, (200, 200), (210, 190))
    settle(page)
    assert reviewed(page, tmp_path) == pytest.approx((60, 20, 30, 210, 190), abs=1)
    corner = oriented_corners(ROW[None] + [10, -10, 0, 0, 0])[0, 2]
    along = 10 * np.array([math.cos(ROW[4]), math.sin(ROW[4])])
    drag(page, corner, corner + along)
    settle(page)
    expected = (70, 20, 30, *(np.array([210, 190]) + along / 2))
    assert reviewed(page, tmp_path) == pytest.approx(expected, abs=1)
    page.keyboard.press("t")
    assert reviewed(page, tmp_path)[2] == pytest.approx(35, abs=0.5)
    page.get_by_role("button", name="Turn").click()
    assert reviewed(page, tmp_path)[2] == pytest.approx(40, abs=0.5)
