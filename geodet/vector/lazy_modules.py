"""Packages for tables and vector files, which are imported on first use.

Importing them takes as long as searching a small scene, and 75 MiB. A detection that writes a
GeoPackage needs none of them, so they need not be installed for it.

Example:
    >>> from geodet.vector.lazy_modules import geopandas
    >>> geopandas.GeoDataFrame.__name__
    'GeoDataFrame'
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from geodet.errors import ConfigError

__all__ = ["compute", "geopandas", "ipc", "is_installed", "parquet", "pyarrow", "pyogrio"]


class _LazyModule:
    """Stands for a module, and imports it when one of its names is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        try:
            module = import_module(self._name)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"this needs the package {error.name}, which is not installed",
                hint=f"python -m pip install {error.name}",
            ) from error
        return getattr(module, name)


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it.

    Example:
        >>> is_installed("numpy"), is_installed("no_such_package")
        (True, False)
    """
    return find_spec(package) is not None


if TYPE_CHECKING:
    import geopandas
    import pyarrow
    import pyogrio
    from pyarrow import compute, ipc, parquet
else:
    geopandas, pyarrow, pyogrio = map(_LazyModule, ("geopandas", "pyarrow", "pyogrio"))
    compute, ipc = map(_LazyModule, ("pyarrow.compute", "pyarrow.ipc"))
    parquet = _LazyModule("pyarrow.parquet")
