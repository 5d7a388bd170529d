"""The metadata of an ONNX file, in the words of the programs that read it."""

from __future__ import annotations

import json
import math
from typing import Literal

from geodet.errors import ModelFileError
from geodet.models.class_thresholds import choose_thresholds
from geodet.models.description import ModelDescription
from geodet.onnx.graph import TileFormat
from geodet.onnx.session import DESCRIPTION_KEY, READER_KEY

__all__ = ["Reader", "describe", "tile_format"]

Reader = Literal["deepness", "geodeep", "plain"]

_LOWEST_SCORE = 0.05  # to which a reader's own threshold can be lowered
_BYTES, _WORDS = 255.0, 65535.0


def tile_format(about: ModelDescription, reader: Reader, tile_size: int) -> TileFormat:
    """Describe the input and output of a program that reads tiles.

    Deepness divides all values by 255 and truncates boxes to whole pixels. GeoDeep divides by the
    largest value of the scene's type, reads uint8 and uint16, and passes red, green and blue.

    Args:
        about: The model.
        reader: ``deepness`` or ``geodeep``.
        tile_size: Side of the tiles in pixels.

    Raises:
        ModelFileError: The program cannot read the bands or the type that the model needs.

    Reference:
        github.com/PUTvision/qgis-plugin-deepness, ``processing/models``; geodeep 0.9,
        ``detection.py``.
    """
    if about.architecture.boxes == "oriented":
        raise ModelFileError(
            f"{about.name} finds oriented boxes, but {reader} reads only axis-aligned ones",
            hint="--reader plain writes a file that geodet itself reads",
            name=about.name,
        )
    is_deepness = reader == "deepness"
    if not is_deepness:
        _check_for_geodeep(about)
    return TileFormat(
        tile_size=tile_size,
        scale=_WORDS if about.dtype == "uint16" and not is_deepness else _BYTES,
        iou_threshold=about.iou_threshold,
        lowest_score=min(_LOWEST_SCORE, *choose_thresholds(about, None)),
        shift=0.5 if is_deepness else 0.0,
    )


def describe(
    about: ModelDescription, reader: Reader, *, tile_size: int, overlap: int
) -> dict[str, str]:
    """Return the metadata of a file by key, each value as JSON.

    Args:
        about: The model.
        reader: The program that the file is for.
        tile_size: Side of the tiles in pixels; unused for ``plain``.
        overlap: Pixels that neighbouring tiles share; unused for ``plain``.
    """
    own = {DESCRIPTION_KEY: about.model_dump_json(), READER_KEY: reader}
    if reader == "plain":
        return own
    values: dict[str, object] = {
        "model_type": "Detector",
        "det_type": "YOLO_v5_or_v7_default",
        "class_names": {str(index): name for index, name in enumerate(about.classes)},
        "tile_size": tile_size,
        "tiles_size": tile_size,  # in Deepness's documentation; its code reads the key above
        "tiles_overlap": math.ceil(100 * overlap / tile_size),  # whole percent
        "det_conf": min(choose_thresholds(about, None)),  # they have one for all classes
        "det_iou_thresh": _reader_threshold(about),
        "det_remove_overlap": True,
        # Deepness's default is for three bands; standardisation is inside the graph.
        "standardization_mean": [0.0] * len(about.bands),
        "standardization_std": [1.0] * len(about.bands),
    }
    if about.gsd is not None:
        values["resolution"] = round(100 * about.gsd, 2)  # centimetres per pixel
    return own | {key: json.dumps(value) for key, value in values.items()}


def _reader_threshold(about: ModelDescription) -> float:
    """Choose the overlap above which a reader takes two boxes for duplicates.

    The graph has suppressed the duplicates within a tile, so that only those of two tiles are left.
    Both readers compare the intersection with the smaller box, and make it a pixel too wide and too
    high. Two of the smallest objects that overlap as much as the model allows must both be kept.
    """
    share = 2 * about.iou_threshold / (1 + about.iou_threshold)  # of each of two equal boxes
    pixel = 1 / min(about.architecture.anchor_sizes)
    return min(round((share + pixel) * (1 + pixel), 2), 0.99)


def _check_for_geodeep(about: ModelDescription) -> None:
    if len(about.bands) != 3 or about.dtype not in ("uint8", "uint16"):
        raise ModelFileError(
            f"GeoDeep reads three bands of uint8 or uint16, and {about.name} needs "
            f"{len(about.bands)} of {about.dtype} ({', '.join(about.bands)})",
            hint="--reader deepness and --reader plain take any bands",
            name=about.name,
        )
