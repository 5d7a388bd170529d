"""What each detector of the comparison gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geodet.geometry.boxes import Detections


@dataclass(frozen=True, slots=True)
class PeerResult:
    """A trained detector's answers on the validation images."""

    name: str
    """Of the row."""
    found: Sequence[Detections] | None
    """Of each validation image; None where the training failed."""
    train_seconds: float
    """Of training, without reading and scoring."""
    images_seen: float
    """Training images, each pass over one counted; crops count as their share of an image."""
    images_per_second: float
    """Of detection on validation images that are in memory, batches of 4."""
    note: str = ""
    """What the row needs to be read rightly."""
