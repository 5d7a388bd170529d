"""Detect from file to file: pixels a second, what share of the bare network that is, and why."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from harness import Setting
from measuring import Utilisation, peak_gpu_mib, peak_host_mib, seconds_of
from models import MODELS, load
from scenes import TOWN, make_scene, paint_chips

from geodet.config import DetectConfig
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.predictor import build_predictor
from geodet.detection.window_plan import plan_windows
from geodet.models.model import Model
from geodet.raster.scene import Scene

__all__ = ["large", "moderate"]

Row = dict[str, Any]


class Case(NamedTuple):
    """One way to detect."""

    model: str
    kind: str = "deflate"
    workers: int | None = None  # as many as cores
    precision: str = "auto"
    batch_size: int | None = None
    profile: bool = False


def moderate(setting: Setting) -> Iterator[Row]:
    """Take scenes of 16,384 px: threads, compression, precision and batch."""
    bundled, paper = MODELS
    cases = [
        Case(paper),
        Case(bundled),
        Case(paper, "none"),
        Case(bundled, "none"),
        Case(paper, profile=True),
        Case(bundled, profile=True),
        Case(bundled, workers=8),
        Case(bundled, workers=2),
        Case(bundled, "jpeg"),
        Case(paper, batch_size=4),
        Case(paper, precision="float32"),
        Case(bundled, precision="float32"),
    ]
    if setting.is_tiny:
        cases = [Case(bundled, workers=2, batch_size=2)]
    yield from _run_all(setting, cases, TOWN // 4 if setting.is_tiny else 8 * TOWN)


def large(setting: Setting) -> Iterator[Row]:
    """Take 40,960 x 40,960 px."""
    bundled, paper = MODELS
    cases = [Case(paper), Case(bundled), Case(bundled, "none")]
    if setting.is_tiny:
        cases = [Case(bundled, "none", 2)]
    yield from _run_all(setting, cases, TOWN // 4 if setting.is_tiny else 20 * TOWN)


def _run_all(setting: Setting, cases: list[Case], side: int) -> Iterator[Row]:
    models = {case.model: load(setting.folder, case.model) for case in cases}
    bare: dict[tuple[str, str, int | None], float] = {}
    for case in cases:
        key = case.model, case.precision, case.batch_size
        if key not in bare:
            if not setting.is_tiny:
                _detect(setting, models[case.model], case, TOWN)  # warms up
            bare[key] = _bare_seconds(setting, models[case.model], case, side)
        yield case._asdict() | _detect(setting, models[case.model], case, side, bare[key])


def _config(case: Case) -> DetectConfig:
    return DetectConfig.model_validate(
        {"workers": case.workers, "precision": case.precision, "batch_size": case.batch_size}
    )


def _detect(
    setting: Setting, model: Model, case: Case, side: int, bare: float | None = None
) -> Row:
    scene = make_scene(setting.folder, side, case.kind)
    options = DetectOptions(device=setting.device, profile=case.profile)
    peak_gpu_mib(reset=True)
    # A folder of its own, so that nothing is left by a run that was killed.
    with (
        tempfile.TemporaryDirectory(dir=setting.folder) as folder,
        Utilisation(setting.device) as busy,
    ):
        output = Path(folder, "found.gpkg")
        report = detect_to_files([scene], [output], model, _config(case), options)
    speed = side * side / 1e6 / report.seconds
    return {
        **{"side": side, "seconds": report.seconds, "Mpx/s": speed},
        "relative to the network alone": bare / report.seconds if bare else None,
        **{"GPU busy, %": busy.percent, "W": busy.watts, "objects": sum(report.labels.values())},
        **{"capped": report.capped, "GPU MiB": peak_gpu_mib(), "host MiB": peak_host_mib()},
        "stages, s": {name: float(f"{taken:.3g}") for name, taken in report.stages.items()},
    }


def _bare_seconds(setting: Setting, model: Model, case: Case, side: int) -> float:
    """Return the seconds of the network alone for the windows, which lie on the device."""
    predictor = build_predictor(model, _config(case), setting.device)
    with Scene(make_scene(setting.folder, side)) as scene:
        limits = scene.window_limits
        grid, batch = plan_windows(predictor, _config(case), *scene.grid, limits=limits)
    window = grid[0]
    height, width = window.height, window.width
    chips = paint_chips(setting.folder, batch, max(height, width))[:, :, :height, :width]
    pixels = torch.from_numpy(chips).to(setting.device)
    valid = torch.ones((batch, height, width), dtype=torch.bool, device=setting.device)
    taken = seconds_of(
        lambda: predictor.forward(pixels, valid), setting.device, repeats=7, warm=1, most=1.5
    )
    return taken * len(grid) / batch
