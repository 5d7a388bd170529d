"""Train directly on scenes: their chips are cut into the folder of the run."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from geodet.config import Config, DataConfig
from geodet.documents.values import counted
from geodet.files.output_folders import CHIPS_ABOUT, CHIPS_FOLDER
from geodet.files.outputs import raising_output_errors, replacing
from geodet.files.version import __version__
from geodet.raster.scene_identity import identify_scene
from geodet.raster.scene_lists import list_scenes
from geodet.tilesets.tile import LabelledArea, tile_scene
from geodet.vector.formats import path_of, shapefile_parts

__all__ = ["ScenesWithLabels", "cut_for_a_while", "cut_for_run", "data_of_chips"]

logger = logging.getLogger(__name__)

_Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ScenesWithLabels:
    """Scenes to train on, in place of a tileset."""

    scenes: tuple[str, ...]
    """Rasters, see :func:`geodet.raster.scene_lists.list_scenes`."""
    labels: Path | tuple[Path, ...]
    """Their labels, see :func:`geodet.tilesets.label_files.pair_labels`."""
    area: LabelledArea = field(default_factory=LabelledArea)
    """The part that was labelled."""

    @property
    def name(self) -> str:
        """The first scene, and how many there are, as the model file names its data."""
        more = f" and {len(self.scenes) - 1} more" if len(self.scenes) > 1 else ""
        return f"{Path(self.scenes[0]).name}{more}"


def cut_for_run(
    source: ScenesWithLabels,
    folder: Path,
    config: Config,
    *,
    check: Callable[[Path], None] = lambda _folder: None,
    progress: _Progress | None = None,
) -> Path:
    """Cut the chips of a run into its folder, as ``geodet tile`` would.

    Chips that an earlier run of the same scenes, labels and settings left there are used again.

    Args:
        source: Scenes and labels.
        folder: Folder of the run; it is created.
        config: ``tile`` and ``data``.
        check: As for :func:`geodet.tilesets.tile.tile_scene`: chips that it refuses replace none.
        progress: As for :func:`geodet.tilesets.tile.tile_scene`.

    Returns:
        The tileset.

    Raises:
        GeodetError: As :func:`geodet.tilesets.tile.tile_scene` raises them.
    """
    chips, about = folder / CHIPS_FOLDER, folder / CHIPS_ABOUT
    now = _describe(source, config)
    if now is not None and chips.is_dir() and _read_about(about) == now:
        logger.info(
            "the chips in %s are used again: scenes, labels and settings have not changed", chips
        )
        return chips
    with raising_output_errors(folder), _removing_if_empty(folder):
        folder.mkdir(exist_ok=True)

        def finish(new: Path) -> None:
            check(new)
            about.unlink(missing_ok=True)  # it describes the chips that are replaced now

        _cut(source, chips, config, overwrite=True, check=finish, progress=progress)
        if now is not None:
            with replacing(about) as temporary:
                temporary.write_text(json.dumps(now, indent=1), encoding="utf-8")
    return chips


@contextmanager
def cut_for_a_while(
    source: ScenesWithLabels, config: Config, *, progress: _Progress | None = None
) -> Iterator[Path]:
    """Cut chips into a temporary folder, and remove it after the block.

    Args:
        source: Scenes and labels.
        config: ``tile`` and ``data``.
        progress: As for :func:`geodet.tilesets.tile.tile_scene`.

    Yields:
        The tileset.
    """
    with tempfile.TemporaryDirectory(prefix="geodet-") as folder:
        chips = Path(folder) / CHIPS_FOLDER
        _cut(source, chips, config, overwrite=False, check=lambda _folder: None, progress=progress)
        yield chips


def data_of_chips(config: Config) -> DataConfig:
    """Return the settings to read chips with that were cut with the settings of a run.

    The classes of the chips are as they are learnt: a map that swaps two would swap them back.
    """
    done = {"class_map": {}, "ignore_classes": (), "one_class": ""}
    return config.data.model_copy(update=done)


def _cut(
    source: ScenesWithLabels,
    chips: Path,
    config: Config,
    *,
    overwrite: bool,
    check: Callable[[Path], None],
    progress: _Progress | None,
) -> None:
    report = tile_scene(
        source.scenes,
        source.labels,
        chips,
        config.tile,
        config.data,
        area=source.area,
        overwrite=overwrite,
        check=check,
        progress=progress,
    )
    logger.info(
        "cut %d chips for training and %d for validation with %d objects",
        report.train,
        report.val,
        report.objects_kept,
    )
    if report.skipped_elsewhere:
        logger.info(
            "%s left out, in the validation area of another scene",
            counted(report.skipped_elsewhere, "window"),
        )


def _describe(source: ScenesWithLabels, config: Config) -> dict[str, object] | None:
    """Return everything that the chips depend on; None where a file cannot be told from a newer."""
    paths = list_scenes(source.scenes)
    labels = [source.labels] if isinstance(source.labels, Path) else source.labels
    files = [*labels, *([source.area.aoi] if source.area.aoi else [])]
    scenes = [f"{Path(path).absolute()}: {identify_scene(path)}" for path in paths]
    if any(text.endswith(": ") for text in scenes) or not all(map(_is_local, files)):
        return None
    return {
        "geodet": __version__,
        "scenes": scenes,
        "labels": [_identify_files(file) for file in files],
        "area": source.area.summary,
        "settings": {
            "tile": config.tile.model_dump(mode="json"),
            "data": config.data.model_dump(mode="json"),
        },
    }


def _is_local(file: Path) -> bool:
    return Path(path_of(file)).exists()


def _identify_files(path: Path) -> list[str]:
    """Return the names, sizes and times of change of a vector file's files, or of a folder's."""
    file = Path(path_of(path))
    found: Sequence[Path] = [file]
    if file.is_dir():
        found = sorted(entry for entry in file.iterdir() if entry.is_file())
    elif file.suffix.lower() == ".shp":
        found = [part for part in shapefile_parts(file) if part.exists()]
    elif file.suffix.lower() == ".gpkg":
        found = [file, *(p for p in (file.with_name(f"{file.name}-wal"),) if p.exists())]
    stats = [(entry, entry.stat()) for entry in found]
    texts = [f"{entry.name}: {one.st_size} bytes of {one.st_mtime_ns}" for entry, one in stats]
    return [str(path.absolute()), *texts]


def _read_about(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none was cut, or not to its end
        return None


@contextmanager
def _removing_if_empty(folder: Path) -> Iterator[None]:
    """Leave no empty folder when the block fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise
