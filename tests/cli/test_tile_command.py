"""The command `geodet tile`: what it takes its labels from."""

from cli_runner import invoke_fixture  # noqa: F401 - a fixture


def test_labels_or_reviews_are_given_but_not_both(make_scene, invoke):
    make_scene("scene.tif")
    for options in ((), ("--labels", "l.gpkg", "--reviews", "r.gpkg")):
        done = invoke("tile", "scene.tif", "-o", "tiles", *options, code=2)
        assert "give --labels or --reviews, but not both" in done.stderr


def test_reviews_that_are_not_there_are_an_error(make_scene, invoke):
    make_scene("scene.tif")
    done = invoke("tile", "scene.tif", "-o", "tiles", "--reviews", "r.gpkg", code=1)
    assert "r.gpkg" in done.stderr
