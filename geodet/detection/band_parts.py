"""The detections of the bands of a scene, and the folder that keeps them: a file for each band."""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from geodet.files.outputs import raising_output_errors
from geodet.files.synced_files import write_synced
from geodet.geometry.arrays import Bools, Ints
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window

__all__ = ["PART_ENDING", "BandPart", "BandStore"]

logger = logging.getLogger(__name__)

PART_ENDING = ".part"
"""Extension of the files in a folder of parts."""
_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class BandPart:
    """The detections that the windows of a band own, before duplicates at seams are removed."""

    detections: Detections
    """N detections, in the pixels of the scene's grid."""
    cut: Bools
    """(N, 4) from :func:`geodet.merging.fragments.cut_sides`."""
    empty: int = 0
    """Windows that the network did not see."""
    capped: int = 0
    """Candidates dropped by the caps of the configuration."""
    not_examined: Mapping[Window, str] = field(default_factory=dict)
    """Areas that could not be read or were not computed, in the scene's own pixels, and why."""
    no_data: tuple[Window, ...] = ()
    """Areas without data, in the pixels of the scene's grid."""

    @staticmethod
    def concatenate(parts: Sequence[BandPart]) -> BandPart:
        """Join the parts of the windows of a band, in order."""
        return BandPart(
            Detections.concatenate([part.detections for part in parts]),
            np.concatenate([np.zeros((0, 4), np.bool_), *(part.cut for part in parts)]),
            sum(part.empty for part in parts),
            sum(part.capped for part in parts),
            {area: why for part in parts for area, why in part.not_examined.items()},
            tuple(area for part in parts for area in part.no_data),
        )

    def to_bytes(self) -> bytes:
        """Convert to a checksum, followed by the arrays in numpy's ``.npz`` format."""
        stream = io.BytesIO()
        found = self.detections
        np.savez(
            stream,
            shapes=found.shapes,
            scores=found.scores,
            labels=found.labels,
            cut=self.cut,
            counts=np.array([self.empty, self.capped]),
            areas=_to_rows(self.not_examined),
            reasons=np.array(list(self.not_examined.values()), np.str_),
            no_data=_to_rows(self.no_data),
        )
        return hashlib.sha256(stream.getvalue()).digest() + stream.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> BandPart:
        """Convert what :meth:`to_bytes` returned back to a part.

        Raises:
            ValueError: The checksum does not match.
        """
        digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            raise ValueError("its checksum is wrong")
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            found = Detections.of_shapes(arrays["shapes"], arrays["scores"], arrays["labels"])
            empty, capped = arrays["counts"].tolist()
            areas = (Window(*area) for area in arrays["areas"].tolist())
            skipped = dict(zip(areas, arrays["reasons"].tolist(), strict=True))
            no_data = tuple(Window(*area) for area in arrays["no_data"].tolist())
            return BandPart(found, arrays["cut"], empty, capped, skipped, no_data)


def _to_rows(areas: Iterable[Window]) -> Ints:
    """Return windows as rows: (N, 4) first column, first row, width and height."""
    return np.array([astuple(area) for area in areas], np.int64).reshape(-1, 4)


class BandStore:
    """The finished bands of one scene, a file for each.

    Several processes, also on several machines, may write to one folder: each part is written to a
    temporary file and renamed when it is whole, and the last process replaces an equal part.

    Args:
        folder: Where the parts are; it need not exist.
    """

    ending: ClassVar[str] = PART_ENDING
    """Extension of the files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """The folder of the parts."""

    def read(self, band: int) -> BandPart | None:
        """Read the part of a band; None where there is none that is intact."""
        path = self.path_of(band)
        try:
            return self._decode(band, path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            logger.warning("%s is computed again: %s", path, error)
            return None

    def write(self, band: int, part: BandPart) -> None:
        """Write the part of a finished band, whole or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        with raising_output_errors(self.folder.parent):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_synced(self.path_of(band), self._encode(band, part))

    def path_of(self, band: int) -> Path:
        """Return where the part of a band is, or would be."""
        return self.folder / f"{band:06d}{self.ending}"

    def _encode(self, band: int, part: BandPart) -> bytes:  # noqa: ARG002 - others name the band
        """Return the content of the file of a band."""
        return part.to_bytes()

    def _decode(self, band: int, content: bytes) -> BandPart:  # noqa: ARG002 - as above
        """Return the part in the content of the file of a band.

        Raises:
            ValueError: The content is damaged, or of another band.
        """
        return BandPart.from_bytes(content)
