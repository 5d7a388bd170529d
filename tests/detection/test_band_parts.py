"""Parts of a scene's bands in a folder that several processes write to."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from geodet.detection.band_parts import BandPart, BandStore
from geodet.errors import OutputError
from geodet.geometry.boxes import Detections


def a_part(count):
    boxes = np.tile([1.0, 2.0, 3.0, 4.0], (count, 1))
    return BandPart(
        Detections(boxes, np.full(count, 0.5), np.zeros(count)), np.zeros((count, 4), bool)
    )


def test_writers_of_one_part_do_not_meet(tmp_path):
    store = BandStore(tmp_path / "0000" / "000000")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: BandStore(store.folder).write(3, a_part(100)), range(100)))
    part = store.read(3)
    assert part is not None
    assert len(part.detections) == 100
    assert [path.name for path in store.folder.iterdir()] == ["000003.part"]
    assert store.read(2) is None


def test_a_part_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    store = BandStore(tmp_path / "0000")

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OutputError, match="No space left"):
        store.write(0, a_part(1))
    assert list(store.folder.iterdir()) == []
