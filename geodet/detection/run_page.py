"""The report of a detection: counts, densities, a map, times of the stages, and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geodet.detection.detect_report import DetectReport, SceneRecord, record_path
from geodet.detection.detection_plan import DetectionPlan
from geodet.detection.run_thumbnails import RunThumbnails, SceneReader
from geodet.detection.searched_areas import SearchedAreas, measure_searched_areas
from geodet.files.command_line import hide_secrets
from geodet.geometry.scene_detections import SceneDetections
from geodet.reports.chart_parts import BarChart
from geodet.reports.how_made import run_section
from geodet.reports.page_file import PagePart, PageSection, write_page
from geodet.reports.parts import (
    GroundMap,
    KeyFigure,
    KeyFigures,
    MappedShape,
    Remarks,
    ReportTable,
)
from geodet.vector.not_examined import SkippedArea

__all__ = ["RunPage"]

_MOST_ROWS = 500  # scenes in the table and on the map
_MOST_NAMED = 3  # outputs below the title
_BINS = 20  # of the scores


class RunPage:
    """The report of a run, gathered while it runs, in memory that does not grow with it.

    Args:
        plan: The scenes.
        classes: Names of the classes, by label.
        report: Counts of the run, complete when the page is written.
        is_counted_once: Whether an object that several scenes show counts once, or with each.
    """

    def __init__(
        self,
        plan: DetectionPlan,
        classes: Sequence[str],
        report: DetectReport,
        *,
        is_counted_once: bool,
    ) -> None:
        self._plan, self._classes, self._report = plan, tuple(classes), report
        self._is_counted_once = is_counted_once
        self._thumbnails = RunThumbnails(plan, classes)
        self._scores = np.zeros((len(classes), _BINS), np.int64)

    def add(self, part: SceneDetections) -> None:
        """Count the detections of a scene, or of a part of it."""
        found = part.detections
        bins = np.clip((found.scores * _BINS).astype(np.int64), 0, _BINS - 1)
        np.add.at(self._scores, (found.labels, bins), 1)
        self._thumbnails.add(part)

    def write(
        self,
        path: Path,
        *,
        read: SceneReader,
        skipped: Sequence[SkippedArea],
        data_areas: Mapping[str, shapely.Geometry],
        warnings: Sequence[str],
        about: Mapping[str, Any],
        command: str | None,
    ) -> None:
        """Write the page.

        Args:
            path: Ends in ``.html``.
            read: Reads a scene, reduced, for its picture.
            skipped: Areas that could not be read.
            data_areas: Areas with data of scenes that are partly without, in pixels of their grid.
            warnings: Warnings of the run.
            about: Software, model and settings, by title.
            command: The command line; None where Python code called.

        Raises:
            OutputError: The page cannot be written.
            SceneError: A scene cannot be read again.
        """
        areas = self._areas(skipped, data_areas)
        texts = {name: value for name, value in about.items() if name != "configuration"}
        sections = [
            PageSection("Found", [self._figures(areas), self._counts(areas), self._by_score()]),
            PageSection("Map", self._maps(areas, read)),
            PageSection("Warnings", [Remarks(tuple(map(hide_secrets, self._remarks(warnings))))]),
            PageSection("Time", [self._stages()]),
            PageSection("Scenes", [self._scenes(areas)]),
            run_section(texts, str(about.get("configuration", "")), command),
        ]
        outputs = self._report.outputs
        names = ", ".join(one.name for one in outputs[:_MOST_NAMED])
        if len(outputs) > _MOST_NAMED:
            names += f" and {len(outputs) - _MOST_NAMED:,} more"
        scenes = self._report.scenes
        title = scenes[0].scene if len(scenes) == 1 else f"{len(scenes)} scenes"
        write_page(path, hide_secrets(title), f"Written to {names}." if names else "", sections)

    def _areas(
        self, skipped: Sequence[SkippedArea], data_areas: Mapping[str, shapely.Geometry]
    ) -> SearchedAreas:
        failed = {one.scene for one in self._report.scenes if one.status == "failed"}
        searched = [scene for scene in self._plan.scenes if scene.name not in failed]
        is_once = self._is_counted_once
        return measure_searched_areas(
            self._plan, searched, skipped, data_areas, is_counted_once=is_once
        )

    def _figures(self, areas: SearchedAreas) -> KeyFigures:
        report, total = self._report, sum(self._report.labels.values())
        figures = [KeyFigure("Objects", f"{total:,}")]
        if area := areas.together:
            counted = sum(report.detections[name] for name in areas.by_scene)
            figures.append(KeyFigure("Searched", f"{area:,.4g} ha", "of ground"))
            figures.append(KeyFigure("Density", f"{counted / area:,.3g} per ha"))
        ended = sum(one.status == "ok" for one in report.scenes)
        figures.append(KeyFigure("Scenes", f"{ended:,}", f"of {len(report.scenes):,}"))
        rate = report.megapixels / report.seconds if report.seconds else 0.0
        speed = f"{rate:.2f} Mpx/s on {report.device}, {report.precision}"
        figures.append(KeyFigure("Time", f"{report.seconds:,.1f} s", speed))
        return KeyFigures(tuple(figures))

    def _counts(self, areas: SearchedAreas) -> ReportTable:
        area = areas.together
        rows = tuple(
            (name, f"{count:,}", f"{count / area:,.3g}" if area else "-")
            for name, count in self._report.labels.items()
        )
        note = ""
        if areas.overlapping:
            note = "Objects and area where scenes overlap count once."
        elif not areas.is_counted_once and len(areas.by_scene) > 1:
            note = "Objects and area where scenes overlap count once for each scene."
        return ReportTable(("class", "objects", "per ha"), rows, note=note)

    def _by_score(self) -> BarChart:
        counts = self._scores.sum(axis=0)
        first = int(np.flatnonzero(counts)[0]) if counts.any() else 0
        bars = tuple(
            (f"{number / _BINS:.2g}" if number % 2 == 0 else "", (float(counts[number]),))
            for number in range(first, _BINS)
        )
        return BarChart(
            title="Objects by score",
            x_label="score",
            y_label="objects",
            names=("objects",),
            styles=("right",),
            bars=bars,
        )

    def _maps(self, areas: SearchedAreas, read: SceneReader) -> list[PagePart]:
        failed = {one.scene for one in self._report.scenes if one.status == "failed"}
        parts: list[PagePart] = []
        if len(areas.by_scene) > 1:
            parts.append(self._ground_map(areas))
        parts.append(self._thumbnails.draw(read, failed))
        return parts

    def _ground_map(self, areas: SearchedAreas) -> GroundMap:
        known = [scene for scene in self._plan.scenes if scene.name in areas.by_scene][:_MOST_ROWS]
        found = self._report.detections
        densities = {one.name: areas.density(one.name, found[one.name]) for one in known}
        most = max((each for each in densities.values() if each is not None), default=0.0) or 1.0
        shapes = [
            MappedShape(
                tuple(map(tuple, scene.footprint.geobox.corners(box, self._plan.crs)[0].tolist())),
                f"{hide_secrets(scene.name)}: {_in_words(densities[scene.name])}",
                (densities[scene.name] or 0.0) / most,
            )
            for scene in known
            for box in [scene.footprint.detections.boxes]
        ]
        note = f"Scenes; the darkest has {most:.3g} objects per hectare."
        if all(each is None for each in densities.values()):
            note = "Scenes; they overlap, so each has no density of its own."
        return GroundMap(tuple(shapes), note)

    def _remarks(self, warnings: Sequence[str]) -> list[str]:
        failed = [one for one in self._report.scenes if one.status == "failed"]
        texts = [f"{one.scene} could not be read: {one.reason}" for one in failed[:_MOST_ROWS]]
        if self._report.not_examined:
            texts.append(f"areas that were not examined: {self._report.not_examined}")
        return [*texts, *warnings]

    def _stages(self) -> ReportTable:
        report = self._report
        known = dict(report.stages)
        known["the rest"] = max(report.seconds - sum(known.values()), 0.0)
        whole = max(report.seconds, 1e-9)
        rows = tuple(
            (name, f"{seconds:.2f}", f"{100 * seconds / whole:.0f} %")
            for name, seconds in known.items()
        )
        shades = tuple((0.0, min(seconds / whole, 1.0)) for seconds in known.values())
        note = "Stages run in several threads, so their times may add up to more than the run."
        return ReportTable(("stage", "seconds", "share"), rows, shades=shades, note=note)

    def _scenes(self, areas: SearchedAreas) -> ReportTable:
        records = self._report.scenes
        rows = tuple(self._row(one, areas) for one in records[:_MOST_ROWS])
        columns = ("scene", "status", "objects", "ha", "per ha", "seconds", "not examined")
        notes = []
        if areas.overlapping:
            notes.append(
                "A scene that overlaps others has no density: an object in the overlap counts for "
                "only one of them."
            )
        if len(records) > _MOST_ROWS:
            where = record_path(self._report.outputs[0]).name if self._report.outputs else ""
            notes.append(
                f"The first {_MOST_ROWS} of {len(records):,} scenes. {where} has all of them."
            )
        return ReportTable(columns, rows, texts=2, note=" ".join(notes))

    def _row(self, one: SceneRecord, areas: SearchedAreas) -> tuple[str, ...]:
        area, density = areas.by_scene.get(one.scene), areas.density(one.scene, one.detections)
        ground = "-" if area is None else f"{area:.4g}"
        numbers = (f"{one.detections:,}", ground, "-" if density is None else f"{density:.3g}")
        name = hide_secrets(one.scene)
        return (name, one.status, *numbers, f"{one.seconds:.1f}", f"{one.not_examined}")


def _in_words(density: float | None) -> str:
    return "no density, overlaps other scenes" if density is None else f"{density:.3g} per ha"
