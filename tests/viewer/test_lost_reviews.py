"""A file of reviews that is replaced or removed while the page is open."""

import shutil

import geopandas
import pytest

from geodet.errors import OutputError
from geodet.viewer.review_desk import ReviewDesk


@pytest.fixture
def desk(shown, tmp_path):
    return ReviewDesk(tmp_path / "r.gpkg", shown.scene, shown.layers["objects"], shown.frame)


def test_an_earlier_copy_in_the_place_of_the_file_is_not_continued(desk, tmp_path):
    path = tmp_path / "r.gpkg"
    desk.act({"do": "judge", "source": 0, "verdict": "accepted"})
    shutil.copy(path, tmp_path / "copy.gpkg")
    desk.act({"do": "judge", "source": 1, "verdict": "accepted"})
    (tmp_path / "copy.gpkg").replace(path)
    with pytest.raises(OutputError, match="another program has changed the reviews"):
        desk.act({"do": "judge", "source": 2, "verdict": "accepted"})
    assert geopandas.read_file(path, layer="labels")["source"].tolist() == [0]


def test_a_file_that_was_removed_is_said_to_be_gone(desk, tmp_path):
    desk.act({"do": "judge", "source": 0, "verdict": "accepted"})
    (tmp_path / "r.gpkg").unlink()
    with pytest.raises(OutputError, match="was moved or deleted") as caught:
        desk.act({"do": "judge", "source": 1, "verdict": "accepted"})
    assert "put it back" in caught.value.hint
