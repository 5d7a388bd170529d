"""The CRS of labels and detections, and whether they have to be transformed to that of a scene."""

from __future__ import annotations

import logging
from pathlib import Path

from pyproj import CRS
from pyproj.exceptions import CRSError

from geodet.errors import VectorError
from geodet.files.shown_names import shown_name
from geodet.geometry.geobox import find_transformer

__all__ = ["choose_crs", "must_transform"]

logger = logging.getLogger(__name__)


def choose_crs(found: CRS | None, own_crs: str | None, path: Path) -> CRS | None:
    """Return the CRS of labels: ``own_crs`` where the file has none or is a table.

    Args:
        found: The CRS of the file, None if it has none.
        own_crs: The CRS that the user gave, None if none.
        path: The file.

    Raises:
        VectorError: ``own_crs`` is no CRS, or the file has another one.
    """
    if own_crs is None:
        return found
    try:
        said = CRS.from_user_input(own_crs)
    except CRSError as error:
        raise VectorError(
            f"{own_crs!r} is not a CRS: {error}",
            hint="give a code, such as EPSG:4326, or WKT",
            path=path,
        ) from error
    is_table = path.suffix.lower() in {".csv", ".tsv"}
    if found is not None and not is_table and not found.equals(said, ignore_axis_order=True):
        raise VectorError(
            f"{path} has the CRS {found.name}, not {said.name}",
            hint="leave labels_crs (--crs) out; a wrong CRS in the file is corrected with ogr2ogr "
            "-a_srs",
            path=path,
        )
    return said


def must_transform(found: CRS | None, crs: CRS | None, path: Path) -> bool:
    """Return whether objects have to be transformed; warn where a CRS is assumed.

    Args:
        found: The CRS of the objects, None if their file has none.
        crs: CRS of the scene; None if it has none.
        path: The file of the objects.

    Raises:
        VectorError: There is no transformation between the two.
    """
    if crs is None:
        if found is not None:
            logger.warning(
                "the scene has no CRS: %s is assumed to be in the scene's coordinates",
                shown_name(path),
            )
        return False
    if found is None:
        logger.warning("%s has no CRS: it is assumed to be in that of the scene", shown_name(path))
        return False
    if found.equals(crs, ignore_axis_order=True):
        return False
    find_transformer(found, crs)
    return True
