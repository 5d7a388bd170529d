"""Find the images of a tileset, and the label file of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path, PurePath

from geodet.errors import TilesetError
from geodet.tilesets.boundary import check_inside
from geodet.tilesets.label_documents import read_text
from geodet.tilesets.splits import natural_key

__all__ = [
    "IMAGE_SUFFIXES",
    "LabelPair",
    "annotation_folders",
    "check_label_files",
    "check_one_image_each",
    "find_label_file",
    "image_folders",
    "list_images",
    "list_images_below",
    "list_lone_labels",
    "list_with_ending",
]

_IMAGE_FOLDERS = ("images", "JPEGImages", "train_images", "obj_*_data")
# No .vrt, which is often a mosaic of the images beside it.
IMAGE_SUFFIXES = frozenset(
    {
        *(".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jfif", ".jp2", ".j2k", ".webp", ".bmp"),
        *(".gif", ".img", ".ntf", ".nitf", ".pgm", ".ppm"),
    }
)

LabelPair = tuple[Path, Path]
"""An image and its label file, which need not exist."""


def list_images(folder: Path) -> list[Path]:
    """List the images below the folder's ``images``, or else those in it, in natural order."""
    below = [place for name in _IMAGE_FOLDERS for place in folder.glob(name)]
    found = [file for place in below for file in list_images_below(place)]
    return _in_order(found or [file for file in folder.iterdir() if _is_image(file)])


def list_images_below(folder: Path) -> list[Path]:
    """List all images in a folder and its sub-folders, in natural order.

    Raises:
        TilesetError: A sub-folder is a link out of the tileset that is being read.
    """
    return _in_order(file for file in _iter_files(folder) if _is_image(file))


def _iter_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, and those below linked folders that are not below it anyway.

    Each folder is read once, as links may lead around in circles.
    """
    seen: set[Path] = set()
    tops = [folder]
    for top in tops:  # grows by the links that are met
        for name, inner, files in os.walk(top):
            place = Path(name)
            real = place.resolve()
            if real in seen:
                inner.clear()
                continue
            seen.add(real)
            inner.sort()
            links = [link for one in inner if (link := place / one).is_symlink()]
            for link in links:
                check_inside(link)
            tops += links
            yield from (place / file for file in files)


def _in_order(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: natural_key(str(file)))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()


def list_with_ending(folder: Path, *suffixes: str) -> list[Path]:
    """List the files in a folder whose names end so, in upper or lower case; none if it is none."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [file for file in files if file.suffix.lower() in suffixes]


def annotation_folders(folder: Path) -> list[Path]:
    """List the folder's sub-folders ``annotations``, in any case."""
    # Listed, not tried: where case does not matter, each spelling would find the same folder.
    inner = sorted(folder.iterdir()) if folder.is_dir() else []
    return [place for place in inner if place.name.lower() == "annotations" and place.is_dir()]


def image_folders(file: Path) -> list[Path]:
    """List the folders that may contain the images of a label file, the likeliest first."""
    bases = [file.parent]
    if file.parent.name.lower() == "annotations":
        bases.append(file.parent.parent)
    part = file.stem.removeprefix("instances_")
    words = ["", "images", "JPEGImages", "train_images", part, f"images/{part}", f"{part}/images"]
    return [base / word for base in bases for word in words]


def find_label_file(image: Path, folder: Path, names: Sequence[str], suffix: str) -> Path:
    """Return the label file of an image, which need not exist.

    Args:
        image: The image.
        folder: The tileset, or a part of it.
        names: Sub-folders that may contain label files, arranged as the images are: of ``folder``,
            or in place of a folder ``images`` that the image is in.
        suffix: Suffix of label files, in lower case; in upper case it is found, too.

    Returns:
        The first file that exists in such a sub-folder or beside the image; if there is none, the
        path where it is expected.
    """
    is_below = image.is_relative_to(folder)
    base = folder if is_below else Path(image.anchor)
    inner = image.with_suffix(suffix).relative_to(base).parts
    places = [n for n, part in enumerate(inner[:-1]) if _is_image_folder(part)]
    arranged = inner[1:] if 0 in places else inner
    candidates = [base.joinpath(name, *arranged) for name in names if is_below]
    candidates += [
        base.joinpath(*inner[:n], name, *inner[n + 1 :]) for n in places[::-1] for name in names
    ]
    beside = image.with_suffix(suffix)
    for candidate in (*candidates, beside):
        for file in (candidate, candidate.with_suffix(suffix.upper())):
            if file.is_file():
                return file
    return next((c for c in candidates if c.parent.is_dir()), beside)


