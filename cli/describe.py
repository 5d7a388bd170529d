"""The output of ``geodet info`` and ``models``: lines of names and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from geodet.jobs.job_summary import JobSummary
    from geodet.models.description import ModelDescription
    from geodet.reviewing.review_summary import ReviewSummary
    from geodet.tilesets.tileset_summary import TilesetSummary
    from geodet.training.run_records import RunRecord
    from geodet.vector.vector_summary import VectorSummary

__all__ = [
    "job_fields",
    "metres",
    "model_fields",
    "print_fields",
    "review_fields",
    "run_fields",
    "tileset_fields",
    "vector_fields",
]

_MOST_NAMED = 5  # scenes


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, fields))
    for key, value in fields.items():
        typer.echo(f"{key:<{width}}  {value}")


def model_fields(about: ModelDescription) -> dict[str, Any]:
    """Choose what is printed of a model."""
    return {
        "model": about.name,
        "finds": about.description,
        "classes": ", ".join(about.classes),
        "bands": ", ".join(about.bands),
        "values": about.dtype,
        "gsd": metres(about.gsd),
        "boxes": about.architecture.boxes.replace("_", "-"),
        "backbone": about.architecture.backbone,
        "score threshold": _thresholds(about),
        "iou threshold": about.iou_threshold,
        **{f"training {key}": value for key, value in about.training.items()},
        **{key: round(value, 4) for key, value in about.figures.items()},
        "written by": f"geodet {about.version}",
    }


def _thresholds(about: ModelDescription) -> float | str:
    """Return the threshold of a model, or those of its classes."""
    by_class = [f"{name} {value:.6g}" for name, value in about.score_thresholds.items()]
    if not by_class:
        return about.score_threshold
    others = [] if set(about.classes) <= {*about.score_thresholds} else [about.score_threshold]
    return ", ".join([*by_class, *(f"others {value:.6g}" for value in others)])


def tileset_fields(path: Path, summary: TilesetSummary) -> dict[str, Any]:
    """Choose what is printed of a tileset."""
    from geodet.documents.values import counted

    counts: dict[str, str] = {
        part: ", ".join((counted(count, "image"), counted(summary.objects[part], "object")))
        for part, count in summary.images.items()
    }
    own = f"of {summary.split}" if summary.split else "none: training chooses one"
    small, large = (f"{width} x {height} px" for width, height in summary.image_sizes)
    fields: dict[str, Any] = {
        "tileset": path,
        "format": summary.layout,
        "split": own,
        **counts,
        "without objects": f"{summary.empty} images",
        "ignored regions": summary.ignored,
        "classes": ", ".join(f"{name} {count}" for name, count in summary.classes.items()),
        "image sizes": small if small == large else f"{small} to {large}",
        "object sizes": _sizes(summary),
        "gsd": _range(summary.gsd),
    }
    return fields | {f"warning {n}": text for n, text in enumerate(summary.warnings, start=1)}


def job_fields(job: JobSummary) -> dict[str, Any]:
    """Choose what is printed of a job."""
    left = f"geodet detect --job {job.folder}"
    fields = {
        "job": job.folder,
        "scenes": f"{job.scenes:,}, {job.complete_scenes:,} complete",
        "pixels": f"{job.megapixels:,.1f} Mpx",
        "bands": f"{job.computed:,} of {job.bands:,} computed",
        "CRS": ", ".join(f"{name} ({count})" for name, count in job.crs.items()),
        "model": ", ".join(filter(None, [job.model, job.precision])) + f" on {job.device}",
    }
    fields |= {f"cannot be read: {name}": reason for name, reason in job.failed.items()}
    fields["next"] = f"geodet merge {job.folder} -o FILE" if job.is_complete else left
    return fields


def run_fields(run: RunRecord) -> dict[str, Any]:
    """Choose what is printed of a training: settings that are not the defaults, and figures."""
    from geodet.config import Config
    from geodet.training.run_records import learnt_settings

    usual = learnt_settings(Config())
    changed = {key: value for key, value in run.settings.items() if value != usual.get(key)}
    figures = {
        name: f"{run.best[key]:.4g}"
        for name, key in (
            *(("best epoch", "epoch"), ("F1", "f1"), ("precision", "precision")),
            *(
                ("recall", "recall"),
                ("AP", "ap"),
                ("AP50", "ap50"),
                ("validation loss", "val_loss"),
            ),
        )
        if key in run.best
    }
    about = {} if run.about is None else run.about.training
    return {
        "run": run.name,
        "epochs": f"{run.epochs} of {run.epochs_planned}",
        **{f"training {key}": value for key, value in about.items()},
        **figures,
        **({"chips/s": f"{run.chips_per_second:.1f}"} if run.epochs else {}),
        "model": "none yet" if run.size_mb is None else f"{run.size_mb:.1f} MB",
        "settings": _text(changed) if changed else "the defaults",
    }


def _sizes(summary: TilesetSummary) -> str:
    """Format the sides of objects: a tenth are below the first, and a tenth above the last."""
    if summary.are_points:
        return "points: set data.box_size_m or data.box_size_px"
    if summary.sides_px is None:
        return "no objects"
    texts = []
    for sides, unit in ((summary.sides_px, "px"), (summary.sides_m, "m")):
        if sides is not None:
            low, middle, high = (f"{side:.3g}" for side in sides)
            most = low if low == high else f"{low} to {high}"
            texts.append(f"80 % are {most} {unit}, median {middle} {unit}")
    return "; ".join(texts)


def _range(gsd: tuple[float, float] | None) -> str:
    if gsd is None:
        return "unknown"
    low, high = (metres(value) for value in gsd)
    return low if low == high else f"{low} to {high}"


def metres(gsd: float | None) -> str:
    """Format a ground sample distance."""
    return "unknown" if gsd is None else f"{gsd:.3g} m"


def vector_fields(summary: VectorSummary) -> dict[str, Any]:
    """Choose what is printed of a vector file."""
    from geodet.documents.values import counted

    fields: dict[str, Any] = {
        "file": summary.path,
        "format": summary.format,
        "objects": f"{summary.objects:,}",
        "classes": _counts(summary.classes, unnamed="no class")
        or ("no attribute label" if summary.objects else "no objects"),
    }
    if summary.scores is not None:
        low, middle, high = summary.scores
        fields["scores"] = f"{low:.3g} to {high:.3g}, median {middle:.3g}"
    if summary.scenes:
        fields["scenes"] = _counts(summary.scenes, most=_MOST_NAMED, unnamed="no scene")
    fields["crs"] = summary.crs or "none"
    if not summary.made_by:
        return fields | {"attributes": ", ".join(summary.fields), "made by": "unknown"}
    if summary.examined_ha is not None:
        fields["examined"] = f"{summary.examined_ha:,.4g} ha"
    fields |= {title: "; ".join(map(_text, of)) for title, of in _made_by(summary).items()}
    skipped = f"{counted(summary.not_examined, 'area')}, unreadable or not computed"
    return fields | {"not examined": skipped if summary.not_examined else "none"}


def review_fields(summary: ReviewSummary) -> dict[str, Any]:
    """Choose what is printed of a file of reviews."""
    of_them = f", {summary.suggested_reviewed:,} reviewed" if summary.suggested else ""
    return {
        "file": summary.path,
        "format": "reviews, a GeoPackage",
        "suggested": f"{summary.suggested:,} windows{of_them}",
        "reviewed": f"{summary.reviewed:,} windows, {summary.objects:,} objects",
        "decided": _counts(summary.verdicts) or "nothing yet",
        "classes": _counts(summary.classes, unnamed="no class") or "no objects",
        "scenes": _counts(summary.scenes, most=_MOST_NAMED) or "none yet",
        "crs": summary.crs or "none",
    }


def _made_by(summary: VectorSummary) -> dict[str, list[Any]]:
    """Order what made a file, and leave out the settings that are at their default."""
    from geodet.config import DetectConfig
    from geodet.geopackage.layer_metadata import MODEL_DIGEST
    from geodet.vector.provenance import ACCURACY, THRESHOLDS

    usual = DetectConfig().model_dump(mode="json")
    known = {title: list(values) for title, values in summary.made_by.items()}
    settings = [
        {key: value for key, value in one.items() if value != usual.get(key)}
        for one in known.pop("configuration", [])
        if isinstance(one, dict)
    ]
    first = ("software", "model", MODEL_DIGEST, "precision", THRESHOLDS, ACCURACY)
    ordered = {title: known.pop(title) for title in first if title in known}
    changed = {"settings": [one or "the defaults" for one in settings]} if settings else {}
    return ordered | changed | known


def _text(value: Any) -> str:
    """Write a dictionary as names and values."""
    if not isinstance(value, dict):
        return str(value)
    parts = {key: _text(one) if isinstance(one, dict) else one for key, one in value.items()}
    return ", ".join(
        f"{key} {one:.4g}" if isinstance(one, float) else f"{key} {one}"
        for key, one in parts.items()
    )


def _counts(counts: Mapping[str, int], *, most: int | None = None, unnamed: str = "") -> str:
    """Write counts by name, the largest first; ``unnamed`` stands for a name without a letter."""
    listed = list(counts.items())[:most]
    named = [f"{name if name.strip() else unnamed} {count:,}" for name, count in listed]
    rest = len(counts) - len(named)
    return ", ".join([*named, *([f"and {rest} more"] if rest else [])])
