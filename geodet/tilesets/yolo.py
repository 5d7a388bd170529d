"""Read labels from YOLO text files, and the names of their classes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodet.documents.values import member, plain_word, shown, whole_number
from geodet.errors import TilesetError
from geodet.tilesets.label_documents import parse_yaml_labels, read_text
from geodet.tilesets.outlines import bounds_of
from geodet.tilesets.parsed_labels import Box, BoxForm, ParsedImage, ParsedLabels, Point

__all__ = ["KeyPoints", "read_key_points", "read_names", "read_yolo"]

_NAME_FILES = (
    "classes.txt",
    "obj.names",
    "data.yaml",
    "data.yml",
    "dataset.yaml",
    "dataset.yml",
    "_darknet.labels",
)
_YAML = {".yaml", ".yml"}
_HINT = (
    "a line is: class index, centre x, centre y, width, height, or class index and three or more"
    " corners"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeyPoints:
    """The key points that follow each box of YOLO pose labels."""

    count: int
    """Points of an object."""
    dimensions: int
    """2: x and y of each; 3: its visibility, too."""
    file: Path
    """The data.yaml, for error messages."""

    @property
    def numbers(self) -> int:
        """Numbers after the class of a line."""
        return 4 + self.count * self.dimensions


def read_yolo(
    pairs: Iterable[tuple[Path, Path]],
    names: Sequence[str],
    names_file: Path,
    key_points: KeyPoints | None = None,
) -> ParsedLabels:
    """Read YOLO text files: a class index and, as shares of the sides, centre x, centre y, w, h.

    A polygon (three corners or more) becomes its bounds, and with four corners an oriented box, as
    in the format YOLO-OBB. A box with a score is refused: it is a
    detection, and a model must not be trained on detections by mistake.

    Args:
        pairs: Each image and its text file. An image without a file has no objects.
        names: Names of the classes.
        names_file: The file of these names, for error messages.
        key_points: What follows each box, and is left out; None: the lines have no key points.

    Raises:
        TilesetError: A line is broken, or a class has no name.
    """
    images = []
    for path, file in pairs:
        image = ParsedImage(path, f"{file}, line ", frame="shares")
        lines = read_text(file).splitlines() if file.is_file() else []
        for number, line in enumerate(lines, start=1):
            if line.strip():
                index, box, outline = _parse_yolo(line, f"{file}, line {number}", key_points)
                if not 0 <= index < len(names):
                    raise TilesetError(
                        f"{file}, line {number}: class {shown(index)} is not one of the"
                        f" {len(names)} in {names_file}",
                        hint="classes are counted from 0; add the missing names",
                        path=file,
                    )
                form: BoxForm | None = None if outline else "centres"
                image.add(box, names[index], number, outline=outline, form=form)
        images.append(image)
    return ParsedLabels(names_file, images, tuple(names))


def _parse_yolo(
    line: str, where: str, key_points: KeyPoints | None
) -> tuple[int, Box, list[Point]]:
    index, *values = line.split()
    try:
        number, shares = _to_index(index), [float(value) for value in values]
    except ValueError as error:
        what = f"{shown(line.strip())} is not a class index and numbers"
        raise TilesetError(f"{where}: {what}", hint=_HINT) from error
    if key_points is not None:
        return number, _to_corners(_box_before(key_points, shares, where)), []
    if _is_detection(shares):
        raise TilesetError(
            f"{where}: {len(shares)} numbers after the class, which is a detection with a score and"
            " not a label",
            hint="to train on detections that people have checked, write them without scores"
            " (save_conf=False)",
        )
    if len(shares) == 4:
        return number, _to_corners(shares), []
    if len(shares) >= 6 and len(shares) % 2 == 0:
        points = list(zip(shares[::2], shares[1::2], strict=True))
        return number, bounds_of(points), points
    raise TilesetError(f"{where}: {len(shares)} numbers after the class", hint=_HINT)


def _to_index(word: str) -> int:
    """Return the number of a class, which programs also write as a float."""
    try:
        return int(word)
    except ValueError:
        number = float(word)
        if not number.is_integer():
            raise
        return int(number)


def _to_corners(shares: Sequence[float]) -> Box:
    x, y, w, h = shares
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _box_before(key_points: KeyPoints, shares: Sequence[float], where: str) -> Sequence[float]:
    """Return the box of a line with key points."""
    if len(shares) != key_points.numbers:
        shape = f"[{key_points.count}, {key_points.dimensions}]"
        raise TilesetError(
            f"{where}: {len(shares)} numbers after the class, where kpt_shape {shape} in"
            f" {key_points.file} needs {key_points.numbers}",
            hint=f"a line is: class index, centre x, centre y, width, height, and"
            f" {key_points.dimensions} numbers for each of the {key_points.count} key points;"
            " remove kpt_shape if the labels have none",
        )
    return shares[:4]


def _is_detection(shares: Sequence[float]) -> bool:
    """Whether the numbers are a box with a score, or with a score and a track number.

    Six numbers may also be the three corners of a triangle, whose last coordinate is at most 1.
    """
    return len(shares) == 5 or (len(shares) == 6 and shares[5] > 1 and shares[5].is_integer())


def read_names(
    folders: Iterable[Path],
    root: Path,
    *,
    first: Path | None = None,
    agreeing: Iterable[Path] = (),
) -> tuple[list[str], Path]:
    """Read the class names from the first file of names that exists.

    Args:
        folders: Folders that may contain it, in order.
        root: The tileset, for the error message.
        first: The file of names that obj.data gives; or data.yaml, which may have any name and may
            contain them, or obj.data, which does not.
        agreeing: Folders whose files of names must not contradict it.

    Returns:
        The names, and their file.

    Raises:
        TilesetError: There is no such file, it has no names or repeated ones, or another
            contradicts it.
    """
    files = _list_name_files(folders)
    if first is not None and _may_have_names(first):
        files.insert(0, first)
    if not files:
        raise TilesetError(
            f"{root} has YOLO labels, but no file with the names of their classes",
            hint="write the names to classes.txt, one per line",
        )
    names = _parse_names(files[0])
    if not names or len(set(names)) < len(names):
        raise TilesetError(
            f"{files[0]}: the class names {shown(names)} are empty or repeated",
            hint="give each class its own name",
            path=files[0],
        )
    for other in _list_name_files(agreeing):
        _check_agreement(names, files[0], other)
    return names, files[0]


def read_key_points(file: Path, folders: Iterable[Path] = ()) -> KeyPoints | None:
    """Read ``kpt_shape`` from data.yaml.

    Args:
        file: The file of the classes' names or of the split; one that is YAML decides.
        folders: Folders that may contain data.yaml, in order, where that file is another.

    Returns:
        The key points; None if there is no such file, or it has no ``kpt_shape``.

    Raises:
        TilesetError: ``kpt_shape`` is broken.
    """
    files = [one for one in [file, *_list_name_files(folders)] if one.suffix in _YAML]
    try:
        content = parse_yaml_labels(read_text(files[0]), files[0]) if files else None
    except TilesetError:
        return None  # where its names are needed, the error is raised there
    shape = content.get("kpt_shape") if isinstance(content, dict) else None
    if shape is None:
        return None
    try:
        count, dimensions = map(whole_number, shape if isinstance(shape, list) else [])
    except ValueError:
        count = dimensions = 0
    if count < 1 or dimensions not in (2, 3):
        raise TilesetError(
            f"{files[0]}: kpt_shape {shown(shape)} is not a number of key points and 2 or 3",
            hint="write kpt_shape: [17, 3] for 17 key points with x, y and visibility",
            path=files[0],
        )
    return KeyPoints(count, dimensions, files[0])


def _may_have_names(file: Path) -> bool:
    return "names" in read_text(file) if file.suffix in _YAML else file.suffix != ".data"


def _list_name_files(folders: Iterable[Path]) -> list[Path]:
    files = [folder / name for folder in folders for name in _NAME_FILES]
    return [file for file in files if file.is_file()]


def _check_agreement(names: Sequence[str], file: Path, other: Path) -> None:
    """Check that another file of names, if it is one, has the same names at the same numbers.

    YAML files in one folder may describe different tilesets.
    """
    if {file.suffix, other.suffix} <= _YAML and file.parent == other.parent:
        return
    try:
        others = _parse_names(other)
    except TilesetError:
        return  # such as a data.yaml without names
    for number, (name, differing) in enumerate(zip(names, others, strict=False)):
        if name.casefold() != differing.casefold():
            raise TilesetError(
                f"class {number} is {shown(name)} in {file} and {shown(differing)} in {other}",
                hint="labels hold only the numbers of classes: correct or remove the wrong file",
                path=other,
            )


def _parse_names(file: Path) -> list[str]:
    text = read_text(file)
    if file.suffix not in _YAML:
        return _list_lines(text, file)
    content = parse_yaml_labels(text, file)
    try:
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict):
            by_number = {whole_number(index): name for index, name in names.items()}
            if by_number.keys() != set(range(len(by_number))):
                raise ValueError(f"the numbers {shown(list(by_number))} do not count from 0")
            names = [by_number[index] for index in range(len(by_number))]
        return [_to_name(name) for name in member({"names": names}, "names", list)]
    except ValueError as error:
        raise TilesetError(
            f"{file}: cannot find the class names: {error}",
            hint="list them under the key names",
            path=file,
        ) from error


def _list_lines(text: str, file: Path) -> list[str]:
    """List names of classes, one in each line; an empty one among them is not counted."""
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if "" in lines:
        logger.warning(
            "%s: line %d is empty and counts as no class, while some programs count it: check that"
            " the classes below it are right",
            file,
            lines.index("") + 1,
        )
    return [line for line in lines if line]


def _to_name(value: Any) -> str:
    return str(value) if isinstance(value, bool | None) else plain_word(value)
