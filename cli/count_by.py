"""The option ``--count-by`` of ``geodet detect``: counts in polygons beside the detections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from geodet.counting.count import CountReport
    from geodet.detection.detect_options import DetectOptions
    from geodet.detection.layer_run import LayerRun

__all__ = ["CountBy", "counts_path"]

_PIXELS = ("coco", "yolo")
"""Formats without coordinates of the ground."""


def counts_path(output: Path) -> Path:
    """Return the file with the counts of an output.

    Example:
        >>> counts_path(Path("trees.2021.geojson")).name
        'trees.2021.counts.gpkg'
    """
    from geodet.vector.formats import FORMATS

    is_end = any(output.suffix.lower() in one.extensions for one in FORMATS.values())
    return output.with_name(f"{output.stem if is_end else output.name}.counts.gpkg")


class CountBy:
    """Counts of the objects of a run in polygons, beside its first output.

    Args:
        by: The polygons; None: nothing is counted.
        outputs: Of the run.
        options: Their formats, and whether files are replaced or appended to.

    Raises:
        VectorError: There are no such polygons, or an attribute has the name of a figure.
        OutputError: The counts exist or cannot hold the attributes of the polygons, or the output
            has no coordinates of the ground or is a file for each scene.
    """

    def __init__(self, by: Path | None, outputs: Sequence[Path], options: DetectOptions) -> None:
        self._by, self._options = by, options
        self._report: CountReport | None = None
        if by is None:
            return
        from geodet.counting.count import check_polygons
        from geodet.detection.detect_options import read_written_before
        from geodet.detection.scene_files import is_per_scene
        from geodet.errors import OutputError
        from geodet.files.outputs import check_destination
        from geodet.vector.formats import check_vector_exists, choose_format

        check_vector_exists(by)
        if is_per_scene(outputs[0]):
            raise OutputError(
                f"{outputs[0]} writes a file for each scene: --count-by would count objects where "
                "scenes overlap twice",
                hint="write one file for all scenes: -o trees.gpkg; or run geodet count on each",
                path=outputs[0],
            )
        self._output, self._counts = outputs[0], counts_path(outputs[0])
        before = read_written_before(outputs, options)
        self._overwrite = options.overwrite or before.includes(self._counts)
        check_destination(self._counts, (".gpkg",), overwrite=self._overwrite)
        chosen = choose_format(self._output, options.format)
        if chosen.name in _PIXELS:
            raise OutputError(
                f"objects in {chosen.title} are in pixels and cannot be counted by polygons",
                hint="write a GeoPackage first: -o trees.gpkg",
                path=self._output,
            )
        check_polygons(by, self._counts)

    def follow(self, run: LayerRun) -> None:
        """Count at the end of a run, and check that the polygons meet the ground it is to search.

        Raises:
            VectorError: They do not, or one of the two has no CRS.
        """
        if self._by is None:
            return
        from geodet.counting.count import check_examined

        run.end_with(lambda: self._count(run))
        if self._options.append and self._output.exists():
            return  # the file's objects count, too, wherever they were searched
        ground = run.planned_ground
        if ground is not None:
            check_examined(self._by, ground)

    def show(self) -> None:
        """Print what was counted."""
        from geodet.documents.values import counted

        if (report := self._report) is not None:
            objects = counted(report.objects, "object")
            typer.echo(f"{report.output}: {objects} in {counted(report.polygons, 'place')}")

    def _count(self, run: LayerRun) -> None:
        """Count; the run says where objects were searched, where its output does not."""
        from geodet.counting.count import CountPlaces, count_objects

        self._report = count_objects(
            self._output,
            CountPlaces(self._by),
            self._counts,
            ground=run.examined_ground,
            overwrite=self._overwrite,
        )
