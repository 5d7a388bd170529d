"""Determine whether geodet may use the network, and which paths would use it.

The environment variables ``GEODET_OFFLINE`` and ``GEODET_RESTRICTED`` say so, and processes that
geodet starts inherit them. ``geodet --offline`` and ``--restricted`` set them, and configure GDAL
as well, which the library leaves to the program that imports it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "OFFLINE",
    "RESTRICTED",
    "is_offline",
    "is_remote_path",
    "is_restricted",
    "misspelt_variables",
    "unreported",
]

OFFLINE, RESTRICTED = "GEODET_OFFLINE", "GEODET_RESTRICTED"
"""Names of the environment variables, all that geodet reads under its own name."""

_PREFIX, _LIKENESS = "GEODET_", 0.7  # of a name that is meant to be another

_NO = frozenset({"", "0", "false", "no", "off"})
_REMOTE_SYSTEM = re.compile(r"/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)(_streaming)?[/?]")
_ADDRESS = re.compile(r"(https?|ftp)://", re.IGNORECASE)
_SERVICE = re.compile(
    r"(wms|wmts|wcs|iip|plmosaic|plscenes|eedai?|daas|stacta|stacit|ngw|oapif|ogcapi|wfs|csw"
    r"|carto|amigocloud|es|elasticsearch|postgresql|pg|mysql|mssql|mongodbv3):",
    re.IGNORECASE,
)
_LOCAL_SCHEMES = ("file://", "zip://", "tar://", "gzip://", "vrt://")


def is_offline() -> bool:
    """Whether nothing may be read over the network."""
    return _is_set(OFFLINE) or is_restricted()


def is_restricted() -> bool:
    """Whether, besides, what a file names in other folders may not be read."""
    return _is_set(RESTRICTED)


def misspelt_variables(names: Iterable[str]) -> dict[str, str]:
    """Find environment variables that are probably meant to be others.

    A variable whose name is not near may be one of the user's own.

    Args:
        names: Names of variables.

    Returns:
        The name of the variable that geodet reads, by the misspelt one.

    Example:
        >>> misspelt_variables(["GEODET_OFLINE", "GEODET_OFFLINE", "GEODET_VERSION", "OFLINE"])
        {'GEODET_OFLINE': 'GEODET_OFFLINE'}
    """
    others = [name for name in names if name.upper().startswith(_PREFIX)]
    others = [name for name in others if name not in (OFFLINE, RESTRICTED)]
    if not others:
        return {}
    from difflib import get_close_matches  # which few runs need

    known = [name.removeprefix(_PREFIX) for name in (OFFLINE, RESTRICTED)]
    own = {name: name.upper().removeprefix(_PREFIX) for name in others}
    near = {name: get_close_matches(word, known, 1, _LIKENESS) for name, word in own.items()}
    return {name: f"{_PREFIX}{found[0]}" for name, found in near.items() if found}


def is_remote_path(path: str) -> bool:
    """Whether a path is read over a network; local archives are not.

    Example:
        >>> [is_remote_path(p) for p in ("/vsizip//vsicurl/http://a/b.zip", "zip://b.zip", "a.tif")]
        [True, False, False]
    """
    if _REMOTE_SYSTEM.search(path) or _ADDRESS.search(path) or _SERVICE.match(path):
        return True  # also of an archive in a bucket
    return "://" in path and not path.startswith(_LOCAL_SCHEMES)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() not in _NO


@contextmanager
def unreported(switch: str, value: str) -> Iterator[None]:
    """Keep a package from reporting to its makers, or asking them for its newest version.

    Some do so when they are imported or started, unless an environment variable forbids it. It is
    set for that time alone.

    Args:
        switch: The variable.
        value: What forbids it.
    """
    before = os.environ.get(switch)
    os.environ[switch] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[switch]
        else:
            os.environ[switch] = before
