"""The public function that adapts a model to a place without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from geodet.api.call_arguments import check_choice, to_path
from geodet.api.training_tools import to_labelled_area
from geodet.config import Config
from geodet.config.recipes import Settings, label_flags, resolve_config
from geodet.errors import ConfigError
from geodet.evaluation.calibrate import CalibrateReport, calibrate_on_chips, calibrate_on_scene
from geodet.models.model import Model
from geodet.onnx.backend import load_model
from geodet.tilesets.splits import Part

__all__ = ["calibrate"]


def calibrate(
    model: str | Path | Model,
    output: str | Path,
    *,
    data: str | Path | None = None,
    scene: str | Path | None = None,
    labels: str | Path | None = None,
    aoi: str | Path | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    split: Part = "all",
    config: Config | str | Path | None = None,
    settings: Settings = (),
    label_field: str | None = None,
    labels_crs: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> CalibrateReport:
    """Adapt the scores and the threshold of a model to a place, without training.

    Pass ``data``, or ``scene`` and ``labels``. In the new file a score is the probability that a
    detection is right there, and the threshold is the one with the best F1.

    Args:
        model: A bundled model's name, a model file, or a loaded model.
        output: The new model file, ``.safetensors``.
        data: A tileset.
        scene: A raster.
        labels: A vector file of points or polygons: all objects of the scene, or of its area.
        aoi: A vector file of polygons: only this part of the scene was labelled.
        bounds: xmin, ymin, xmax, ymax in place of ``aoi``.
        bounds_crs: The CRS of ``bounds``; None: that of the scene.
        split: The part of the tileset: ``train``, ``val``, ``test``, or ``all`` of its images.
        config: A configuration, a recipe's name or a TOML file; ``match`` says when a detection is
            right.
        settings: Other keys, such as ``{"match.by": "distance"}``.
        label_field: The attribute with the class of ``labels``, as for :func:`tile`.
        labels_crs: CRS of labels whose file has none, as for :func:`tile`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        overwrite: Replace a file that exists.

    Raises:
        ConfigError: The arguments do not go together.
        TilesetError: The labels are broken, or no object is labelled.
        SceneError: The scene cannot be read.
        VectorError: The labels cannot be read.
        ModelFileError: The model lacks a class, or its scores do not tell right from wrong.
        OutputError: The output exists, or cannot be written.

    Example:
        >>> report = calibrate("urban-trees", folder / "here.safetensors", data=tiles)
        >>> 0 < report.expected.precision < 1
        True
    """
    check_choice("split", split, get_args(Part))
    area = to_labelled_area(aoi, bounds, bounds_crs)
    flags = label_flags(label_field, labels_crs, of_chips=data is not None)
    chosen = resolve_config(config, flags=flags, settings=settings)
    if data is not None and scene is None and labels is None:
        if area.summary is not None:
            raise ConfigError(
                "an area is given without a scene and labels",
                hint="pass scene and labels; give the area of chips to geodet.tile",
            )
        return calibrate_on_chips(
            load_model(model),
            Path(output),
            Path(data),
            chosen,
            split=split,
            device=device,
            overwrite=overwrite,
        )
    truth = to_path("labels", labels)
    if data is not None or scene is None or truth is None:
        raise ConfigError(
            "calibrate needs labels of one kind",
            hint="pass data, a tileset; or scene and labels",
        )
    return calibrate_on_scene(
        load_model(model),
        Path(output),
        Path(scene),
        truth,
        chosen,
        area=area,
        device=device,
        overwrite=overwrite,
    )
