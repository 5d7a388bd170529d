"""``WarningLog`` keeps warnings, and takes them from nobody else."""

import logging
import logging.handlers
from contextlib import ExitStack

import pytest

from geodet.files.warning_log import WarningLog

logger = logging.getLogger("geodet.raster")


def show(capsys, logs, handler=None, name=""):
    """Return what stderr shows of a warning, in a script with no handler but this one."""
    ours, logging.root.handlers = logging.root.handlers, []  # pytest has some
    if handler is not None:
        logging.getLogger(name).addHandler(handler)
    try:
        with ExitStack() as stack:
            for log in logs:
                stack.enter_context(log)
            logger.warning("%s has no CRS", "a.tif")
            logger.info("read")
    finally:
        if handler is not None:
            logging.getLogger(name).removeHandler(handler)
        logging.root.handlers = ours
    return capsys.readouterr().err


def test_warnings_are_shown_once_where_logging_is_not_set_up(capsys):
    logs = [WarningLog(), WarningLog()]
    assert show(capsys, logs[:1]) == "a.tif has no CRS\n"
    assert show(capsys, logs) == "a.tif has no CRS\n"
    assert [log.texts for log in logs] == [["a.tif has no CRS"]] * 2


@pytest.mark.parametrize("name", ["", "geodet", "geodet.raster"])
def test_a_handler_of_the_program_alone_shows_warnings(name, capsys):
    handler = logging.handlers.BufferingHandler(9)
    assert not show(capsys, [WarningLog()], handler, name)
    assert "a.tif has no CRS" in [record.getMessage() for record in handler.buffer]


def test_nothing_is_shown_where_python_has_no_last_resort(monkeypatch, capsys):
    monkeypatch.setattr(logging, "lastResort", None)
    log = WarningLog()
    assert not show(capsys, [log])
    assert log.texts == ["a.tif has no CRS"]
