"""The report of a training run: curves, data, settings, and the evaluation of the model."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from geodet.config import Config
from geodet.config.recipes import to_toml
from geodet.errors import ModelFileError, OutputError, SceneError, TilesetError
from geodet.evaluation.chosen_threshold import show_threshold
from geodet.evaluation.confusion import count_confusions
from geodet.evaluation.evaluation_page import evaluation_sections
from geodet.evaluation.galleries import show_image
from geodet.evaluation.measures import judge_images, measure
from geodet.evaluation.model_on_chips import detect_images, lowest_threshold, tileset_thresholds
from geodet.files.output_folders import REPORT_FILE, run_folder
from geodet.models.device import resolve_precision
from geodet.models.model import Model
from geodet.onnx.backend import load_model
from geodet.reports.chart_parts import ChartLine, ChartRule, LineChart
from geodet.reports.how_made import run_section
from geodet.reports.page_file import PagePart, PageSection, write_page
from geodet.reports.parts import KeyFigure, KeyFigures, ReportTable
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.training.run_folder import RunState, read_log
from geodet.training.trained_bands import with_trained_bands

__all__ = ["write_training_report"]

logger = logging.getLogger(__name__)

_SCORES = ("f1", "precision", "recall", "ap", "ap50")
_NAMES = {"f1": "F1", "ap": "AP", "ap50": "AP50"}


def write_training_report(
    output: Path,
    state: RunState,
    tileset: Tileset,
    config: Config,
    device: torch.device,
    command: str | None = None,
) -> Path | None:
    """Write ``report.html`` to the folder of a run that has ended.

    The model is evaluated once more on the validation chips, as ``geodet evaluate`` does. A page
    that cannot be written does not fail the run; the log says why.

    Args:
        output: The model file.
        state: State of the run.
        tileset: Training and validation chips.
        config: All settings.
        device: Device of the evaluation.
        command: The command line, for the report.

    Returns:
        The report, or None.
    """
    folder = run_folder(output)
    rows = read_log(folder)
    try:
        model = load_model(output)
        sections = [
            PageSection("Training", [_key_figures(state, config, rows), *_curves(state, rows)]),
            *_validation(model, tileset, config, device),
            PageSection("Data", _data(tileset)),
            run_section(_about(model, output, tileset), to_toml(config), command),
        ]
        lead = "What was learnt, from what, and how good the model is on the validation chips."
        write_page(folder / REPORT_FILE, output.name, lead, sections)
    except (ModelFileError, OutputError, SceneError, TilesetError) as error:
        logger.warning("no report of %s: %s", output.name, error)
        return None
    return folder / REPORT_FILE


def _key_figures(state: RunState, config: Config, rows: Sequence[Mapping[str, str]]) -> KeyFigures:
    has_validation = state.best_f1 >= 0
    found = [KeyFigure("Epochs", str(state.epoch), f"of {config.train.epochs}")]
    if has_validation:
        found.append(KeyFigure("Best F1", f"{state.best_f1:.3f}", f"in epoch {state.best_epoch}"))
    if rows:
        losses = _column(rows, "loss")
        found.append(KeyFigure("Loss", f"{losses[-1]:.3g}", f"{losses[0]:.3g} in the first epoch"))
        skipped = _column(rows, "skipped_steps")
        if np.nansum(skipped):
            note = "their loss or gradient was not finite"
            found.append(KeyFigure("Skipped steps", f"{np.nansum(skipped):.0f}", note))
    return KeyFigures(tuple(found))


def _curves(state: RunState, rows: Sequence[Mapping[str, str]]) -> list[PagePart]:
    """Return charts of all figures of the log by epoch."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    best = (ChartRule(state.best_epoch, "kept"),) if state.best_f1 >= 0 else ()
    groups = {
        "Losses": [name for name in names if name.endswith("loss")],
        "Validation": [name for name in _SCORES if name in names],
        "Learning rate": [name for name in names if name == "learning_rate"],
        "Norm of the gradient": [name for name in names if name == "gradient_norm"],
    }
    return [
        _chart(title, columns, rows, best)
        for title, columns in groups.items()
        if np.isfinite([_column(rows, name) for name in columns]).any()
    ]


