import pytest

from geodet.files.existence import is_there


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "a\0b", "https://host/?" + "0" * 300])
def test_there_is_no_file_of_a_name_that_the_system_refuses(tmp_path, name):
    assert not is_there(tmp_path / name)


def test_files_and_folders_are_there(tmp_path):
    (tmp_path / "a.tif").touch()
    assert is_there(tmp_path)
    assert is_there(str(tmp_path / "a.tif"))
    assert not is_there(tmp_path / "b.tif")
