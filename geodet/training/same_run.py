"""What a run must have in common with another one, or with itself when it goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from geodet.config import Config
from geodet.errors import TrainingError
from geodet.tilesets.labels import Tileset
from geodet.training.run_about import read_labels_digest

__all__ = [
    "SECTIONS",
    "check_labels",
    "check_same_settings",
    "digest_labels",
    "digest_same_labels",
]

_MAY_CHANGE = {
    *("workers", "cache_mib", "precision", "patience", "allow_outside"),
    *("model_name", "description", "data_name", "int8"),
}
SECTIONS = ("model", "data", "augment", "train", "match", "detect")
"""The sections of the settings that change what is learnt from a tileset."""
_OF_VALIDATION = {"iou_threshold", "max_candidates", "max_per_level"}  # of the keys of [detect]


def digest_labels(tileset: Tileset) -> str:
    """Compute a digest of all labels and of the images' names, sizes and splits, not of pixels."""
    digest = hashlib.sha256(repr(tileset.classes).encode())
    for image in tileset.images:
        about = image.path.name, image.place, image.split, image.width, image.height, image.gsd
        digest.update(repr(about).encode())
        oriented = [] if image.oriented is None else [image.oriented]
        for array in (image.boxes, image.labels, image.ignored, *oriented):
            digest.update(repr(array.shape).encode() + array.tobytes())
    return digest.hexdigest()


def digest_same_labels(tileset: Tileset, folder: Path, other: Path | None) -> str:
    """Compute the digest of the labels, and check that another run has learnt from the same.

    Args:
        tileset: The labels.
        folder: Folder of the run.
        other: Folder of the other run, which may lack its digest; None: there is none.

    Raises:
        TrainingError: They differ.
    """
    digest = digest_labels(tileset)
    known = "" if other is None else read_labels_digest(other)
    if known and known != digest:
        raise TrainingError(
            f"{other} was trained on other images or labels than {folder} would be",
            hint="give the same data, another output, or --overwrite to train all runs from "
            "scratch",
            path=folder,
        )
    return digest


def check_labels(folder: Path, *, began: str, now: str) -> None:
    """Check that a run goes on with the images and labels with which it began.

    Args:
        folder: Folder of the run.
        began: Digest of the labels in its state, see :func:`digest_labels`.
        now: That of the labels that were read.

    Raises:
        TrainingError: They differ.
    """
    if began != now:
        raise TrainingError(
            f"the run in {folder} was started with other images or labels",
            hint="resume with the same data, or start from scratch with --overwrite "
            "(overwrite=True)",
            path=folder,
        )


def check_same_settings(
    folder: Path, *, began: Config, now: Config, sections: Sequence[str] = SECTIONS
) -> None:
    """Check that the settings are those of the run, but for where and how fast it computes.

    Args:
        folder: Folder of the run.
        began: The settings in its state.
        now: Those to go on with.
        sections: The sections to compare.

    Raises:
        TrainingError: They differ.
    """
    for section in sections:
        before, after = getattr(began, section), getattr(now, section)
        keys = type(before).model_fields.keys() - _MAY_CHANGE
        for key in sorted(keys & _OF_VALIDATION if section == "detect" else keys):
            old, new = getattr(before, key), getattr(after, key)
            if old != new:
                raise TrainingError(
                    f"the run in {folder} was started with {section}.{key} = {old!r}, not {new!r}",
                    hint="resume with the same settings",
                    path=folder,
                )
