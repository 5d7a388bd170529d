"""The parts of a scene of a job as GeoParquet: what is found can be looked at before the merge.

Rows are in the scene's CRS, along a Hilbert curve, with the identifiers that they keep where the
merge leaves their boxes as they are. The columns from ``row`` on are what the merge reads: the
order in which rows were found, boxes in the pixels of the scene's grid to the last digit, and which
of their sides the edge of a window cuts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geodet.detection.band_parts import BandPart, BandStore
from geodet.detection.detection_plan import PlannedScene
from geodet.documents.json_documents import parse_json
from geodet.documents.values import member
from geodet.errors import OutputError
from geodet.geometry.boxes import Detections
from geodet.geometry.windows import Window
from geodet.vector.arrow_rows import to_arrow
from geodet.vector.frames import object_ids
from geodet.vector.geoparquet import GROUP_ROWS, geoparquet_metadata
from geodet.vector.lazy_modules import compute, parquet, pyarrow
from geodet.vector.rows import ID, VectorLayer, to_rows
from geodet.vector.spooled_rows import BBOX, bbox_column, hilbert_places

__all__ = ["PartNotes", "PlacedParts"]

logger = logging.getLogger(__name__)

_GEOMETRY, _ROW, _ABOUT = "geometry", "row", "part"
_SHAPE = (
    *("grid_x1", "grid_y1", "grid_x2", "grid_y2"),
    *("grid_cx", "grid_cy", "grid_length", "grid_width", "grid_angle"),
)
_AXIS_ALIGNED = 4  # of these columns are of boxes that are not oriented
_CUT = ("cut_left", "cut_top", "cut_right", "cut_bottom")
_MAGIC, _LENGTH_BYTES = b"PAR1", 4


@dataclass(frozen=True, slots=True)
class PartNotes:
    """The metadata of a part: how it was made."""

    salt: str
    """Salt of the identifiers, see :func:`geodet.vector.frames.object_ids`."""
    metadata: Mapping[str, str]
    """The software, the model and the settings, by title."""


class PlacedParts(BandStore):
    """The finished bands of one scene in GeoParquet 1.1, a file for each.

    Args:
        folder: Where the parts are; it need not exist.
        job: Identifier of the job; parts of others are refused.
        scene: The scene.
        classes: Names of the classes, by label.
        note: Returns what a part says of how it was made.

    Reference:
        https://geoparquet.org/releases/v1.1.0
    """

    ending: ClassVar[str] = ".parquet"

    def __init__(
        self,
        folder: Path,
        job: str,
        scene: PlannedScene,
        classes: Sequence[str],
        note: Callable[[], PartNotes],
    ) -> None:
        super().__init__(folder)
        self._job = job
        self._scene, self._classes, self._note = scene, tuple(classes), note

    def list_missing(self, bands: Iterable[int], *, strict: bool = False) -> list[int]:
        """List the bands that have no part, one that is cut off, or one of another job or place.

        Only the ends of the files are read: a job may have a hundred thousand, on a network drive.
        What is damaged between them shows itself in :meth:`read_intact`.

        Args:
            bands: Their numbers.
            strict: Whether what the system does not let be read is an error, rather than missing.

        Raises:
            OutputError: The folder or a part cannot be read, and ``strict``.
        """
        try:
            there = {path.name for path in self.folder.iterdir()}
        except FileNotFoundError:
            there = set()
        except OSError as error:
            if strict:
                raise _unreadable(self.folder, error) from error
            logger.warning("the parts in %s count as missing: %s", self.folder, error)
            there = set()
        paths = {band: self.path_of(band) for band in bands}
        return [
            band
            for band, path in paths.items()
            if path.name not in there or not _is_part(path, self._origin(band), strict=strict)
        ]

    def read_intact(self, band: int) -> BandPart:
        """Read the part of a band.

        Raises:
            FileNotFoundError: There is none.
            OutputError: The system does not let it be read.
            ValueError: It is not intact, or is of another job, scene or band.
        """
        path = self.path_of(band)
        try:
            with path.open("rb") as file:
                content = file.read()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from error
        return self._decode(band, content)

    def _encode(self, band: int, part: BandPart) -> bytes:
        notes, found = self._note(), part.detections
        placed = self._scene.part(found.scaled(*self._scene.scale))
        crs = placed.geobox.crs
        about = {**self._origin(band), **notes.metadata, _ABOUT: _describe(part)}
        layer = VectorLayer(classes=self._classes, crs=crs, metadata=about)
        rows = to_rows(placed, layer)
        bounds, shapes = rows.bounds, found.shapes
        known = to_arrow(rows, _GEOMETRY)
        columns = {
            ID: pyarrow.array(object_ids(placed, self._classes, notes.salt), pyarrow.string()),
            "label": known["label"],
            "score": found.scores,
            "scene": known["scene"],
            _GEOMETRY: known[_GEOMETRY],
            BBOX: bbox_column(bounds),
            _ROW: np.arange(len(found), dtype=np.int32),
            **dict(zip(_SHAPE[: shapes.shape[1]], np.ascontiguousarray(shapes.T), strict=True)),
            **dict(zip(_CUT, np.ascontiguousarray(part.cut.T), strict=True)),
        }
        low = np.fmin.reduce(bounds, axis=0, initial=np.inf)
        high = np.fmax.reduce(bounds, axis=0, initial=-np.inf)
        extent = np.concatenate([low[:2], high[2:]])
        order = np.argsort(hilbert_places(bounds, extent), kind="stable")
        table = pyarrow.table(columns).take(pyarrow.array(order))
        stream = pyarrow.BufferOutputStream()
        # Arrow's own schema, which is left out, would hold the metadata a second time.
        options = {"compression": "zstd", "store_schema": False}
        with parquet.ParquetWriter(stream, table.schema, **options) as writer:
            writer.write_table(table, row_group_size=GROUP_ROWS)
            writer.add_key_value_metadata(geoparquet_metadata(layer, extent))
        return bytes(stream.getvalue())

    def _origin(self, band: int) -> dict[str, str]:
        """Return what the part of a band belongs to, by title."""
        return {"job": self._job, "path": self._scene.path, "band": str(band)}

    def _decode(self, band: int, content: bytes) -> BandPart:
        try:
            return _read(content, self._classes, self._origin(band))
        except (pyarrow.ArrowException, OSError, KeyError, TypeError, UnicodeError) as error:
            text = " ".join(str(error).split())  # Arrow's have several lines
            raise ValueError(text) from error  # and are OSErrors even for what is in memory


def _is_part(path: Path, origin: Mapping[str, str], *, strict: bool) -> bool:
    """Whether a file has the ends of a Parquet file, whose metadata say where it belongs."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _LENGTH_BYTES - len(_MAGIC), 0))
            end = file.read()
            length = int.from_bytes(end[:_LENGTH_BYTES], "little")
            rest = size - 2 * len(_MAGIC) - _LENGTH_BYTES
            is_whole = start == _MAGIC == end[_LENGTH_BYTES:] and 0 < length <= rest
            file.seek(size - len(end) - length if is_whole else 0)
            footer = file.read(length) if is_whole else b""
    except FileNotFoundError:
        return False
    except OSError as error:
        if strict:
            raise _unreadable(path, error) from error
        logger.warning("%s counts as missing: %s", path, error)
        return False
    try:
        about = parquet.read_metadata(pyarrow.BufferReader(_MAGIC + footer + end)).metadata
        _check_origin(about, origin)
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, UnicodeError):
        logger.warning("%s counts as missing: it is cut off or damaged", path)
    except ValueError as error:
        logger.warning("%s counts as missing: %s", path, error)
    else:
        return True
    return False


