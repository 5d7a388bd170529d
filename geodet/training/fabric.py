"""Lightning's Fabric, imported without what that does to the logging of the process.

The import gives Lightning's logger the level INFO and, where no handler is set up yet, one that
prints on stderr. Both are undone, since geodet does not print: what Lightning says goes where the
program sends the lines of other libraries.
"""

from __future__ import annotations

import logging

_logger = logging.getLogger("lightning_fabric")
_handlers, _propagate, _level = [*_logger.handlers], _logger.propagate, _logger.level

from lightning_fabric import Fabric  # noqa: E402

_logger.handlers, _logger.propagate = _handlers, _propagate
_logger.setLevel(_level)

__all__ = ["Fabric"]
