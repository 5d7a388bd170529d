"""The public functions that make a model of your own: tile and train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from geodet.api.call_arguments import Paths, check_bounds, list_paths, to_path
from geodet.config import Config
from geodet.config.recipes import Settings, resolve_config
from geodet.errors import ConfigError
from geodet.tilesets.reviewed_labels import choose_labels
from geodet.tilesets.tile import LabelledArea, TileReport, tile_scene
from geodet.training.scene_chips import ScenesWithLabels
from geodet.training.train import EpochReport, TrainReport, run_training

__all__ = ["tile", "to_labelled_area", "to_training_data", "train"]


def tile(
    scene: Paths,
    labels: Paths | None,
    output: str | Path,
    *,
    reviews: str | Path | None = None,
    config: Config | str | Path | None = None,
    settings: Settings = (),
    chip_size: int | None = None,
    overlap: int | None = None,
    gsd: float | None = None,
    label_field: str | None = None,
    labels_crs: str | None = None,
    aoi: str | Path | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> TileReport:
    """Cut labelled chips from scenes: a tileset to train on.

    Args:
        scene: A raster, or several; also folders, quoted patterns and lists, as for :func:`detect`.
        labels: Points or polygons, in any vector file that GDAL reads and in any CRS: a file for
            all scenes, one for each in their order, or a folder with a file of each scene's name;
            None with ``reviews``.
        output: The folder of the tileset. It appears when it is complete.
        reviews: What ``geodet view --reviews`` wrote, in place of labels: only the windows that
            were reviewed become chips.
        config: A configuration, a recipe's name or a TOML file.
        settings: Other keys, such as ``{"tile.val_fraction": 0.3}``.
        chip_size: Side of a chip in pixels of the scene.
        overlap: Pixels that neighbouring chips share.
        gsd: Metres per pixel of the chips; None: those of each scene, or the shorter side of pixels
            that are not square on the ground.
        label_field: Attribute of the labels with the class; None: ``label``, ``class`` or ``name``;
            empty: all objects are of one class.
        labels_crs: CRS of labels whose file has none, such as a CSV; None: that of the scene.
        aoi: A vector file of polygons in any CRS: only this part was labelled, and what lies
            outside is neither object nor background.
        bounds: xmin, ymin, xmax, ymax: only this part was labelled.
        bounds_crs: The CRS of ``bounds``; None: that of each scene.
        overwrite: Replace a tileset that exists.
        progress: Called with the number of windows done and the number to do.

    Raises:
        ConfigError: Neither labels nor reviews are given, or both.
        SceneError: A scene cannot be read, or its metres per pixel are needed and unknown.
        VectorError: The labels or the area cannot be read, or the area meets no scene.
        TilesetError: No label lies in a scene, or they cannot be split by place.
        OutputError: The folder exists, or cannot be written.

    Example:
        >>> report = tile(scene, labels, folder / "tiles", chip_size=128)
        >>> report.train > report.val > 0
        True
    """
    flags = {
        "tile": {
            "chip_size": chip_size,
            "overlap": overlap,
            "gsd": gsd,
            "label_field": label_field,
            "labels_crs": labels_crs,
        }
    }
    chosen = resolve_config(config, flags=flags, settings=settings)
    area = to_labelled_area(aoi, bounds, bounds_crs)
    files, part = choose_labels(
        None if labels is None else _to_label_files(labels),
        None if reviews is None else Path(reviews),
        area,
    )
    return tile_scene(
        list_paths(scene, "scene"),
        files,
        Path(output),
        chosen.tile,
        chosen.data,
        area=part,
        overwrite=overwrite,
        progress=progress,
    )


def _to_label_files(labels: Paths) -> Path | list[Path]:
    files = [Path(label) for label in list_paths(labels, "labels")]
    return files[0] if isinstance(labels, str | Path) else files


def to_labelled_area(
    aoi: str | Path | None, bounds: Sequence[float] | None, bounds_crs: str | None
) -> LabelledArea:
    """Return the area that was labelled: everything where neither ``aoi`` nor bounds are given.

    Raises:
        ConfigError: The bounds are not four numbers, or both are given.
    """
    return LabelledArea(to_path("aoi", aoi), check_bounds(bounds), bounds_crs)


def train(
    data: Paths,
    output: str | Path,
    *,
    labels: Paths | None = None,
    aoi: str | Path | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    config: Config | str | Path | None = None,
    settings: Settings = (),
    epochs: int | None = None,
    init: str | Path | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[EpochReport], None] | None = None,
) -> TrainReport:
    """Train a model on a tileset, or on scenes and their labels.

    Args:
        data: A tileset: COCO, YOLO, Pascal VOC, CSV, or what :func:`tile` wrote. With ``labels``
            the scenes, which are then cut as :func:`tile` cuts them with the same settings.
        output: The model file, ``.safetensors``; the log and the state lie beside it in a folder
            that ends in ``.run``, and in its ``chips`` the chips of scenes.
        labels: The labels of scenes, as for :func:`tile`.
        aoi: With ``labels``, the part that was labelled, as for :func:`tile`.
        bounds: xmin, ymin, xmax, ymax in place of ``aoi``.
        bounds_crs: The CRS of ``bounds``; None: that of each scene.
        config: A configuration, a recipe's name or a TOML file.
        settings: Other keys, such as ``{"train.patience": 10}``.
        epochs: Passes over the training chips.
        init: A model whose weights the training starts from: a bundled model's name or a file. Its
            architecture is used as well, unless other keys of ``model`` are given; see
            ``train.init``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resume: Continue an interrupted run.
        overwrite: Replace a model that exists.
        progress: Called after each epoch.

    Raises:
        TilesetError: The tileset is broken or has nothing to train on.
        SceneError: A scene cannot be read.
        VectorError: The labels or the area cannot be read.
        ConfigError: A setting does not fit.
        OutputError: The output exists, or cannot be written.
        TrainingError: The run cannot be resumed, or its loss is not finite.
        DeviceError: The device is not there, or has too little memory.

    Example:
        >>> small = {"model.backbone_level": 2, "model.levels": [2, 2], "model.anchor_sizes": [12]}
        >>> small |= {"train.chip_size": 64, "train.batch_size": 4}
        >>> report = train(tiles, folder / "mine.safetensors", epochs=1, settings=small)
        >>> report.epochs
        1
    """
    flags = {"train": {"epochs": epochs, "init": None if init is None else str(init)}}
    return run_training(
        to_training_data(data, labels, to_labelled_area(aoi, bounds, bounds_crs)),
        Path(output),
        resolve_config(config, flags=flags, settings=settings),
        device=device,
        resume=resume,
        overwrite=overwrite,
        progress=progress or (lambda _: None),
    )


def to_training_data(
    data: Paths,
    labels: Paths | None,
    area: LabelledArea = LabelledArea(),  # noqa: B008 - frozen
) -> Path | ScenesWithLabels:
    """Return the path of a tileset, or scenes with their labels."""
    if labels is not None:
        files = _to_label_files(labels)
        paths = files if isinstance(files, Path) else tuple(files)
        return ScenesWithLabels(tuple(map(str, list_paths(data, "data"))), paths, area)
    if not isinstance(data, str | Path):
        raise ConfigError("scenes are given without labels", hint="pass labels as well")
    if area.summary is not None:
        raise ConfigError(
            "an area is given without labels of scenes",
            hint="pass scenes and labels; give the area of chips to geodet.tile",
        )
    return Path(data)