def _chart(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    rules: tuple[ChartRule, ...],
) -> LineChart:
    epochs = _column(rows, "epoch")
    lines = tuple(
        ChartLine(
            _NAMES.get(name, name.replace("_", " ")),
            epochs,
            _column(rows, name),
            style % 6,
            dots=[2] * int(np.isfinite(_column(rows, name)).sum()),
        )
        for style, name in enumerate(columns)
    )
    is_share = title == "Validation"
    return LineChart(
        title=title,
        x_label="epoch",
        y_label="share" if is_share else title.lower(),
        lines=lines,
        rules=rules,
        y_range=(0.0, 1.0) if is_share else None,
        is_counted=True,
    )


def _column(rows: Sequence[Mapping[str, str]], name: str) -> Any:
    """Return a column of the log; NaN where there is none, and for an F1 of -1."""
    values = np.array([float(row.get(name) or math.nan) for row in rows])
    return np.where(values < 0, math.nan, values)


def _validation(
    model: Model, tileset: Tileset, config: Config, device: torch.device
) -> list[PageSection]:
    """Evaluate the model on the validation chips, in the precision of the training."""
    images = tileset.validating
    if not images:
        return []
    is_short = resolve_precision(config.train.precision, device) == torch.bfloat16
    precision: Literal["bfloat16", "float32"] = "bfloat16" if is_short else "float32"
    detect = config.detect.model_copy(update={"precision": precision})
    config = config.model_copy(update={"detect": detect})
    evaluation = measure(
        detect_images(model, tileset, images, with_trained_bands(config, tileset), str(device)),
        tileset.classes,
        config.match,
        threshold=tileset_thresholds(model, config, tileset),
        lowest=lowest_threshold(model, config),
    )
    judged = judge_images(evaluation)
    gsds = [one.gsd for one in evaluation.results]
    confusions = count_confusions(judged, gsds, len(tileset.classes), config.match)
    named = [(image.path.name, image.gsd) for image in images]
    openers = [show_image(image, config.data.bands) for image in images]
    return evaluation_sections(evaluation, judged, confusions, named, openers)


def _data(tileset: Tileset) -> list[PagePart]:
    parts = {name: tileset.split(name) for name in ("train", "val", "test")}
    known = {name: images for name, images in parts.items() if images}
    rows = tuple(
        (name, f"{len(images):,}", *(f"{n:,}" for n in _count(images, len(tileset.classes))))
        for name, images in known.items()
    )
    table = ReportTable(("part", "chips", *tileset.classes), rows, note=_sizes(known["train"]))
    return [table]


def _count(images: Sequence[LabelledImage], classes: int) -> list[int]:
    labels = np.concatenate([image.labels for image in images])
    return [int(n) for n in np.bincount(labels, minlength=classes)]


def _sizes(images: Sequence[LabelledImage]) -> str:
    boxes = np.concatenate([image.boxes for image in images])
    gsds = [image.gsd for image in images if image.gsd is not None]
    ground = f"{np.median(gsds):.3g} m per pixel" if gsds else "metres per pixel unknown"
    if not len(boxes):
        return ground
    low, middle, high = np.quantile((boxes[:, 2:] - boxes[:, :2]).max(axis=1), [0.01, 0.5, 0.99])
    return (
        f"{ground}; training objects have a median length of {middle:.0f} px, 98 % from "
        f"{low:.0f} to {high:.0f} px"
    )


def _about(model: Model, output: Path, tileset: Tileset) -> dict[str, Any]:
    about = model.description
    return {
        "model": output.name,
        "data": about.training.get("data", tileset.root.name),
        "bands": ", ".join(about.bands),
        "values": about.dtype,
        "score threshold": show_threshold(about.score_threshold),
    }
