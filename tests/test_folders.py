import pytest

from geodet.errors import OutputError, TilesetError
from geodet.folders import check_output_folder, replace_folder


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def fill(folder, text="old"):
    folder.mkdir()
    (folder / "a").write_text(text)
    return folder


def test_the_folder_appears_at_the_end(tmp_path):
    with replace_folder(tmp_path / "deep" / "out") as folder:
        (folder / "a").write_text("new")
        assert not (tmp_path / "deep" / "out").exists()
    assert listing(tmp_path / "deep") == ["out"]
    assert (tmp_path / "deep" / "out" / "a").read_text() == "new"


def test_a_new_folder_replaces_the_old_one(tmp_path):
    out = fill(tmp_path / "out")
    with replace_folder(out) as folder:
        (folder / "b").write_text("new")
    assert listing(out) == ["b"]
    assert listing(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, TilesetError, RuntimeError])
def test_a_failure_leaves_everything_as_it_was(tmp_path, error):
    out = fill(tmp_path / "out")

    hint = {"hint": "go"} if error is TilesetError else {}

    def work():
        with replace_folder(out) as folder:
            (folder / "b").write_text("new")
            raise error("stop", **hint)

    with pytest.raises(error, match="stop"):
        work()
    assert listing(tmp_path) == ["out"]
    assert listing(out) == ["a"]


def test_a_failed_swap_brings_the_old_folder_back(tmp_path):
    out = fill(tmp_path / "out")

    def work():
        with replace_folder(out) as folder:
            folder.rmdir()

    with pytest.raises(OutputError, match="cannot write"):
        work()
    assert listing(tmp_path) == ["out"]
    assert listing(out) == ["a"]


def test_what_would_cost_files_is_refused(tmp_path):
    out = fill(tmp_path / "out")
    with pytest.raises(OutputError, match="out is not empty"):
        check_output_folder(out, ["a"], overwrite=False)
    check_output_folder(out, ["a"], overwrite=True)
    with pytest.raises(OutputError, match="holds more than an earlier output: a"):
        check_output_folder(out, ["b"], overwrite=True)
    with pytest.raises(OutputError, match="holds more than an earlier output: a"):
        check_output_folder(out, ["a"], overwrite=True, inputs=[out / "a"])
    with pytest.raises(OutputError, match="is a file"):
        check_output_folder(out / "a", [], overwrite=True)
    check_output_folder(tmp_path / "gone", [], overwrite=False)
