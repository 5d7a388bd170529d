"""The options ``--offline`` and ``--restricted``: what GDAL, PROJ and geodet may read.

They set environment variables, which must come before GDAL is loaded, and which hold for the
processes that a command starts. What each variable does was tried with a loopback server.
"""

from __future__ import annotations

import os

__all__ = ["restrict_process"]

# No file system and no driver of GDAL asks a server: libcurl goes through a proxy that is not
# there. The other settings say so earlier, and with a better message. They alone would not do: a
# folder in Swift, and that of a Zarr, is asked for whatever the extensions.
_NO_PROXY_THERE = "http://127.0.0.1:9"
_OFFLINE = {
    "GDAL_HTTP_PROXY": _NO_PROXY_THERE,
    "GDAL_HTTPS_PROXY": _NO_PROXY_THERE,
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "PROJ_NETWORK": "OFF",
}
_ASKING_DRIVERS = (
    *("HTTP", "WMS", "WMTS", "WCS", "OGCAPI", "STACIT", "STACTA", "PLMOSAIC", "DAAS", "EEDA"),
    *("EEDAI", "NGW", "WFS", "OAPIF", "CSW", "Carto", "AmigoCloud", "Elasticsearch", "PLSCENES"),
)
_RESTRICTED = {
    "GDAL_VRT_ENABLE_PYTHON": "NO",  # pixel functions
    "GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE": "SIBLING_OR_CHILD_OF_VRT_PATH",  # from GDAL 3.12 on
    "GDAL_MEM_ENABLE_OPEN": "NO",  # a name with an address in memory
    "VRT_ALLOW_MEM_DRIVER": "NO",  # likewise
}
_POINTING_DRIVERS = ("GTI", "OGR_VRT", "GDALG", "ADBC")  # VRT itself is needed, and is checked


def restrict_process(*, offline: bool, restricted: bool) -> None:
    """Keep this process from the network and, if restricted, from files that others name.

    Args:
        offline: Whether nothing may be read over the network.
        restricted: Whether, besides, files may not make geodet read files in other folders.
    """
    if not offline and not restricted:
        return
    from geodet.files.network import OFFLINE, RESTRICTED

    os.environ[OFFLINE] = "1"
    os.environ |= _OFFLINE
    for name in ("no_proxy", "NO_PROXY"):  # hosts that would not be asked through the proxy
        os.environ[name] = ""
    drivers: tuple[str, ...] = _ASKING_DRIVERS
    if restricted:
        os.environ[RESTRICTED] = "1"
        os.environ |= _RESTRICTED
        drivers += _POINTING_DRIVERS
    os.environ["GDAL_SKIP"] = " ".join([os.environ.get("GDAL_SKIP", ""), *drivers]).strip()
