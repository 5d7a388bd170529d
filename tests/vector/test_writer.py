import sqlite3

import pytest
from factories_vectors import found, layer_of, part

from geodet.errors import OutputError
from geodet.files.pending import PendingFile
from geodet.vector import writer
from geodet.vector.rows import FileLayer
from geodet.vector.writer import RowWriter, raising_os_errors


class Recorder(RowWriter):
    """Remembers how many rows come at once."""

    def __init__(self, folder, error=None):
        super().__init__(
            PendingFile(folder / "a.gpkg"), FileLayer.of(layer_of(), folder / "a.gpkg")
        )
        self._temporary.touch()
        self.calls, self.error = [], error

    def _close(self):
        self.calls.append("close")

    def _add_rows(self, rows):
        if self.error:
            raise self.error
        self.calls.append(len(rows))

    def _complete(self):
        self.calls.append("complete")


def test_small_parts_are_gathered_and_large_ones_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "ROWS_AT_ONCE", 10)
    with Recorder(tmp_path) as recorder:
        for count in (4, 5, 0, 3, 25, 0):
            recorder.write(part(found(count)))
    assert recorder.calls == [12, 10, 10, 5, "complete", "close"]


def test_an_output_without_detections_is_completed(tmp_path):
    with Recorder(tmp_path) as recorder:
        recorder.write(part(found(0)))
    assert recorder.calls == ["complete", "close"]


def test_a_failure_to_write_names_the_output(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "ROWS_AT_ONCE", 1)
    with (
        pytest.raises(OutputError, match=r"cannot write .*a\.gpkg: no space") as caught,
        Recorder(tmp_path, OSError("no space")) as recorder,
    ):
        recorder.write(part())
    assert "free space" in caught.value.hint


def test_errors_of_sqlite_are_errors_of_files():
    with pytest.raises(OSError, match=r"^disk is full$"), raising_os_errors():
        raise sqlite3.OperationalError("disk is full")
