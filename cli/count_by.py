"""The option ``--count-by`` of ``geodet detect``: counts in polygons beside the detections."""

from __future__ import annotations

from pathlib import Path

import typer

from geodet.documents.values import counted

__all__ = ["check_counts", "counts_path", "write_counts"]

_PIXELS = ("coco", "yolo")
"""Formats without coordinates of the ground."""


def counts_path(output: Path) -> Path:
    """Return the file with the counts of an output.

    Example:
        >>> counts_path(Path("trees.geojson")).name
        'trees.counts.gpkg'
    """
    return output.with_name(f"{output.name.partition('.')[0]}.counts.gpkg")


def check_counts(output: Path, by: Path, *, format: str | None, overwrite: bool) -> None:
    """Check that objects can be counted once they are found.

    Raises:
        VectorError: There are no such polygons, or an attribute has the name of a figure.
        OutputError: The counts exist or cannot hold the attributes of the polygons, or the output
            has no coordinates of the ground.
    """
    from geodet.errors import OutputError
    from geodet.files.outputs import check_destination
    from geodet.vector.formats import check_vector_exists, choose_format

    check_vector_exists(by)
    check_destination(counts_path(output), (".gpkg",), overwrite=overwrite)
    chosen = choose_format(output, format)
    if chosen.name in _PIXELS:
        raise OutputError(
            f"objects in {chosen.title} are in pixels and cannot be counted by polygons",
            hint="write a GeoPackage first: -o trees.gpkg",
            path=output,
        )
    from geodet.counting.count import check_polygons

    check_polygons(by, counts_path(output))


def write_counts(output: Path, by: Path, *, overwrite: bool, quiet: bool) -> None:
    """Count the objects of an output in polygons, and write the counts beside it."""
    from geodet.counting.count import CountPlaces, count_objects

    report = count_objects(output, CountPlaces(by), counts_path(output), overwrite=overwrite)
    if not quiet:
        objects, places = counted(report.objects, "object"), counted(report.polygons, "place")
        typer.echo(f"{report.output}: {objects} in {places}")
