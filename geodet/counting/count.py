"""Count detections by polygons or by cells of a grid."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodet.counting.cells import CellGrid, count_in_hexagons, count_in_squares
from geodet.counting.examined_parts import find_examined_parts
from geodet.counting.found_objects import FoundObjects, check_crs, read_found_objects
from geodet.counting.intervals import Estimator
from geodet.counting.known_accuracy import KnownAccuracy, choose_estimator
from geodet.counting.polygon_counts import (
    FIGURES,
    CountedPolygons,
    Polygons,
    check_attributes,
    count_in_polygons,
    read_polygons,
)
from geodet.errors import ConfigError
from geodet.files.outputs import check_apart, check_destination
from geodet.raster.density import write_density
from geodet.vector.attribute_tables import check_columns, write_polygon_table
from geodet.vector.examined_ground import ExaminedGround, find_examined_ground
from geodet.vector.formats import TABLE_SUFFIXES, path_of

__all__ = ["CountPlaces", "CountReport", "check_examined", "check_polygons", "count_objects"]

logger = logging.getLogger(__name__)

_RASTERS = (".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class CountPlaces:
    """The cells of a count: polygons, squares or hexagons."""

    by: Path | None = None
    """A vector file of polygons in any CRS, which may overlap."""
    field: str | None = None
    """The only attribute of the polygons to keep; None: all."""
    cell_m: float | None = None
    """Side of square cells in metres."""
    h3: int | None = None
    """Resolution of the hexagons of H3, 0 to 15."""

    def __post_init__(self) -> None:
        chosen = [part for part in (self.by, self.cell_m, self.h3) if part is not None]
        if len(chosen) != 1:
            raise ConfigError(
                f"count takes polygons, cells or hexagons, but {len(chosen)} are given",
                hint="give --by POLYGONS, --grid METRES or --h3 RESOLUTION",
            )
        if self.field is not None and self.by is None:
            raise ConfigError(
                "only polygons have attributes to keep", hint="leave --field out, or give --by"
            )

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Extensions of the formats that the counts can be written in."""
        return TABLE_SUFFIXES if self.cell_m is None else (*TABLE_SUFFIXES, *_RASTERS)


@dataclass(frozen=True, slots=True)
class CountReport:
    """The result of a count.

    Example:
        >>> total = {"objects": 3, "estimate": 4.1}
        >>> CountReport(None, 2, 3, 1, total, "").total["objects"]
        3
    """

    output: Path | None
    """The file; None if none was written."""
    polygons: int
    """Polygons that were counted in."""
    objects: int
    """Objects in any of them."""
    elsewhere: int
    """Objects in none."""
    total: dict[str, Any]
    """The figures of all polygons together, or with cells those of the whole examined area; unknown
    ones are missing."""
    estimated_by: str
    """The method of the estimate, in words; empty without one."""


def check_polygons(by: Path, output: Path) -> None:
    """Check before a detection that its objects can be counted in polygons.

    Args:
        by: A vector file of polygons.
        output: The table to be written.

    Raises:
        VectorError: The file cannot be read, has no polygons, or an attribute of the name of a
            figure.
        OutputError: The output cannot hold their attributes.
    """
    polygons = read_polygons(by)
    check_attributes(polygons, FIGURES)
    check_columns(output, [*polygons.attributes.columns, *FIGURES])


def check_examined(by: Path, ground: ExaminedGround) -> None:
    """Check before a detection that polygons meet the ground that it is to search.

    Args:
        by: A vector file of polygons.
        ground: What is to be searched.

    Raises:
        VectorError: The file cannot be read, one of the two has no CRS, or they do not meet.
    """
    polygons = read_polygons(by)
    check_crs(polygons.crs, by, ground.crs, ground.path)
    if not find_examined_parts(polygons.shapes, polygons.crs, ground).is_any:
        raise ground.apart_error(by, "polygons")


