"""What an ONNX file says about itself, in the words of the programs that read it."""

from __future__ import annotations

import json
import math
from typing import Literal

from geodet.errors import ModelFileError
from geodet.models.description import ModelDescription
from geodet.onnx.graph import TileFormat
from geodet.onnx.session import DESCRIPTION_KEY, READER_KEY

__all__ = ["Reader", "describe", "tile_format"]

Reader = Literal["deepness", "geodeep", "plain"]

_LOWEST_SCORE = 0.05  # a reader's own threshold can be lowered to this
_BYTES, _WORDS = 255.0, 65535.0


def tile_format(about: ModelDescription, reader: Reader, tile_size: int) -> TileFormat:
    """Say what a reader of tiles feeds and expects.

    Deepness divides all values by 255 and cuts boxes to whole pixels. GeoDeep divides by the
    largest value of the scene's type, knows bytes and 16 bits, and takes red, green and blue.

    Args:
        about: The model.
        reader: ``deepness`` or ``geodeep``.
        tile_size: Side of the tiles in pixels.

    Raises:
        ModelFileError: The reader cannot feed the model.

    Reference:
        github.com/PUTvision/qgis-plugin-deepness, ``processing/models``; geodeep 0.9,
        ``detection.py``.
    """
    is_deepness = reader == "deepness"
    if not is_deepness:
        _check_for_geodeep(about)
    return TileFormat(
        tile_size=tile_size,
        scale=_WORDS if about.dtype == "uint16" and not is_deepness else _BYTES,
        iou_threshold=about.iou_threshold,
        lowest_score=min(_LOWEST_SCORE, about.score_threshold),
        shift=0.5 if is_deepness else 0.0,
    )


def describe(
    about: ModelDescription, reader: Reader, *, tile_size: int, overlap: int
) -> dict[str, str]:
    """Give the metadata of a file, each value as JSON.

    Args:
        about: The model.
        reader: The program that the file is for.
        tile_size: Side of the tiles in pixels, where the reader has tiles.
        overlap: Pixels that neighbouring tiles share, likewise.
    """
    own = {DESCRIPTION_KEY: about.model_dump_json(), READER_KEY: reader}
    if reader == "plain":
        return own
    values: dict[str, object] = {
        "model_type": "Detector",
        "det_type": "YOLO_v5_or_v7_default",
        "class_names": {str(index): name for index, name in enumerate(about.classes)},
        "tile_size": tile_size,
        "tiles_size": tile_size,  # as Deepness's documentation has it; its code reads the other
        "tiles_overlap": math.ceil(100 * overlap / tile_size),  # whole percent
        "det_conf": round(about.score_threshold, 4),
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
    """Choose the overlap at which a reader takes two boxes for one object.

    Duplicates within a tile are gone by then; what is left are those of two tiles. Both readers
    compare the intersection with the smaller box, and count it a pixel wider and higher than it is.
    Two of the smallest objects that overlap as much as the model allows must both stay.
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
