"""Stand-ins for the predictor, which know or see where the objects are without a network."""

from typing import ClassVar

import numpy as np
from scipy import ndimage

from geodet.config import DetectConfig
from geodet.geometry.boxes import Detections
from geodet.models.decode import Decoded
from geodet.models.engine import ChipTensors, HostDevice

SMALL = DetectConfig(chip_size=64, overlap=16, precision="float32")


class AtOnce:
    """The steps of a predictor, for a stand-in that does all when it is called."""

    def for_pairs(self):
        return None

    def stack(self, chips):
        return ChipTensors(chips, chips)

    def start(self, stacked):
        return stacked.pixels

    def finish(self, chips):
        return self(chips)


class Seer(AtOnce):
    """Finds the part of each object that a chip shows, with a score of how much it shows."""

    iou_threshold = 0.5
    score_threshold = 0.5
    class_thresholds = (0.5,)
    device = HostDevice()
    precision = "float32"
    software: ClassVar = {}
    stride = 1
    object_px = None
    bytes_per_pixel = 1000.0

    def __init__(self, objects, *, is_sure=False):
        self.objects = np.array(objects, float).reshape(-1, 4)
        self.is_sure = is_sure

    def __call__(self, chips):
        assert len({chip.valid.shape for chip in chips}) == 1
        return [self.look(chip.window) for chip in chips]

    def look(self, window):
        boxes = self.objects - np.tile([window.col_off, window.row_off], 2)
        clipped = np.clip(boxes, 0, [window.width, window.height] * 2)
        shown = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1)
        share = shown / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        scores = np.full(len(boxes), 0.9) if self.is_sure else 0.9 * share
        seen = share > 0
        labels = np.zeros(len(boxes), int)
        return Decoded(Detections(clipped[seen], scores[seen], labels[seen]), 0)


class BrightnessSeer(Seer):
    """Finds bright boxes in the pixels of a chip, the more of one the surer."""

    def __init__(self, least):
        self.least = least

    def __call__(self, chips):
        return [self.look_at(chip) for chip in chips]

    def look_at(self, chip):
        parts, _ = ndimage.label((chip.pixels[0] > self.least) & chip.valid)
        boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(parts)]
        scores = [1 - 1 / (1 + (x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in boxes]
        return Decoded(Detections(boxes, scores, [0] * len(boxes)), 0)
