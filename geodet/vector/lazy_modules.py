"""pyogrio and geopandas, which are imported when something of them is used first.

They import pandas and take as long as a small scene takes to search. The thread that writes a layer
needs them, while the network computes; the plan and the windows of a detection do not.

Example:
    >>> from geodet.vector.lazy_modules import geopandas
    >>> geopandas.GeoDataFrame.__name__
    'GeoDataFrame'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["geopandas", "pyogrio"]


class _LazyModule:
    """Stands for a module, and imports it when one of its names is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


if TYPE_CHECKING:
    import geopandas
    import pyogrio
else:
    geopandas, pyogrio = _LazyModule("geopandas"), _LazyModule("pyogrio")
