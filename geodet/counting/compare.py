"""Compare the detections of two dates: files in, a GeoPackage out."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geodet.counting.comparison import DateComparison, match_dates
from geodet.counting.examined_parts import find_common_parts
from geodet.counting.found_objects import FoundObjects, read_found_objects
from geodet.counting.polygon_counts import (
    check_attributes,
    count_in_polygons,
    read_polygons,
    without_unseen,
)
from geodet.errors import ConfigError
from geodet.files.outputs import check_apart, check_destination
from geodet.geometry.arrays import Ints
from geodet.tilesets.class_names import join_names
from geodet.vector.attribute_tables import AttributeLayer, write_attribute_layers
from geodet.vector.examined_ground import ExaminedGround, find_examined_ground
from geodet.vector.formats import path_of

__all__ = ["CompareReport", "compare_dates"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CompareReport:
    """The result of a comparison of two dates.

    Example:
        >>> CompareReport(None, kept=90, gone=10, new=4, unseen_before=0, unseen_after=7).kept
        90
    """

    output: Path | None
    """The GeoPackage; None if none was written."""
    kept: int
    """Objects of both dates."""
    gone: int
    """Objects of the first date only, where the second date was examined."""
    new: int
    """Objects of the second date only, where the first date was examined."""
    unseen_before: int
    """Objects of the first date where the second date was not examined."""
    unseen_after: int
    """Objects of the second date where the first date was not examined."""
    counts: tuple[dict[str, Any], ...] = ()
    """For each polygon its attributes, the numbers of objects that are kept, gone and new, and
    ``compared_share``: the share of it that was examined on both dates, if one of the files records
    its examined area. The counts are None where no part was examined on both dates."""


def compare_dates(
    before: Path,
    after: Path,
    output: Path | None = None,
    *,
    distance: float = 3.0,
    by: Path | None = None,
    field: str | None = None,
    min_score: float = 0.0,
    score_field: str | None = None,
    label_field: str | None = None,
    overwrite: bool = False,
) -> CompareReport:
    """Find which objects of one date are still there at another.

    Args:
        before: The detections of the first date.
        after: The detections of the second date, in any CRS.
        output: A GeoPackage with the layers ``kept``, ``gone`` and ``new``, and with ``by`` also
            ``counts``; None: only the report.
        distance: Largest distance in metres between the centres of one object on the two dates.
        by: Polygons to count in, also without an output.
        field: The only attribute of the polygons to keep; None: all.
        min_score: Lowest score that counts, of both dates.
        score_field: Attribute with the score, of both dates; None: ``score``, if there is one.
        label_field: Attribute with the class, of both dates; None: ``label``, ``class`` or
            ``name``, if any; empty: all objects are of one class.
        overwrite: Replace a file that exists.

    Raises:
        VectorError: A file cannot be read, one of them has no CRS, or the polygons lack the field
            or have an attribute ``kept``, ``gone``, ``new`` or ``compared_share``.
        ConfigError: The distance is negative or not a number.
        OutputError: The output exists, or cannot be written.
    """
    if not distance >= 0:  # also NaN
        raise ConfigError(f"the distance is {distance} m", hint="give 0 or more metres")
    inputs = [path for path in (before, after, by) if path is not None]
    if output is not None:
        check_apart([output], [Path(path_of(path)) for path in inputs])
        check_destination(output, (".gpkg",), overwrite=overwrite)
    found = [
        read_found_objects(
            path, min_score=min_score, score_field=score_field, label_field=label_field
        )
        for path in (before, after)
    ]
    _warn_of_other_classes(*found)
    grounds = (_read_ground(before), _read_ground(after))
    areas = [None if ground is None else ground.shape for ground in grounds]
    compared = match_dates(found[0], found[1], distance=distance, grounds=(areas[0], areas[1]))
    counts = None if by is None else _count(compared, by, field, grounds)
    if output is not None:
        layers = _to_layers(compared)
        if counts is not None:
            layers["counts"] = counts
        write_attribute_layers(output, layers)
    return CompareReport(
        output,
        len(compared.kept[0]),
        len(compared.gone),
        len(compared.new),
        *compared.unseen,
        () if counts is None else _to_rows(counts.table),
    )


def _warn_of_other_classes(before: FoundObjects, after: FoundObjects) -> None:
    """Warn of classes that only one date has, of which no object can be kept."""
    first, second = before.names, after.names
    joined = join_names(first, second)
    if not first or not second:
        return
    if not joined:
        logger.warning(
            "no class in common, so no object is kept: %s has %s, %s has %s; label_field "
            "(--label-field) chooses another attribute, and an empty one ('') takes all objects as "
            "one class",
            before.path,
            ", ".join(first),
            after.path,
            ", ".join(second),
        )
        return
    for one, other, names in (
        (before, after, [name for name in first if name not in joined]),
        (after, before, [name for name in second if name not in joined.values()]),
    ):
        if names:
            logger.warning(
                "%s has the %s %s, which %s lacks: no object of %s is kept",
                one.path,
                "class" if len(names) == 1 else "classes",
                ", ".join(names),
                other.path,
                "it" if len(names) == 1 else "them",
            )


def _read_ground(path: Path) -> ExaminedGround | None:
    ground = find_examined_ground(path)
    if ground is None:
        logger.warning(
            "%s does not record its examined area and is taken as examined everywhere: objects "
            "that are only in the other file count as gone or new",
            path,
        )
    return ground


def _to_layers(compared: DateComparison) -> dict[str, AttributeLayer]:
    before, after = compared.before, compared.after
    first, second = compared.kept
    kept = _attributes(after, second)
    if before.scores is not None and after.scores is not None:
        kept["score_before"] = before.scores[first]
    kept["moved_m"] = compared.moved
    return {
        "kept": AttributeLayer(kept, after.shapes[second], after.crs),
        "gone": AttributeLayer(
            _attributes(before, compared.gone), before.shapes[compared.gone], before.crs
        ),
        "new": AttributeLayer(
            _attributes(after, compared.new), after.shapes[compared.new], after.crs
        ),
    }


def _attributes(found: FoundObjects, rows: Ints) -> Any:
    table = pd.DataFrame({"label": np.array(found.classes, object)[found.labels[rows]]})
    for name, values in (("score", found.scores), ("area_m2", found.sizes)):
        if values is not None:
            table[name] = values[rows]
    return table


def _count(
    compared: DateComparison,
    by: Path,
    field: str | None,
    grounds: Sequence[ExaminedGround | None],
) -> AttributeLayer:
    """Count what was kept, gone and new in each polygon, as far as both dates examined it."""
    polygons = read_polygons(by, field)
    parts = {
        "kept": compared.after.select(compared.kept[1]),
        "gone": compared.before.select(compared.gone),
        "new": compared.after.select(compared.new),
    }
    check_attributes(polygons, [*parts, "compared_share"])
    counts = pd.DataFrame(
        {
            name: count_in_polygons(part, polygons.without_attributes()).rows["objects"]
            for name, part in parts.items()
        }
    )
    known = [ground for ground in grounds if ground is not None]
    if known:
        compared_parts = find_common_parts(polygons.shapes, polygons.crs, known)
        shares = compared_parts.shares
        is_unseen = (shares == 0) & (counts.sum(axis="columns") == 0).to_numpy()
        counts = without_unseen(counts.assign(compared_share=shares), is_unseen)
        if gaps := compared_parts.describe_gaps("polygon", verb="compared"):
            logger.warning(
                "%s: %s; the counts cover only the part examined on both dates (compared_share)",
                by,
                gaps,
            )
    table = pd.concat([polygons.attributes, counts], axis="columns")
    return AttributeLayer(table, polygons.shapes, polygons.crs)


def _to_rows(table: Any) -> tuple[dict[str, Any], ...]:
    """Return the rows with values that JSON has: dates as text, None for what is missing."""
    text = table.to_json(orient="records", date_format="iso", double_precision=15)
    return tuple(json.loads(text))
