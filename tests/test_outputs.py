from geodet.outputs import replacing


def test_files_get_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    path = tmp_path / "found.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole", encoding="utf-8")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