def _is_image_folder(name: str) -> bool:
    return any(PurePath(name).match(pattern) for pattern in _IMAGE_FOLDERS)


def check_label_files(pairs: Sequence[LabelPair], folder: Path) -> list[str]:
    """Check that every label file has an image.

    Args:
        pairs: Each image and its label file.
        folder: Their folder, for messages.

    Returns:
        A warning of images without a label file, if there are any.

    Raises:
        TilesetError: A label file has no image, or several.
    """
    check_one_image_each(pairs)
    expected = {file for _, file in pairs}
    suffix = pairs[0][1].suffix.lower()
    orphans = _list_orphans(expected, folder, suffix)
    if orphans:
        raise TilesetError(
            f"{folder}: {len(orphans)} label files have no image, such as {orphans[0]}",
            hint="put the images beside their labels or in images/, under the same name, or remove"
            " these label files",
            path=folder,
        )
    bare = [image for image, file in pairs if not file.is_file()]
    if not bare:
        return []
    return [
        f"{folder}: {len(bare)} of {len(pairs)} images have no label file and count as empty, such"
        f" as {bare[0].name}"
    ]


def _list_orphans(expected: Set[Path], folder: Path, suffix: str) -> list[Path]:
    """List the other label files beside those of images, and anywhere below labels/ and such."""
    inner = {file for file in expected if file.is_relative_to(folder) and file.parent != folder}
    roots = {folder / file.relative_to(folder).parts[0] for file in inner}
    found = {file for root in roots for file in _iter_files(root)}
    for place in {file.parent for file in expected - inner}:
        found.update(place.glob("*"))
    return _keep_labels(found, expected, suffix)


def list_lone_labels(expected: Set[Path], suffix: str) -> list[Path]:
    """List the label files that lie beside those of images and belong to none of these images."""
    beside = {file for place in {one.parent for one in expected} for file in place.glob("*")}
    return _keep_labels(beside, expected, suffix)


def _keep_labels(found: Set[Path], expected: Set[Path], suffix: str) -> list[Path]:
    """Keep the label files of a suffix that are not expected."""
    others = [file for file in sorted(found - expected) if file.suffix.lower() == suffix]
    real = {file.resolve() for file in expected} if others else set()  # folders may be links
    return [file for file in others if file.resolve() not in real and _is_label(file)]


def check_one_image_each(pairs: Sequence[LabelPair]) -> None:
    """Check that no two images, such as a.png and a.jpg, have the same label file.

    Raises:
        TilesetError: Two images have.
    """
    owners: dict[Path, Path] = {}
    for image, file in pairs:
        if owners.setdefault(file, image) != image and file.is_file():
            raise TilesetError(
                f"{owners[file]} and {image.name} have the same label file, {file.name}",
                hint="keep one of the two images, or rename one of them with its labels",
                path=image,
            )


def _is_label(file: Path) -> bool:
    """Whether a file has labels, and is not a list of classes or a read-me beside them."""
    if file.suffix.lower() == ".json":
        return '"shapes"' in read_text(file)
    if file.suffix.lower() == ".xml":
        check_inside(file)
        # The declared encoding may be another; the tags are the same in all but UTF-16.
        return b"<annotation" in file.read_bytes()
    first = read_text(file).strip().partition("\n")[0].split()
    return len(first) >= 5 and first[0].isdigit()
