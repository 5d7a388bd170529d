"""The report of an evaluation as a page: figures, curves, sizes, confusions and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geodet.evaluation.chosen_threshold import show_threshold
from geodet.evaluation.galleries import SceneOpener, build_galleries
from geodet.evaluation.measures import ClassMeasures, Evaluation, JudgedBoxes
from geodet.evaluation.threshold_curves import FEW_OBJECTS
from geodet.geometry.arrays import Ints
from geodet.reports.chart_parts import BarChart, ChartLine, ChartRule, LineChart, nice_ticks
from geodet.reports.page_file import PagePart, PageSection
from geodet.reports.parts import KeyFigure, KeyFigures, ReportTable

__all__ = ["EvaluationNotes", "describe_rule", "evaluation_sections", "label_section"]

_MOST_CLASSES = 12  # with charts of their own
_STEPS = 200  # of the score thresholds of a curve
_ONE = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class EvaluationNotes:
    """The contents of a report beside the measures."""

    openers: Sequence[SceneOpener] = ()
    """Open the images, in their order; empty: there is no imagery to show."""
    settings: str = ""
    """The settings, as TOML."""
    command: str | None = None
    """The command line; None where Python code called."""


def evaluation_sections(
    evaluation: Evaluation,
    judged: Sequence[Mapping[str, JudgedBoxes]],
    confusions: Ints,
    images: Sequence[tuple[str, float | None]],
    openers: Sequence[SceneOpener],
) -> list[PageSection]:
    """Return the sections on an evaluation.

    Args:
        evaluation: The measures.
        judged: True positives, false positives and misses of each image.
        confusions: See :func:`geodet.evaluation.confusion.count_confusions`.
        images: Name and metres per pixel of each image.
        openers: Open the images; empty: no pictures.

    Raises:
        SceneError: An image cannot be read.
    """
    # A single class has the measures of all classes together.
    named = evaluation.by_class if len(evaluation.by_class) == 1 else evaluation.by_row
    gsds = [gsd for _, gsd in images]
    sections = [
        PageSection("Figures", [_key_figures(evaluation)]),
        PageSection("By class", [_class_table(named), _ap_table(named, evaluation)]),
        PageSection("Curves", _curves(named), "How the measures depend on the score threshold."),
        PageSection("Sizes", [_sizes(evaluation, judged, gsds)]),
    ]
    table = _confusion_table(confusions, list(evaluation.by_class))
    sections.append(PageSection("Confusions", [table]))
    if openers:
        names = [name for name, _ in images]
        galleries = build_galleries(judged, names, openers, list(evaluation.by_class))
        note = "Green: right. Orange: wrong. Yellow, dashed: missed objects."
        sections.append(PageSection("Pictures", galleries, note))
    else:
        sections.append(PageSection("Pictures", [], "None: give the raster as scene (--scene)."))
    return sections


def label_section(
    evaluation: Evaluation, images: Sequence[tuple[str, float | None]]
) -> PageSection:
    """Return the section on what was labelled: objects by class, and their sizes.

    Args:
        evaluation: The measures.
        images: Name and metres per pixel of each image.
    """
    gsds = [gsd for _, gsd in images]
    units, unit = _units(gsds)
    longest = [_sides(r.boxes) * u for r, u in zip(evaluation.results, units, strict=True)]
    sides = np.concatenate([np.zeros(0), *longest])
    labels = np.concatenate([np.zeros(0, np.int64), *(one.labels for one in evaluation.results)])
    rows = tuple(
        (name, f"{int((labels == number).sum()):,}", *_quantiles(sides[labels == number], unit))
        for number, name in enumerate(evaluation.by_class)
    )
    known = sorted({f"{gsd:.3g}" for gsd in gsds if gsd is not None})
    ground = f"{known[0]} to {known[-1]}" if len(known) > 1 else "".join(known) or "unknown"
    table = ReportTable(
        ("class", "objects", "1 % are shorter than", "median length", "1 % are longer than"),
        rows,
        note=f"Images: {len(images):,}. Metres per pixel: {ground}. A length is the longer side.",
    )
    return PageSection("Data", [table])


def _quantiles(sides: Any, unit: str) -> tuple[str, ...]:
    if not len(sides):
        return ("-",) * 3
    return tuple(f"{value:.1f} {unit}" for value in np.quantile(sides, [0.01, 0.5, 0.99]))


def _units(gsds: Sequence[float | None]) -> tuple[list[float], str]:
    """Return what lengths in each image are multiplied by, and the unit that they have then."""
    has_metres = all(gsd is not None for gsd in gsds)
    return [gsd if has_metres and gsd else 1.0 for gsd in gsds], "m" if has_metres else "px"


def describe_rule(evaluation: Evaluation) -> str:
    """Describe when a detection matches an object."""
    rule = evaluation.rule
    by = f"IoU of at least {rule.iou:g}" if rule.by == "iou" else f"within {rule.distance_m:g} m"
    return f"Detections and objects of a class are matched one to one: {by}."


def _key_figures(evaluation: Evaluation) -> KeyFigures:
    scores, best = evaluation.overall.scores, evaluation.overall.best
    low, high = scores.f1_interval
    few = ": few objects, so it means little" if scores.labelled < FEW_OBJECTS else ""
    precision, recall = scores.precision_interval, scores.recall_interval
    return KeyFigures(
        (
            KeyFigure("F1", _share(scores.f1), f"95 %: {low:.3f} to {high:.3f}{few}"),
            KeyFigure("Precision", _share(scores.precision), _interval(precision)),
            KeyFigure("Recall", _share(scores.recall), _interval(recall)),
            KeyFigure("AP50", _share(evaluation.overall.ap.ap50)),
            KeyFigure("Score threshold", show_threshold(scores.threshold), "chosen"),
            KeyFigure("Best F1", _share(best.f1), f"at {show_threshold(best.threshold)}"),
            KeyFigure("Objects", f"{scores.labelled:,}", f"{scores.matched:,} found"),
            KeyFigure("Detections", f"{scores.detected:,}", f"{scores.matched:,} right"),
        )
    )


def _interval(ends: tuple[float, float]) -> str:
    return f"95 %: {ends[0]:.3f} to {ends[1]:.3f}"


def _class_table(named: Mapping[str, ClassMeasures]) -> ReportTable:
    rows = []
    for name, one in named.items():
        scores, best = one.scores, one.best
        low, high = scores.f1_interval
        shares = [_share(v) for v in (scores.precision, scores.recall, scores.f1)]
        counts = [f"{n:,}" for n in (scores.labelled, scores.detected, scores.matched)]
        used, chosen = (show_threshold(c.threshold, decimals=3) for c in (scores, best))
        rows.append(
            (name, used, *shares, f"{low:.3f} to {high:.3f}", *counts, chosen, _share(best.f1))
        )
    columns = ("class", "threshold", "precision", "recall", "F1", "95 %", "objects", "detections")
    return ReportTable((*columns, "right", "best at", "best F1"), tuple(rows))


def _ap_table(named: Mapping[str, ClassMeasures], evaluation: Evaluation) -> ReportTable:
    columns, names = ["class", "AP", "AP50", "AP75"], ["ap", "ap50", "ap75"]
    if evaluation.sides_px is not None:
        small, large = (_side(side, evaluation.gsd) for side in evaluation.sides_px)
        columns += [f"AP below {small}", f"AP to {large}", "AP larger"]
        names += ["small", "medium", "large"]
    rows = tuple(
        (label, *(_share(getattr(one.ap, name)) for name in names), _share(one.score_error))
        for label, one in named.items()
    )
    note = "The score error is the mean distance of scores from the share that is right."
    return ReportTable((*columns, "score error"), rows, note=note)


def _side(side: float, gsd: float | None) -> str:
    return f"{side:g} px" + (f" ({side * gsd:.3g} m)" if gsd else "")


def _curves(named: Mapping[str, ClassMeasures]) -> list[PagePart]:
    """Return three charts for all classes together and for those with the most objects."""
    first, *others = named
    others.sort(key=lambda name: -named[name].curve.labelled)
    shown = [first, *others[:_MOST_CLASSES]]
    return [chart for name in shown for chart in _charts(name, named[name])]


def _charts(name: str, one: ClassMeasures) -> list[PagePart]:
    thresholds = np.linspace(0, 1, _STEPS + 1)
    at = [one.curve.at(float(threshold)) for threshold in thresholds]
    shares = {
        "precision": [c.precision if c.detected else math.nan for c in at],
        "recall": [c.recall for c in at],
        "F1": [c.f1 for c in at],
    }
    lines = [ChartLine(key, thresholds, y, style) for style, (key, y) in enumerate(shares.items())]
    scores, best = one.scores, one.best
    rules = (
        ChartRule(scores.threshold, f"chosen {show_threshold(scores.threshold)}"),
        ChartRule(best.threshold, f"best {show_threshold(best.threshold)}", dashed=True),
    )
    by_threshold = LineChart(
        title=f"{name}: by threshold",
        x_label="score threshold",
        y_label="share",
        lines=tuple(lines),
        rules=rules,
        x_range=_ONE,
        y_range=_ONE,
    )
    marks = tuple(
        ChartLine(text, [c.recall], [c.precision], style, dots=[5])
        for text, c, style in (("chosen", scores, 1), ("best", best, 0))
    )
    precision_recall = LineChart(
        title=f"{name}: precision by recall",
        x_label="recall",
        y_label="precision",
        lines=(ChartLine("", shares["recall"], shares["precision"], 2), *marks),
        x_range=_ONE,
        y_range=_ONE,
    )
    return [by_threshold, precision_recall, _reliability(name, one)]


def _reliability(name: str, one: ClassMeasures) -> LineChart:
    bins = [part for part in one.reliability if part.count]
    most = max((part.count for part in bins), default=1)
    measured = ChartLine(
        "share that is right",
        [part.score for part in bins],
        [part.precision for part in bins],
        2,
        dots=[2 + 6 * math.sqrt(part.count / most) for part in bins],
    )
    return LineChart(
        title=f"{name}: reliability of scores",
        x_label="score",
        y_label="share that is right",
        lines=(ChartLine("calibrated", [0, 1], [0, 1], 5), measured),
        x_range=_ONE,
        y_range=_ONE,
    )


def _sizes(
    evaluation: Evaluation,
    judged: Sequence[Mapping[str, JudgedBoxes]],
    gsds: Sequence[float | None],
) -> BarChart:
    """Return the numbers of objects that were found and missed, by their longer side."""
    units, unit = _units(gsds)
    every = [_sides(r.boxes) * u for r, u in zip(evaluation.results, units, strict=True)]
    missed = [_sides(j["misses"].boxes) * u for j, u in zip(judged, units, strict=True)]
    sides, lost = (np.concatenate([np.zeros(0), *parts]) for parts in (every, missed))
    ticks = nice_ticks(0.0, float(np.quantile(sides, 0.98)) if len(sides) else 1.0)
    edges = np.linspace(0.0, ticks[-1], 2 * len(ticks) - 1)
    ends = np.append(edges[:-1], np.inf)
    counts = np.histogram(sides, ends)[0], np.histogram(lost, ends)[0]
    texts = [*(f"{edge:g}" for edge in edges[:-2]), f"{edges[-2]:g}+"]
    return BarChart(
        title="Objects by size",
        x_label=f"longer side from ({unit})",
        y_label="objects",
        names=("found", "missed"),
        styles=("right", "missed"),
        bars=tuple(
            (text, (float(n - m), float(m))) for text, n, m in zip(texts, *counts, strict=True)
        ),
    )


def _sides(boxes: Any) -> Any:
    return (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0)


def _confusion_table(counts: Ints, classes: Sequence[str]) -> ReportTable:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [*classes, "(no object)"]
    return ReportTable(
        ("labelled as", *classes, "(not found)"),
        tuple((name, *map(str, row)) for name, row in zip(names, counts.tolist(), strict=True)),
        shades=tuple(map(tuple, shares.tolist())),
        note="A row counts the objects of a class by the class of the detection that found them.",
    )


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
