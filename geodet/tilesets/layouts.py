"""Find the labels of a tileset, and read them in whatever format they are.

A folder is compared with these layouts, and the first that fits is used:

1. a file for each split: ``train.json`` and ``val.json``, ``instances_train*.json`` and
   ``instances_val*.json`` (COCO), or ``train.csv`` and ``val.csv``, here or in ``annotations/``;
2. sub-folders ``train`` and ``val`` (or ``valid``, ``validation``), each with a layout of its own;
3. one COCO file;
4. one CSV file of points or of corners;
5. images, here or below ``images/``, with Pascal VOC files beside them or in ``annotations/``;
6. images with YOLO text files beside them or in ``labels/``.

A file ``images.csv`` beside any of these adds places, folds and images without objects.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from geodet.errors import TilesetError
from geodet.files.output_folders import check_tileset_exists
from geodet.tilesets.coco import read_coco
from geodet.tilesets.csv_tables import read_csv, read_image_table
from geodet.tilesets.labels import ParsedImage, ParsedLabels, read_text
from geodet.tilesets.splits import Split, natural_key
from geodet.tilesets.voc import read_voc
from geodet.tilesets.yolo import read_names, read_yolo

__all__ = [
    "IMAGE_FOLDERS",
    "IMAGE_SUFFIXES",
    "check_label_files",
    "find_label_file",
    "find_labels",
    "list_images",
]

IMAGE_FOLDERS = ("images", "JPEGImages")
IMAGE_SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".webp", ".bmp"})
_ALIASES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
}
_HINT = (
    "a tileset has train.json and val.json (COCO), or images with YOLO or Pascal VOC labels, or a"
    " CSV with the columns image,x,y or image_path,xmin,ymin,xmax,ymax,label"
)

logger = logging.getLogger(__name__)


def find_labels(path: Path) -> ParsedLabels:
    """Read the labels of a tileset in any known format.

    Args:
        path: A folder, or one COCO or CSV file.

    Raises:
        TilesetError: The path does not exist, no format is recognised, or a label file is broken.
    """
    check_tileset_exists(path)
    if path.is_dir():
        return _read_folder(path, path)
    return _with_table(_read_file(path), path.parent)


def _read_folder(folder: Path, root: Path) -> ParsedLabels:
    """Read one folder; ``root`` is that of the tileset, which may contain data.yaml for all."""
    files = {split: _find_file(folder, split) for split in _ALIASES}
    folders = {split: _find_subfolder(folder, split) for split in _ALIASES}
    if all(files.values()):
        parts = {s: _read_file(f) for s, f in files.items() if f}
    elif all(folders.values()):
        parts = {s: _read_folder(f, root) for s, f in folders.items() if f}
    else:
        return _with_table(_read_undivided(folder, root), folder)
    for split, part in parts.items():
        for image in part.images:
            image.split = split
    return _with_table(_joined(folder, list(parts.values())), folder)


def _read_undivided(folder: Path, root: Path) -> ParsedLabels:
    """Read a folder without files or sub-folders for the parts of a split."""
    jsons = sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")])
    cocos = [file for file in jsons if _is_coco(file)]
    if len(cocos) == 1:
        return _read_file(cocos[0])
    tables = [labels for f in _tables(folder) if (labels := read_csv(f, _image_folders(f)))]
    if len(tables) > 1:
        names = ", ".join(labels.source.name for labels in tables)
        raise TilesetError(
            f"{folder}: several label files: {names}", hint="give one of them", path=folder
        )
    if tables:
        return tables[0]
    images = list_images(folder)
    if any(
        find_label_file(i, folder, ("annotations", "Annotations"), ".xml").is_file() for i in images
    ):
        return _read_voc_folder(images, folder)
    if any(find_label_file(i, folder, ("labels",), ".txt").is_file() for i in images):
        return _read_yolo_folder(images, folder, root)
    raise _unknown_layout(folder, jsons, images)


def _unknown_layout(folder: Path, jsons: list[Path], images: list[Path]) -> TilesetError:
    """Return the error that lists what a folder contains."""
    found = f"{len(images)} images without labels" if images else "no images"
    if jsons:
        found = f"{len(jsons)} JSON files, none of them train.json and val.json"
    elif tables := _tables(folder):
        header = read_text(tables[0]).partition("\n")[0].strip()
        found = f"{tables[0].name} with the columns {header}"
    return TilesetError(f"{folder}: no labels recognised: {found}", hint=_HINT, path=folder)


def _read_voc_folder(images: list[Path], folder: Path) -> ParsedLabels:
    pairs = [
        (i, find_label_file(i, folder, ("annotations", "Annotations"), ".xml")) for i in images
    ]
    check_label_files(pairs, folder)
    labels = read_voc(pairs)
    labels.source = folder
    return _with_folder_splits(labels, folder)


def _read_yolo_folder(images: list[Path], folder: Path, root: Path) -> ParsedLabels:
    pairs = [(i, find_label_file(i, folder, ("labels",), ".txt")) for i in images]
    check_label_files(pairs, folder)
    names, file = read_names(dict.fromkeys([pairs[0][1].parent, folder, folder.parent, root]), root)
    return _with_folder_splits(read_yolo(pairs, names, file), folder)


def _is_coco(file: Path) -> bool:
    """Whether a JSON file is COCO, without parsing it: it may be large or broken."""
    text = read_text(file)
    return '"images"' in text and '"annotations"' in text


def _with_folder_splits(labels: ParsedLabels, folder: Path) -> ParsedLabels:
    """Set the split from folders below ``images/``, such as images/train and images/val."""
    aliases = {alias: split for split, words in _ALIASES.items() for alias in words}
    parts = [image.path.relative_to(folder).parts[1:-1] for image in labels.images]
    if {aliases.get(p[0]) for p in parts if p} >= {"train", "val"}:
        inside = [i for i, p in zip(labels.images, parts, strict=True) if p and p[0] in aliases]
        if len(inside) < len(labels.images):
            logger.warning(
                "%s: %d images are in neither train nor val and are left out",
                folder,
                len(labels.images) - len(inside),
            )
        labels.images = inside
        for image in inside:
            image.split = aliases[image.path.relative_to(folder).parts[1]]
    return labels


def _with_table(labels: ParsedLabels, folder: Path) -> ParsedLabels:
    """Add the places, folds and images of ``images.csv``, if it exists."""
    file = folder / "images.csv"
    if not file.is_file():
        return labels
    known = {image.path: image for image in labels.images}
    for entry in read_image_table(file, _image_folders(file)):
        image = known.setdefault(entry.path, entry)
        image.place, image.split = entry.place or image.place, entry.split or image.split
    labels.images = list(known.values())
    return labels


def _joined(folder: Path, parts: Sequence[ParsedLabels]) -> ParsedLabels:
    images: list[ParsedImage] = [image for part in parts for image in part.images]
    classes = dict.fromkeys(name for part in parts for name in part.classes)
    return ParsedLabels(folder, images, tuple(classes))


def _find_file(folder: Path, split: Split) -> Path | None:
    """Find the label file of one part of the split, None if there is none."""
    for place in (folder, folder / "annotations"):
        for word in _ALIASES[split]:
            instances = sorted(place.glob(f"instances_{word}*.json"))
            for file in [place / f"{word}.json", *instances, place / f"{word}.csv"]:
                if file.is_file():
                    return file
    return None


def _find_subfolder(folder: Path, split: Split) -> Path | None:
    return next((folder / w for w in _ALIASES[split] if (folder / w).is_dir()), None)


def _image_folders(file: Path) -> list[Path]:
    """List the folders that may contain the images of a label file, the likeliest first."""
    bases = [file.parent]
    if file.parent.name == "annotations":
        bases.append(file.parent.parent)
    words = ["", *IMAGE_FOLDERS, file.stem.removeprefix("instances_")]
    words.append(f"images/{words[-1]}")
    return [base / word for base in bases for word in words]


def _tables(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.csv")) if file.name != "images.csv"]


def _read_file(file: Path) -> ParsedLabels:
    """Read one COCO or CSV file."""
    if file.suffix.lower() == ".json":
        return read_coco(file, _image_folders(file))
    labels = read_csv(file, _image_folders(file))
    if labels is None:
        header = read_text(file).partition("\n")[0].strip()
        raise TilesetError(f"{file}: unknown columns {header}", hint=_HINT, path=file)
    return labels


def list_images(folder: Path) -> list[Path]:
    """List the images below the folder's ``images``, or else those in it, in natural order."""
    below = [file for name in IMAGE_FOLDERS for file in (folder / name).rglob("*")]
    found = [file for file in below if _is_image(file)]
    found = found or [file for file in folder.iterdir() if _is_image(file)]
    return sorted(found, key=lambda file: natural_key(str(file)))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()


