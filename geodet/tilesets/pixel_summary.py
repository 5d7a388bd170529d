"""Summarise detections in the pixels of their images, for ``geodet info found.json``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from geodet.tilesets.label_documents import read_json_labels
from geodet.tilesets.pixel_results import is_pixel_results, read_pixel_results
from geodet.vector.formats import YOLO_ABOUT
from geodet.vector.vector_summary import VectorSummary, by_title

__all__ = ["is_described_results", "summarise_pixel_results"]

_KEYS = ("file_name", "category", "bbox", "score")  # of COCO results


def is_described_results(path: Path) -> bool:
    """Whether a path is COCO results, or a folder of YOLO text that geodet wrote.

    Without the file that geodet writes to it, a folder with ``classes.txt`` may be a tileset.
    """
    return is_pixel_results(path) and (path.is_file() or (path / YOLO_ABOUT).is_file())


def summarise_pixel_results(path: str | Path) -> VectorSummary:
    """Count the detections of COCO results or of YOLO text, by class and by image.

    Args:
        path: See :func:`geodet.tilesets.pixel_results.read_pixel_results`.

    Raises:
        VectorError: The file is broken, or a detection has no class, score or image.
    """
    results = read_pixel_results(Path(path))
    found = [(image, one) for image, several in results.by_image.items() for one in several]
    scores = np.array([one.score for _, one in found])
    return VectorSummary(
        path=str(path),
        format="YOLO text" if results.are_shares else "COCO results",
        objects=len(found),
        crs=None,
        fields=() if results.are_shares else _KEYS,
        classes=dict(Counter(one.name for _, one in found).most_common()),
        scenes=dict(Counter(image for image, _ in found).most_common()),
        scores=(float(scores.min()), float(np.median(scores)), float(scores.max()))
        if found
        else None,
        made_by=by_title(_read_about(Path(path) / YOLO_ABOUT)) if results.are_shares else {},
        examined_ha=None,
        not_examined=0,
    )


def _read_about(path: Path) -> dict[str, str]:
    """Read how geodet made YOLO text."""
    found = read_json_labels(path)
    texts = found.items() if isinstance(found, dict) else ()
    return {key: text for key, text in texts if isinstance(text, str)}
