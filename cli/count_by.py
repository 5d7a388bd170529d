"""The option ``--count-by`` of ``geodet detect``: counts in polygons beside the detections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from geodet.detection.layer_run import LayerRun

__all__ = ["check_counted_ground", "check_counts", "counts_path", "write_counts"]

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


def check_counted_ground(
    by: Path | None, run: LayerRun, outputs: Sequence[Path], *, append: bool
) -> None:
    """Check before a run that polygons meet the ground that it is to search.

    Raises:
        VectorError: They do not, or one of the two has no CRS.
    """
    if by is None or (append and outputs[0].exists()):
        return  # the file's objects count, too, wherever they were searched
    from geodet.counting.count import check_examined

    ground = run.planned_ground
    if ground is not None:
        check_examined(by, ground)


def write_counts(output: Path, by: Path, run: LayerRun, *, overwrite: bool, quiet: bool) -> None:
    """Count the objects of an output in polygons, and write the counts beside it.

    The run says where they were searched, where its output does not.
    """
    from geodet.counting.count import CountPlaces, count_objects
    from geodet.documents.values import counted

    report = count_objects(
        output,
        CountPlaces(by),
        counts_path(output),
        ground=run.examined_ground,
        overwrite=overwrite,
    )
    if not quiet:
        objects, places = counted(report.objects, "object"), counted(report.polygons, "place")
        typer.echo(f"{report.output}: {objects} in {places}")
