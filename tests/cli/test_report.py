"""What is logged on stderr, by which process."""

import logging

import pytest

from geodet_cli.report import set_up_logging


@pytest.fixture(autouse=True)
def own_logging():
    """Restore the loggers, which other tests read."""
    root, ours = logging.getLogger(), logging.getLogger("geodet")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


@pytest.mark.parametrize("verbose", [0, 2])
@pytest.mark.parametrize(
    ("rank", "speaks"), [(None, True), ("0", True), ("1", False), ("7", False)]
)
def test_of_several_processes_the_first_logs_and_all_log_errors(
    monkeypatch, capsys, rank, speaks, verbose
):
    if rank is None:
        monkeypatch.delenv("RANK", raising=False)
    else:
        monkeypatch.setenv("RANK", rank)
    set_up_logging(verbose=verbose, quiet=False)
    for name in ("geodet.training.train", "elsewhere"):
        for level in ("INFO", "WARNING", "ERROR"):
            logging.getLogger(name).log(getattr(logging, level), "%s: %s", name, level)
    told = capsys.readouterr().err
    for level in ("INFO", "WARNING", "ERROR"):
        assert (f"geodet.training.train: {level}" in told) == (level == "ERROR" or speaks)
        assert (f"elsewhere: {level}" in told) == (level == "ERROR" or (speaks and verbose > 0))
