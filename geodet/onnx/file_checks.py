"""Check an ONNX file before onnxruntime opens it, and the network after it has.

The file is walked in its wire format, which takes no memory. The package onnx, which would parse
it, need not be installed to detect.

Reference:
    https://protobuf.dev/programming-guides/encoding, and ``onnx.proto`` of https://github.com/onnx/onnx.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from geodet.documents.values import shown
from geodet.errors import ModelFileError
from geodet.models.box_coding import DELTAS
from geodet.models.description import ModelDescription

__all__ = ["check_onnx_file", "check_session"]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
# Numbers of fields in onnx.proto.
_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_ATTRIBUTE, _TENSOR_OF, _GRAPH_OF = 5, 5, 6
_NAME, _RAW, _FLOATS, _DOUBLES, _EXTERNAL, _KIND = 8, 9, 4, 10, 13, 2
_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
_MOST_FIELDS = 2_000_000  # an export of a ResNet-50 has 20,000
_DEEPEST = 8  # graphs within attributes of nodes
_LARGEST = 2 << 30  # bytes of a protocol buffer
_Field = tuple[int, int, int]
"""Its number, and where it begins and ends; or its number, a whole number, and -1."""
_HINT = (
    "the file is damaged or crafted; `geodet export --reader plain` writes files that geodet reads"
)


def check_onnx_file(path: Path) -> None:
    """Check that a file keeps its weights in itself, and that they are finite.

    Raises:
        ModelFileError: It cannot be read, has more than 2 GiB, is no ONNX file, names files of
            weights beside or outside of it, or has weights that are NaN or infinite.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise ModelFileError(
                f"{path} has {size:,} bytes, and an ONNX file has at most {_LARGEST:,}",
                hint=_HINT,
                path=path,
            )
        if not size:
            raise ValueError("it is empty")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check_tensors(_Wire(data), path)
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read: {error}", hint="check the path and the permissions", path=path
        ) from error
    except ModelFileError:
        raise
    except ValueError as error:
        raise ModelFileError(
            f"{path} is not an ONNX file: {error}", hint=_HINT, path=path
        ) from error


def check_session(session: Any, about: ModelDescription, path: Path) -> None:
    """Check that the inputs and outputs of an open file are those of its description.

    Raises:
        ModelFileError: The bands or the classes differ.
    """
    inputs = {one.name: one.shape for one in session.get_inputs()}
    outputs = {one.name: one.shape for one in session.get_outputs()}
    for name, shapes, place, what, count in (
        ("pixels", inputs, 1, "bands", len(about.bands)),
        ("logits", outputs, 2, "classes", len(about.classes)),
        ("deltas", outputs, 2, "numbers of a box", DELTAS[about.architecture.boxes]),
    ):
        shape = shapes.get(name, ())
        found = shape[place] if len(shape) > place else None
        if found != count:
            raise ModelFileError(
                f"{path}: {name} has {shown(found)} {what}, and the description says {count}",
                hint=_HINT,
                path=path,
            )


def _check_tensors(wire: _Wire, path: Path) -> None:
    for start, end in wire.iter_tensors():
        fields = list(wire.iter_fields(start, end))
        if any(n == _EXTERNAL for n, _, _ in fields):
            raise ModelFileError(
                f"{path}: the weight {_name_of(wire.data, fields)} is in another file, and only "
                "those in the file itself are read",
                hint=_HINT,
                path=path,
            )
        kind = next((a for n, a, b in fields if n == _KIND and b < 0), 0)
        if not _are_finite(wire.data, fields, kind):
            raise ModelFileError(
                f"{path}: the weight {_name_of(wire.data, fields)} has values that are not finite "
                "numbers",
                hint="the file is damaged, or the training of its model diverged",
                path=path,
            )


def _name_of(data: mmap.mmap, fields: list[_Field]) -> str:
    names = [data[a:b] for number, a, b in fields if number == _NAME and b >= 0]
    return shown(names[-1].decode(errors="replace") if names else "")


def _are_finite(data: mmap.mmap, fields: list[_Field], kind: int) -> bool:
    if kind not in _TYPES:
        return True
    of_field = {_RAW: _TYPES[kind], _FLOATS: "<f4", _DOUBLES: "<f8"}
    for number, start, end in fields:
        if number in of_field and end >= 0:
            dtype = np.dtype(of_field[number])
            count = (end - start) // dtype.itemsize
            # Copied, since a view would keep the file open.
            if not np.isfinite(np.frombuffer(data[start:end], dtype, count)).all():
                return False
    return True


class _Wire:
    """The fields of a protocol buffer, in their order.

    Args:
        data: The file.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self._left = _MOST_FIELDS

    def iter_tensors(self) -> Iterator[tuple[int, int]]:
        """Yield the places of all weights and constants of a model."""
        for number, start, end in self.iter_fields(0, len(self.data)):
            if number == _GRAPH and end >= 0:
                yield from self._iter_graph(start, end, _DEEPEST)

    def _iter_graph(self, start: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
        if not depth:
            raise ValueError("its graphs are nested too deeply")
        for number, a, b in self.iter_fields(start, end):
            if number == _INITIALIZER and b >= 0:
                yield a, b
            elif number == _NODE and b >= 0:
                for attribute, c, d in self.iter_fields(a, b):
                    if attribute == _ATTRIBUTE and d >= 0:
                        yield from self._iter_attribute(c, d, depth)

    def _iter_attribute(self, start: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
        for number, a, b in self.iter_fields(start, end):
            if number == _TENSOR_OF and b >= 0:
                yield a, b
            elif number == _GRAPH_OF and b >= 0:
                yield from self._iter_graph(a, b, depth - 1)

    def iter_fields(self, start: int, end: int) -> Iterator[_Field]:
        """Yield the fields of a message."""
        place = start
        while place < end:
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it has more than {_MOST_FIELDS:,} fields")
            key, place = self._varint(place, end)
            number, wire = key >> 3, key & 7
            if wire == _VARINT:
                value, place = self._varint(place, end)
                yield number, value, -1
                continue
            if wire == _LENGTH:
                length, place = self._varint(place, end)
            elif wire in (_FIXED32, _FIXED64):
                length = 4 if wire == _FIXED32 else 8
            else:
                raise ValueError(f"a field is of the kind {wire}")
            if place + length > end:
                raise ValueError("it is cut off, or a length in it is wrong")
            yield number, place, place + length
            place += length

    def _varint(self, place: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if place >= end:
                break
            byte = self.data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, place
        raise ValueError("it is cut off, or a number in it is wrong")
