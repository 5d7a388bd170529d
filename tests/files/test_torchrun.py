"""What torchrun says to a process."""

import pytest

from geodet.files.torchrun import count_processes, is_first_process


@pytest.mark.parametrize(
    ("environment", "is_first", "count"),
    [
        ({}, True, 1),
        ({"RANK": "0", "WORLD_SIZE": "4"}, True, 4),
        ({"RANK": "3", "WORLD_SIZE": "4"}, False, 4),
    ],
)
def test_a_process_knows_its_place(monkeypatch, environment, is_first, count):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (is_first_process(), count_processes()) == (is_first, count)
