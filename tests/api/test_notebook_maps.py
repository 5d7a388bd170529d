"""What `geodet.detect` returns is shown by the maps of notebooks."""

import pytest

import geodet


@pytest.fixture
def trees(make_scene, make_model):
    found = geodet.detect(make_scene(), model=make_model(), device="cpu")
    assert len(found) > 3
    return found


def test_explore_shows_each_object_with_its_attributes(trees):
    pytest.importorskip("folium")
    pytest.importorskip("mapclassify")
    page = trees.explore(column="score", tiles=None).get_root().render()
    assert all(page.count(f'"id": "{key}"') == 1 for key in trees["id"])
    assert '"score"' in page


@pytest.mark.filterwarnings("ignore")  # of the widgets, which have no browser here
def test_lonboard_takes_the_table(trees):
    lonboard = pytest.importorskip("lonboard")
    (layer,) = lonboard.viz(trees).layers
    assert layer.table.num_rows == len(trees)
