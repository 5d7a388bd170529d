"""Names of files whose paths nobody knows."""

import pytest

import geodet
from geodet.files.shown_names import naming_file, shown_name


def test_files_have_names_within_a_block():
    with naming_file("/tmp/x/a.tif", "the array"), naming_file("/tmp/x/b.gpkg", "the frame"):
        names = [shown_name(f"/tmp/x/{name}") for name in ("a.tif", "b.gpkg", "c.gpkg")]
    assert names == ["the array", "the frame", "/tmp/x/c.gpkg"]
    assert shown_name("/tmp/x/b.gpkg") == "/tmp/x/b.gpkg"


def test_errors_of_a_block_name_the_file():
    path = "/tmp/x/a.tif"
    inner = geodet.SceneError(f"cannot read {path}", hint=f"check {path}")
    error = geodet.SceneError(f"failed: {path}", hint="x", path=path, failed={"a": inner})
    with (
        pytest.raises(geodet.SceneError, match=r"^failed: the array\n"),
        naming_file(path, "the array"),
    ):
        raise error
    assert error.path == "the array"
    assert str(error.failed["a"]) == "cannot read the array"
    assert error.failed["a"].hint == "check the array"
    assert error.failed["a"].__notes__ == ["hint: check the array"]
