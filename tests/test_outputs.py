import pytest

from geodet.errors import OutputError, VectorError
from geodet.outputs import check_apart, check_destination, replacing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files_get_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    path = tmp_path / "found.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole", encoding="utf-8")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_old_file_is_there_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "found.TXT"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".txt")
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


def test_what_sqlite_left_beside_the_old_file_goes_with_it(tmp_path):
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
    ],
)
def test_where_nothing_can_be_written(tmp_path, name, message):
    (tmp_path / "folder.gpkg").mkdir()
    (tmp_path / "there.gpkg").touch()
    with pytest.raises(OutputError, match=message):
        check_destination(tmp_path / name, (".gpkg",), overwrite=False)


def test_an_existing_file_may_be_replaced_where_asked(tmp_path):
    (tmp_path / "there.GPKG").touch()
    check_destination(tmp_path / "there.GPKG", (".gpkg",), overwrite=True)
    check_destination(tmp_path / "new.gpkg", (".gpkg", ".png"), overwrite=False)
    assert names(tmp_path) == ["there.GPKG"]


def test_no_output_takes_the_place_of_an_input_or_of_another(tmp_path):
    scene, out = tmp_path / "scene.tif", tmp_path / "out.gpkg"
    scene.touch()
    (tmp_path / "link.gpkg").symlink_to(scene)
    check_apart([out, tmp_path / "map.png"], [scene])
    for name in ("scene.tif", "x/../scene.tif", "link.gpkg"):
        with pytest.raises(OutputError, match=r"scene\.tif is read here and would be written over"):
            check_apart([out, tmp_path / name], [scene])
    with pytest.raises(OutputError, match=r"out\.gpkg would be written twice"):
        check_apart([out, tmp_path / "x" / ".." / "out.gpkg"], [])
