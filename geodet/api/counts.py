"""The public functions that count objects and compare dates."""

from __future__ import annotations

from pathlib import Path

from geodet.api.call_arguments import check_range, to_path
from geodet.counting.compare import CompareReport, compare_dates
from geodet.counting.count import CountPlaces, CountReport, count_objects
from geodet.counting.known_accuracy import KnownAccuracy

__all__ = ["compare", "count"]


def count(
    detections: str | Path,
    by: str | Path | None = None,
    output: str | Path | None = None,
    *,
    grid: float | None = None,
    h3: int | None = None,
    field: str | None = None,
    min_score: float = 0.0,
    score_field: str | None = None,
    label_field: str | None = None,
    precision: float | None = None,
    recall: float | None = None,
    measured_on: int = 0,
    sample: str | Path | None = None,
    aoi: str | Path | None = None,
    overwrite: bool = False,
) -> CountReport:
    """Count objects by polygons or cells, and estimate how many there really are.

    Densities and estimates refer to the examined area, if the file records it. If it does not,
    the total of cells has no density.

    Args:
        detections: A vector file with points or polygons, such as :func:`detect` writes.
        by: A vector file of polygons in any CRS; they may overlap.
        output: The table to write: ``.gpkg``, ``.geojson``, ``.fgb``, ``.parquet`` or ``.csv``; of
            a grid also ``.tif``, a raster of densities.
        grid: In place of ``by``, the side of square cells in metres.
        h3: In place of ``by``, the resolution of the hexagons of H3, which the package h3 makes.
        field: The only attribute of the polygons to keep; None: all.
        min_score: Lowest score that counts.
        score_field: Attribute with the score; None: ``score``, if there is one.
        label_field: Attribute with the class; None: ``label``, ``class`` or ``name``, if any.
        precision: Share of the detections that are right; None: as in the file.
        recall: Share of the objects that are found; None: as in the file.
        measured_on: Labelled objects on which the two were measured; 0: they are exact.
        sample: A vector file of all objects in some plots: their ratio to the detections there
            gives the estimate.
        aoi: The plots, a vector file of two polygons or more.
        overwrite: Replace a table that exists.

    Raises:
        VectorError: A file cannot be read, one of them has no CRS, or none of the polygons or of
            the plots was examined.
        ConfigError: Only one of ``precision`` and ``recall``, or of ``sample`` and ``aoi``, is
            given; not exactly one of ``by``, ``grid`` and ``h3`` is given; or a number is out of
            its range.
        OutputError: The output exists, or cannot be written.

    Example:
        >>> trees = geodet.detect(scene, output=folder / "trees.gpkg")
        >>> report = count(folder / "trees.gpkg", folder / "trees.gpkg", precision=0.8, recall=0.7)
        >>> report.objects == len(trees)
        True
    """
    check_range("measured_on", measured_on, 0)
    check_range("min_score", min_score, 0)
    return count_objects(
        to_path("detections", detections),
        CountPlaces(to_path("by", by), field, grid, h3),
        None if output is None else Path(output),
        min_score=min_score,
        score_field=score_field,
        label_field=label_field,
        known=KnownAccuracy(
            precision,
            recall,
            measured_on,
            to_path("sample", sample),
            to_path("aoi", aoi),
        ),
        overwrite=overwrite,
    )


def compare(
    before: str | Path,
    after: str | Path,
    output: str | Path | None = None,
    *,
    distance: float = 3.0,
    by: str | Path | None = None,
    field: str | None = None,
    min_score: float = 0.0,
    score_field: str | None = None,
    label_field: str | None = None,
    overwrite: bool = False,
) -> CompareReport:
    """Compare the objects of two dates: which were kept, which are gone or new.

    Args:
        before: The detections of the first date, a vector file.
        after: The detections of the second date, in any CRS.
        output: A GeoPackage with the layers ``kept``, ``gone`` and ``new``.
        distance: Largest distance in metres between the centres of one object on the two dates.
        by: Polygons to count in, for the layer ``counts`` and the report's ``counts``. A polygon
            has no counts where no part of it was examined on both dates.
        field: The only attribute of the polygons to keep; None: all.
        min_score: Lowest score that counts, of both dates.
        score_field: Attribute with the score, of both dates; None: ``score``, if there is one.
        label_field: Attribute with the class, of both dates; None: ``label``, ``class`` or
            ``name``, if any; empty: all objects are of one class.
        overwrite: Replace a file that exists.

    Raises:
        VectorError: A file cannot be read, or one of them has no CRS.
        ConfigError: The distance or the score is negative or not a number.
        OutputError: The output exists, or cannot be written.

    Example:
        >>> trees = geodet.detect(scene, output=folder / "trees.gpkg")
        >>> report = compare(folder / "trees.gpkg", folder / "trees.gpkg")
        >>> (report.kept, report.gone, report.new) == (len(trees), 0, 0)
        True
    """
    check_range("min_score", min_score, 0)
    return compare_dates(
        to_path("before", before),
        to_path("after", after),
        None if output is None else Path(output),
        distance=distance,
        by=to_path("by", by),
        field=field,
        min_score=min_score,
        score_field=score_field,
        label_field=label_field,
        overwrite=overwrite,
    )
