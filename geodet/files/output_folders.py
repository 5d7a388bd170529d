"""Check the output folders of commands, before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geodet.errors import OutputError, TilesetError, TrainingError
from geodet.files.gdal_paths import check_gdal_output
from geodet.files.outputs import (
    check_destination,
    check_output_folder,
    hint_at_folder,
    int8_path,
)

__all__ = [
    "BEST_FILE",
    "CHIPS_ABOUT",
    "CHIPS_FOLDER",
    "DEMO_FILES",
    "EVALUATION_FILES",
    "JOB_PLAN",
    "LABEL_SUFFIXES",
    "LOG_FILE",
    "REPORT_FILE",
    "STATE_FILE",
    "TILESET_FILES",
    "check_demo_folder",
    "check_evaluation_folder",
    "check_new_tileset",
    "check_run",
    "check_tileset_exists",
    "is_job",
    "is_run",
    "run_folder",
]

LABEL_SUFFIXES = frozenset({".json", ".csv", ".xml", ".geojson", ".yaml", ".yml", ".data"})
"""Endings of files that label several images."""
TILESET_FILES = ("images", "train.json", "val.json")
"""Names of what `geodet tile` writes to a folder."""

JOB_PLAN = "job.json"
"""Name of the plan in the folder of a job."""


def is_job(path: str | Path) -> bool:
    """Whether a folder is that of a job."""
    return (Path(path) / JOB_PLAN).is_file()


def check_tileset_exists(path: Path) -> None:
    """Check that a tileset to read is a folder, or a file with labels.

    Raises:
        TilesetError: It does not exist, or is another kind of file.
    """
    if path.is_dir():
        return
    if not path.exists():
        raise TilesetError(f"{path} does not exist", hint="give the folder of a tileset", path=path)
    if path.suffix.lower() not in LABEL_SUFFIXES:
        raise TilesetError(
            f"{path} is not a folder, a COCO JSON file or a CSV file",
            hint="give a folder of images with COCO, CSV, Pascal VOC or YOLO labels",
            path=path,
        )


def check_new_tileset(output: Path, *, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Check that a tileset can be written to a folder.

    Args:
        output: The folder.
        overwrite: Whether an earlier tileset may be replaced.
        inputs: Files that are read, which must not lie in the folder.

    Raises:
        OutputError: The folder holds something that may not be replaced.
    """
    check_output_folder(output, TILESET_FILES, overwrite=overwrite, inputs=inputs)


REPORT_FILE = "report.html"
"""The page that an evaluation and a training write."""
EVALUATION_FILES = ("metrics.json", "metrics.csv", "curves.png", "errors.gpkg", REPORT_FILE)
"""The names of the files in it."""


def check_evaluation_folder(output: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Check that an evaluation can be written to a folder, before it begins.

    Args:
        output: The folder.
        overwrite: Whether the files of an earlier evaluation may be replaced.
        inputs: What the evaluation reads.

    Raises:
        OutputError: The folder holds something that may not be replaced, or GDAL cannot write
            to such a path.
    """
    check_gdal_output(output / "errors.gpkg")
    check_output_folder(output, EVALUATION_FILES, overwrite=overwrite, inputs=inputs)


DEMO_FILES = ("scene.tif", "truth.gpkg", "trees.gpkg", "trees.geojson", "preview.png")
"""The names of the files: the scene, the painted trees, the detections twice, a picture."""


def check_demo_folder(folder: Path, *, overwrite: bool) -> None:
    """Check that a demonstration can be written to a folder, which need not exist.

    Args:
        folder: The folder.
        overwrite: Whether the files of an earlier demonstration may be replaced.

    Raises:
        OutputError: The folder is a file, or a file in it exists already.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file", hint="give a folder", path=folder)
    if folder.is_dir():
        for name in DEMO_FILES:
            path = folder / name
            check_destination(path, (path.suffix,), overwrite=overwrite)


_RUN_SUFFIX = ".run"
BEST_FILE = "best.safetensors"
"""In the folder of a run: the best model so far."""

LOG_FILE = "log.csv"
"""The figures of each epoch, in the folder of its run."""
STATE_FILE = "state.pt"
"""In the folder of a run: the state after the last whole epoch."""

CHIPS_FOLDER = "chips"
"""In the folder of a run from scenes: the tileset that was cut from them."""

CHIPS_ABOUT = "chips.json"
"""In the folder of a run from scenes: what its chips were cut from."""


def run_folder(output: Path) -> Path:
    """Return the folder of a model's run, ``NAME.run`` beside ``NAME.safetensors``."""
    return output.with_suffix(_RUN_SUFFIX)


def is_run(path: str | Path) -> bool:
    """Whether a path is a folder with the name of a run, ``NAME.run``."""
    return Path(path).suffix == _RUN_SUFFIX and Path(path).is_dir()


def check_run(output: Path, *, resume: bool, overwrite: bool) -> Path:
    """Check that a training run can be written, before it begins.

    Args:
        output: The model file to write.
        resume: Whether the run continues an earlier one.
        overwrite: Whether an existing model and run may be replaced.

    Returns:
        The folder of the run, ``NAME.run`` beside ``NAME.safetensors``.

    Raises:
        OutputError: The model or an unfinished run exists already, or cannot be written.
        TrainingError: There is no run to resume.
    """
    if output.suffix != ".safetensors":
        raise OutputError(
            f"cannot write a model to {output}", hint="end its name in .safetensors", path=output
        )
    if not output.parent.is_dir():
        raise OutputError(
            f"no folder {output.parent} for {output.name}",
            hint=hint_at_folder(output.parent),
            path=output,
        )
    folder = run_folder(output)
    state = folder / STATE_FILE
    if output.exists() and not (overwrite or resume):
        continues = ", --resume (resume=True) continues its run" if state.is_file() else ""
        raise OutputError(
            f"{output} exists already",
            hint=f"--overwrite (overwrite=True) replaces it{continues}",
            path=output,
        )
    if state.exists() and not (overwrite or resume):
        raise OutputError(
            f"{folder} holds the state of an earlier run",
            hint="--resume (resume=True) continues it, --overwrite (overwrite=True) starts from "
            "scratch",
            path=folder,
        )
    twin = int8_path(output)
    if twin.exists() and not (output.exists() or overwrite or resume):
        raise OutputError(
            f"{twin} exists already: {output.name} would replace it",
            hint="--overwrite (overwrite=True) replaces it; give the new model another name to "
            "keep it",
            path=twin,
        )
    if resume and not state.is_file():
        begins = "start the run without --resume"
        raise TrainingError(
            f"nothing to resume: no file {state}",
            hint=f"{begins}, with --overwrite" if output.exists() else begins,
            path=folder,
        )
    return folder