def find_label_file(image: Path, folder: Path, names: Sequence[str], suffix: str) -> Path:
    """Return the label file of an image, which need not exist.

    Args:
        image: The image, in or below ``folder``.
        folder: The tileset, or a part of it.
        names: Sub-folders of ``folder`` that may contain label files, arranged as the images are.
        suffix: Suffix of label files.

    Returns:
        The first file that exists in such a sub-folder or beside the image; if there is none, the
        path where it is expected.
    """
    inner = image.relative_to(folder).with_suffix(suffix)
    if inner.parts[0] in IMAGE_FOLDERS:
        inner = Path(*inner.parts[1:])
    candidates = [folder / name / inner for name in names]
    beside = image.with_suffix(suffix)
    for candidate in (*candidates, beside):
        if candidate.is_file():
            return candidate
    return next((c for c in candidates if c.parent.is_dir()), beside)


def check_label_files(pairs: Sequence[tuple[Path, Path]], folder: Path) -> None:
    """Check that every label file has an image, and warn of images without a label file.

    Args:
        pairs: Each image and its label file, which need not exist.
        folder: Their folder, for messages.

    Raises:
        TilesetError: A label file has no image.
    """
    expected = {file for _, file in pairs}
    suffix = pairs[0][1].suffix
    orphans = [
        file
        for place in {file.parent for file in expected}
        for file in sorted(place.glob(f"*{suffix}"))
        if file not in expected and _is_label(file)
    ]
    if orphans:
        raise TilesetError(
            f"{folder}: {len(orphans)} label files have no image, such as {orphans[0]}",
            hint="put the images beside their labels or in images/, under the same name",
            path=folder,
        )
    bare = [image for image, file in pairs if not file.is_file()]
    if bare:
        logger.warning(
            "%s: %d of %d images have no label file and count as empty, such as %s",
            folder,
            len(bare),
            len(pairs),
            bare[0].name,
        )


def _is_label(file: Path) -> bool:
    """Whether a file has labels, and is not a list of classes or a read-me beside them."""
    if file.suffix == ".xml":
        return "<annotation" in read_text(file)
    first = read_text(file).strip().partition("\n")[0].split()
    return len(first) >= 5 and first[0].isdigit()
