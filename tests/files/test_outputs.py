import os
import shutil
from pathlib import Path

import pytest
from factories_files import names

from geodet.errors import OutputError, TilesetError, VectorError
from geodet.files.outputs import (
    check_apart,
    check_destination,
    check_output_folder,
    replace_folder,
    replacing,
)


def test_files_get_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    path = tmp_path / "found.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole", encoding="utf-8")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_nobody_else_can_look_at_what_is_not_complete(tmp_path):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.touch()
        assert temporary.parent.stat().st_mode & 0o777 == 0o700
    (tmp_path / "plain").mkdir()
    with replace_folder(tmp_path / "b") as temporary:
        (temporary / "a.txt").touch()
        assert temporary.parent.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "b").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_old_file_is_there_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "found.TXT"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert (temporary.parent.parent, temporary.suffix) == (tmp_path, ".txt")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["found.TXT"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError("no space"), OutputError),
        (VectorError("broken", hint="mend it"), VectorError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path, error, raised):
    path = tmp_path / "found.gpkg"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            temporary.with_name(f"{temporary.name}-wal").touch()
            raise error

    with pytest.raises(raised, match=r"no space|broken|a bug|^$"):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["found.gpkg"]


@pytest.mark.parametrize(("free", "said"), [(1000, True), (1 << 30, False)])
def test_a_full_disk_is_named_where_the_error_does_not_say_so(tmp_path, monkeypatch, free, said):
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    message = "no transaction is active"
    with pytest.raises(OutputError, match=message) as caught, replacing(tmp_path / "found.gpkg"):
        raise OSError("cannot rollback - no transaction is active")
    assert ("no space is left on its disk" in str(caught.value)) is said


def test_logs_of_sqlite_beside_the_old_file_are_removed(tmp_path):
    path = tmp_path / "found.gpkg"
    for suffix in ("", "-wal", "-shm", "-journal"):
        (tmp_path / f"found.gpkg{suffix}").write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["found.gpkg"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("found.txt", r"cannot tell the format of .*found\.txt"),
        ("gone/found.gpkg", r"no folder .*gone to write found\.gpkg to"),
        ("folder.gpkg", r"folder\.gpkg is a folder"),
        ("there.gpkg", r"there\.gpkg exists already"),
        ("a!b.gpkg", r"cannot write .*a!b\.gpkg: because of its !"),
    ],
)
def test_a_destination_that_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "folder.gpkg").mkdir()
    (tmp_path / "there.gpkg").touch()
    with pytest.raises(OutputError, match=message):
        check_destination(tmp_path / name, (".gpkg",), overwrite=False)


def test_an_existing_file_may_be_replaced_where_asked(tmp_path):
    (tmp_path / "there.GPKG").touch()
    check_destination(tmp_path / "there.GPKG", (".gpkg",), overwrite=True)
    check_destination(tmp_path / "new.gpkg", (".gpkg", ".png"), overwrite=False)
    assert names(tmp_path) == ["there.GPKG"]


@pytest.mark.parametrize("ways", [{"overwrite": True}, {"overwrite": False, "append": True}])
def test_a_link_to_nothing_is_refused_and_one_to_a_file_is_not(tmp_path, ways):
    link = tmp_path / "link.gpkg"
    link.symlink_to("gone.gpkg")
    with pytest.raises(OutputError, match=r"link\.gpkg is a link to gone\.gpkg, .* not") as refused:
        check_destination(link, (".gpkg",), **ways)
    assert "remove the link" in refused.value.hint
    (tmp_path / "gone.gpkg").touch()
    check_destination(link, (".gpkg",), **ways)


@pytest.mark.parametrize("letters", [240, 300])
def test_a_name_that_the_system_does_not_take_is_refused(tmp_path, letters):
    """The files beside an output have longer names."""
    path = tmp_path / f"{'a' * letters}.gpkg"
    with pytest.raises(
        OutputError, match=r"cannot write .*aaa\.gpkg: File name too long"
    ) as refused:
        check_destination(path, (".gpkg",), overwrite=False)
    assert refused.value.hint.startswith("choose a shorter name")


def test_no_output_takes_the_place_of_an_input_or_of_another(tmp_path):
    scene, out = tmp_path / "scene.tif", tmp_path / "out.gpkg"
    scene.touch()
    (tmp_path / "link.gpkg").symlink_to(scene)
    check_apart([out, tmp_path / "map.png"], [scene])
    for name in ("scene.tif", "x/../scene.tif", "link.gpkg"):
        with pytest.raises(OutputError, match=r"scene\.tif is an input and would be overwritten"):
            check_apart([out, tmp_path / name], [scene])
    with pytest.raises(OutputError, match=r"out\.gpkg would be written twice"):
        check_apart([out, tmp_path / "x" / ".." / "out.gpkg"], [])


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


@pytest.mark.parametrize("inner", ["", "inner"])
def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch, inner):
    (tmp_path / "out" / inner).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "out" / inner)
    wanted = r"is the current folder, or holds it"
    for output in (tmp_path / "out", Path("..") if inner else Path()):
        with pytest.raises(OutputError, match=wanted) as caught:
            check_output_folder(output, [], overwrite=True)
        assert str(output / "new") in caught.value.hint
    check_output_folder(Path("new"), [], overwrite=False)


def test_a_mount_point_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "out")
    with pytest.raises(OutputError, match="out is a mount point"):
        check_output_folder(tmp_path / "out", [], overwrite=False)
    check_output_folder(tmp_path / "out" / "new", [], overwrite=False)


def test_replacing_a_folder_with_other_files_is_refused(tmp_path):
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


def test_a_folder_that_is_removed_meanwhile_is_named(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with (
        pytest.raises(OutputError, match=r"cannot write .*log\.csv: .*No such file") as caught,
        replacing(folder / "log.csv"),
    ):
        shutil.rmtree(folder)
    assert caught.value.hint.startswith(f"the folder {folder} does not exist: create it")