def count_objects(
    detections: Path,
    places: CountPlaces,
    output: Path | None = None,
    *,
    min_score: float = 0.0,
    score_field: str | None = None,
    label_field: str | None = None,
    known: KnownAccuracy | None = None,
    ground: ExaminedGround | None = None,
    overwrite: bool = False,
) -> CountReport:
    """Count the objects of a file by polygons or cells, and estimate how many there really are.

    Densities and estimates are of the ground that was examined, as far as the file has it.

    Args:
        detections: A vector file, written by detect or by another program.
        places: Where to count.
        output: The table to write, or for square cells a GeoTIFF of densities; None: only the
            report.
        min_score: Lowest score that counts.
        score_field: Attribute with the score; None: ``score``, if there is one.
        label_field: Attribute with the class; None: ``label``, ``class`` or ``name``, if any.
        known: Accuracy of the detections; None: that of their file.
        ground: Ground that was searched, if their file does not name it; None: unknown.
        overwrite: Replace a file that exists.

    Raises:
        VectorError: A file cannot be read, one of them has no CRS, or none of the polygons or of
            the plots was examined.
        ConfigError: What is known cannot be used.
        OutputError: The output exists, or cannot be written.
    """
    known = known or KnownAccuracy()
    inputs = [detections, *filter(None, (places.by, known.sample, known.plots))]
    if output is not None:
        check_apart([output], [Path(path_of(path)) for path in inputs])
        check_destination(output, places.suffixes, overwrite=overwrite)
    found = read_found_objects(
        detections, min_score=min_score, score_field=score_field, label_field=label_field
    )
    ground = find_examined_ground(detections) or ground
    estimator = choose_estimator(known, found, min_score, ground)
    polygons, counted, grid = _count(found, places, estimator, ground)
    if output is not None:
        _write(output, polygons, counted, grid, ground)
    return _report(output, polygons, counted, estimator)


def _count(
    found: FoundObjects,
    places: CountPlaces,
    estimator: Estimator | None,
    ground: ExaminedGround | None,
) -> tuple[Polygons, CountedPolygons, CellGrid | None]:
    if places.by is not None:
        polygons = read_polygons(places.by, places.field)
        counted = count_in_polygons(found, polygons, estimator, ground)
        if ground is not None:
            _report_unseen(polygons, counted, ground)
        return polygons, counted, None
    if ground is None:
        logger.warning(
            "%s does not record its examined area, so cells without objects may not have been "
            "examined: the density of all cells together is unknown; count by polygons to get one",
            found.path,
        )
    if places.cell_m is not None:
        return count_in_squares(found, places.cell_m, estimator, ground)
    assert places.h3 is not None  # one of the three, as CountPlaces checks
    return *count_in_hexagons(found, places.h3, estimator, ground), None


def _report_unseen(polygons: Polygons, counted: CountedPolygons, ground: ExaminedGround) -> None:
    """Warn of polygons that were not examined, or only in part; refuse if no polygon was."""
    examined = counted.examined
    assert examined is not None  # the ground is known
    if not examined.is_any and not counted.total["objects"].gt(0).any():
        raise ground.apart_error(polygons.path, "polygons")
    if gaps := examined.describe_gaps("polygon"):
        logger.warning(
            "%s: %s; counts, densities and estimates cover only the examined part (examined_share)",
            polygons.path,
            gaps,
        )


def _write(
    output: Path,
    polygons: Polygons,
    counted: CountedPolygons,
    grid: CellGrid | None,
    ground: ExaminedGround | None,
) -> None:
    if grid is not None and output.suffix.lower() in _RASTERS:
        raster = grid.to_raster(counted.rows["per_ha"].to_numpy(), ground)
        write_density(output, raster, grid.transform, grid.crs, "objects per hectare")
        return
    shapes, crs = polygons.shapes, polygons.crs
    write_polygon_table(output, "counts", counted.rows, shapes, crs, counted.total)


def _report(
    output: Path | None,
    polygons: Polygons,
    counted: CountedPolygons,
    estimator: Estimator | None,
) -> CountReport:
    total = counted.total.iloc[0].dropna().to_dict()
    whole = {name: int(total[name]) for name in total if name.split("_")[0] == "objects"}
    how = "" if estimator is None else estimator.describe()
    return CountReport(
        output,
        len(polygons.shapes),
        whole["objects"],
        counted.elsewhere,
        {**total, **whole},
        how,
    )
