"""Import Lightning's Fabric without its effects on the logging of the process.

The import gives Lightning's logger the level INFO and, where no handler is set up yet, one that
prints on stderr. Both are undone, since the library does not print: the messages of Lightning go to
the handlers of the program.
"""

from __future__ import annotations

import logging

_logger = logging.getLogger("lightning_fabric")
_handlers, _propagate, _level = [*_logger.handlers], _logger.propagate, _logger.level

from lightning_fabric import Fabric  # noqa: E402

_logger.handlers, _logger.propagate = _handlers, _propagate
_logger.setLevel(_level)

__all__ = ["Fabric"]
