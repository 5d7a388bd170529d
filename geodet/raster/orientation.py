"""The EXIF orientation of pictures, and a check that a PNG is complete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from geodet.files.ignored_warnings import ignoring_warnings
from geodet.geometry.windows import Window

__all__ = ["AS_STORED", "Turn", "is_truncated_png", "iter_png_chunks", "read_turn"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_BYTES = 2**24  # of a chunk that is wanted


def iter_png_chunks(path: Path, *, wanted: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG that are whole, each with its name and its data.

    Args:
        path: The file; nothing is yielded for one that is no PNG.
        wanted: Name of the chunks whose data is read; that of others is empty.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return
        while len(head := file.read(8)) == 8:
            length, name = int.from_bytes(head[:4], "big"), head[4:]
            end = file.tell() + length + 4  # the checksum follows the data
            if end > size:
                return
            yield name, file.read(length) if name == wanted and length < _MOST_BYTES else b""
            if name == b"IEND":
                return
            file.seek(end)


def is_truncated_png(path: Path) -> bool:
    """Whether a file is a PNG whose end is missing.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return False
    return all(name != b"IEND" for name, _ in iter_png_chunks(path))


_TAG = 0x0112
_PREFIX = b"Exif\x00\x00"


@dataclass(frozen=True, slots=True)
class Turn:
    """The way from stored pixels to the displayed picture: transposed, then flipped.

    Example:
        >>> import numpy as np
        >>> Turn.of(6).applied(np.array([[[1, 2], [3, 4]]])).tolist()  # a quarter turn clockwise
        [[[3, 1], [4, 2]]]
    """

    orientation: int
    """The EXIF orientation, 1 to 8; 1: displayed as stored."""
    transposes: bool
    """Whether rows become columns."""
    flips_columns: bool
    """Whether columns are reversed, after transposition."""
    flips_rows: bool
    """Whether rows are reversed, after transposition."""

    @staticmethod
    def of(orientation: int) -> Turn:
        """Return the turn of an EXIF orientation; of none for a number that EXIF does not define.

        Args:
            orientation: 1 to 8.
        """
        number = orientation if orientation in _TURNS else 1
        return Turn(number, *_TURNS[number])

    @property
    def is_none(self) -> bool:
        """Whether the picture is displayed as it is stored."""
        return self.orientation == 1

    def size(self, stored: tuple[int, int]) -> tuple[int, int]:
        """Return width and height of the displayed picture, or rows and columns of an array."""
        return (stored[1], stored[0]) if self.transposes else stored

    def stored_window(
        self, window: Window | RasterioWindow, displayed: tuple[int, int]
    ) -> RasterioWindow:
        """Return the stored pixels that a window of the displayed picture shows.

        Args:
            window: In displayed pixels.
            displayed: Width and height of the displayed picture.
        """
        left, top, width, height = window.col_off, window.row_off, window.width, window.height
        if self.flips_columns:
            left = displayed[0] - left - width
        if self.flips_rows:
            top = displayed[1] - top - height
        if self.transposes:
            left, top, width, height = top, left, height, width
        return RasterioWindow(left, top, width, height)

    def applied(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return a view of stored pixels (C, H, W) as they are displayed."""
        turned = pixels.transpose(0, 2, 1) if self.transposes else pixels
        turned = turned[:, :, ::-1] if self.flips_columns else turned
        return turned[:, ::-1] if self.flips_rows else turned


_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
AS_STORED = Turn.of(1)
"""The turn of a picture that is displayed as it is stored."""


def read_turn(dataset: Any) -> Turn:
    """Read how a picture is turned when it is displayed.

    GDAL reads the EXIF data of JPEG alone; those of PNG, WebP and TIFF are read from the file.

    Args:
        dataset: An open raster.

    Returns:
        No turn for a raster with a georeference, which a CRS alone is not, without EXIF data, or in
        another format.
    """
    if dataset.transform != Affine.identity() or dataset.gcps[0] or dataset.rpcs is not None:
        return AS_STORED
    if dataset.driver == "JPEG":
        number = dataset.tags().get("EXIF_Orientation", "1").strip()
        return Turn.of(int(number) if number.isdigit() else 1)
    if dataset.driver in {"PNG", "WEBP", "GTiff"}:
        return Turn.of(_read_from_file(Path(dataset.name), dataset.driver))
    return AS_STORED


def _read_from_file(path: Path, driver: str) -> int:
    """Read the orientation in a file that is not remote and no archive's, 1 if there is none."""
    if not path.is_file():
        return 1
    try:
        if driver == "PNG":
            return _orientation_in(_png_exif(path))
        # Pillow warns of what it does not know of the file.
        with ignoring_warnings(), Image.open(path) as picture:
            return int(picture.getexif().get(_TAG, 1))
    except (OSError, ValueError, TypeError, SyntaxError, UnidentifiedImageError):
        return 1
    except Image.DecompressionBombError:
        return 1  # no camera takes pictures that large


def _png_exif(path: Path) -> bytes:
    """Read the EXIF data of a PNG, without decoding it as Pillow would; empty if it has none."""
    return next((data for name, data in iter_png_chunks(path, wanted=b"eXIf") if data), b"")


def _orientation_in(data: bytes) -> int:
    exif = Image.Exif()
    if data:
        exif.load(data if data.startswith(_PREFIX) else _PREFIX + data)
    return int(exif.get(_TAG, 1))