def _check_origin(about: Mapping[bytes, bytes], origin: Mapping[str, str]) -> None:
    if any(about[title.encode()].decode() != text for title, text in origin.items()):
        raise ValueError("it was computed for another job, scene or band")


def _unreadable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be read: {error.strerror or error}",
        hint="give this machine access to it; or remove it and run geodet detect --job again",
        path=path,
    )


def _describe(part: BandPart) -> str:
    """Return what the rows do not say, with a checksum of all that is read again."""
    return json.dumps({**_summarise(part), "sha256": _checksum(part)})


def _summarise(part: BandPart) -> dict[str, object]:
    skipped = [[*astuple(area), why] for area, why in part.not_examined.items()]
    blank = [list(astuple(area)) for area in part.no_data]
    known = {"empty": part.empty, "capped": part.capped, "not_examined": skipped}
    return {**known, "no_data": blank}


def _checksum(part: BandPart) -> str:
    found = part.detections
    digest = hashlib.sha256(json.dumps(_summarise(part)).encode())
    for values in (found.shapes, found.scores, found.labels, part.cut):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _read(content: bytes, classes: Sequence[str], origin: Mapping[str, str]) -> BandPart:
    with parquet.ParquetFile(pyarrow.BufferReader(content)) as file:
        about = file.schema_arrow.metadata
        _check_origin(about, origin)
        names = file.schema_arrow.names
        shape = _SHAPE if _SHAPE[-1] in names else _SHAPE[:_AXIS_ALIGNED]
        table = file.read(["label", "score", _ROW, *shape, *_CUT], use_threads=False)
        notes = parse_json(about[_ABOUT.encode()].decode())
    order = np.argsort(table[_ROW].to_numpy())
    known = compute.index_in(table["label"], pyarrow.array(classes, pyarrow.string()))
    labels = known.fill_null(-1).to_numpy()
    part = BandPart(
        Detections.of_shapes(
            _stack(table, shape)[order],
            table["score"].to_numpy()[order],
            labels[order],
        ),
        _stack(table, _CUT)[order].astype(np.bool_),
        member(notes, "empty", int),
        member(notes, "capped", int),
        {Window(*area): str(why) for *area, why in member(notes, "not_examined", list)},
        tuple(Window(*area) for area in member(notes, "no_data", list)),
    )
    if _checksum(part) != member(notes, "sha256", str):
        raise ValueError("its checksum is wrong")
    return part


def _stack(table: pyarrow.Table, names: Sequence[str]) -> NDArray[Any]:
    """Return columns side by side: (N, columns)."""
    return np.stack([table[name].to_numpy() for name in names], axis=-1)
