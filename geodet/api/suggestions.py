"""The public function that suggests windows to label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from geodet.api.call_arguments import (
    Paths,
    check_bounds,
    check_choice,
    check_path,
    list_paths,
    to_path,
)
from geodet.api.progress_bars import count_bar
from geodet.config import Config
from geodet.config.recipes import Settings, resolve_config
from geodet.detection.detect_options import DetectOptions
from geodet.models.model import Model
from geodet.onnx.backend import load_model
from geodet.suggesting.suggest import SuggestReport, suggest_windows
from geodet.suggesting.suggest_options import Rule, SuggestTask

__all__ = ["suggest"]


def suggest(
    scenes: Paths,
    output: str | Path,
    model: str | Path | Model = "urban-trees",
    *,
    budget: int = 16,
    by: Rule = "uncertainty",
    detections: str | Path | None = None,
    reviewed: str | Path | None = None,
    chip_size: int | None = None,
    device: str = "auto",
    config: Config | str | Path | None = None,
    settings: Settings = (),
    bands: Sequence[int | str] | None = None,
    aoi: str | Path | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    overwrite: bool = False,
    progress: bool | Callable[[int, int], None] = False,
) -> SuggestReport:
    """Suggest which windows of scenes to label, so that a model learns most from them.

    Args:
        scenes: As for :func:`detect`; also a folder of chips without labels.
        output: The GeoPackage to write. :func:`view` opens it with ``reviews``, and :func:`tile`
            cuts chips of the windows that were reviewed.
        model: The model that is to learn.
        budget: Windows to suggest.
        by: ``uncertainty`` (scores near the threshold), ``disagreement`` (objects that are not
            found alike when the window is turned; twice the work), or ``rarity`` (objects of rare
            classes). Rare classes weigh more in all of them.
        detections: What :func:`detect` found in the scenes with ``model``, at a low threshold: the
            network is not run.
        reviewed: A file of reviews whose windows are done.
        chip_size: Side of a window in pixels at the resolution of the model; None: 512.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        config: A configuration, a recipe's name or a TOML file.
        settings: Other keys of ``detect``.
        bands: As for :func:`detect`.
        aoi: A vector file of polygons in any CRS: suggest only there.
        bounds: xmin, ymin, xmax, ymax: suggest only there.
        bounds_crs: The CRS of ``bounds``; None: the scene's.
        overwrite: Replace a file that exists.
        progress: True shows a bar; a function is called with the windows done and of all.

    Raises:
        ConfigError: The arguments do not go together, or ``by`` is not one of the three.
        SceneError: No scene can be read.
        ModelFileError: There is no such model, or a scene lacks bands that it needs.
        VectorError: The detections, the reviews or the area cannot be read.
        OutputError: The output exists or cannot be written, or only some scenes have a CRS.

    Example:
        >>> report = suggest(scene, folder / "suggested.gpkg", budget=1, chip_size=128)
        >>> "near the threshold" in report.windows[0].reason
        True
    """
    check_choice("by", by, get_args(Rule))
    flags: dict[str, Any] = {"chip_size": chip_size, "bands": bands}
    chosen = resolve_config(config, flags={"detect": flags}, settings=settings)
    options = DetectOptions(
        device=device,
        aoi=to_path("aoi", aoi),
        bounds=check_bounds(bounds),
        bounds_crs=bounds_crs,
        overwrite=overwrite,
    )
    task = SuggestTask(budget, by, to_path("detections", detections), to_path("reviewed", reviewed))
    with count_bar("rating windows", is_shown=progress is True) as bar:
        return suggest_windows(
            list_paths(scenes),
            check_path("output", output),
            load_model(model),
            chosen.detect,
            task,
            options,
            progress=progress if callable(progress) else bar,
        )
