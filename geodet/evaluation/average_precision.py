"""Average precision as COCO defines it, without a limit on the number of detections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geodet.evaluation.matching import overlapping_pairs
from geodet.evaluation.threshold_curves import Comparison
from geodet.geometry.arrays import Floats, Ints
from geodet.geometry.boxes import paired_iou
from geodet.geometry.oriented_boxes import oriented_of_boxes, oriented_shapes

__all__ = ["AveragePrecision", "mean_ap", "measure_ap"]

_IOU_50, _IOU_75 = 0, 5  # places in COCO's ten overlaps, 0.5 to 0.95
_LEAST_IOU = 0.5 - 1e-6  # just below COCO's lowest overlap, because of rounding
_BIN = 100  # detections and objects given to COCO as one image; its cost is quadratic
_SIDES = 4  # columns of an axis-aligned box
_ENDLESS = 1e18  # px², more than any box


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Average precisions in [0, 1]; NaN if there are no objects (of the size)."""

    ap: float
    """Mean over the overlaps 0.5, 0.55, ... 0.95."""
    ap50: float
    """At the overlap 0.5."""
    ap75: float
    """At the overlap 0.75."""
    small: float
    """As ``ap``, of the small objects."""
    medium: float
    """As ``ap``, of the medium objects."""
    large: float
    """As ``ap``, of the large objects."""


def measure_ap(
    results: Sequence[Comparison], classes: int, *, sides: tuple[float, float] | None
) -> list[AveragePrecision]:
    """Compute the average precision of each class.

    Args:
        results: Detections and labelled objects of each image. Unmatched detections in ignored
            regions do not count.
        classes: Number of classes.
        sides: Smallest medium and smallest large object, as the side in pixels of a square of the
            same area. None: no average precision by size.

    Returns:
        The average precisions of each class.

    Reference:
        Lin et al. 2014, arXiv:1405.0312, and the code of its API. COCO uses at most 100 detections
        of an image; here all count.
    """
    from faster_coco_eval import COCO, COCOeval_faster  # 0.3 s, needed only here

    content, found, most = _to_coco(results, classes)
    truth = COCO(content)
    small, large = (side**2 for side in sides or (0.0, 0.0))
    ranges = {"small": [0, small], "medium": [small, large], "large": [large, _ENDLESS]}
    run = COCOeval_faster(truth, truth.loadRes(found), "bbox", ranges=ranges)
    run.params.areaRng[0] = [0, _ENDLESS]
    run.params.maxDets = [most]
    shapes = [result.compared for result in results]
    if any(first.shape[1] > _SIDES for first, _ in shapes):
        run.computeIoU = _OrientedOverlaps.of(shapes, found, content["annotations"]).between
    run.computeIoU = _CrowdOverlaps.of(results, found, run.computeIoU).between
    run.evaluate()
    run.accumulate()
    precision = np.asarray(run.eval["precision"])[..., 0]  # (T, R, K, A): T overlaps, R recalls
    if sides is None:
        precision[..., 1:] = -1
    return [_to_measures(precision[:, :, label]) for label in range(classes)]


def mean_ap(parts: Sequence[AveragePrecision]) -> AveragePrecision:
    """Average each measure over the classes that have objects."""
    table = np.array([[getattr(part, name) for name in _NAMES] for part in parts])
    return AveragePrecision(*(_mean(column[~np.isnan(column)]) for column in table.T))


_NAMES = ("ap", "ap50", "ap75", "small", "medium", "large")


def _to_measures(precision: Floats) -> AveragePrecision:
    """Average COCO's precisions (T, R, A), which are -1 without objects."""
    every, small, medium, large = np.moveaxis(precision, -1, 0)
    parts = every, every[_IOU_50], every[_IOU_75], small, medium, large
    return AveragePrecision(*(_mean(part[part > -1]) for part in parts))


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")


def _to_coco(
    results: Sequence[Comparison], classes: int
) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """Return the labels and the detections in COCO's format, and the most detections of a bin.

    COCO compares every detection of an image with every object, 10^10 pairs in a large scene. Only
    boxes of one class that overlap by half can match. So each image is divided into bins such that
    no such pair is split, and each bin is an image for COCO. The matches are the same.
    """
    bins = _number_bins(results)
    labels: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for result, (found_bin, label_bin) in zip(results, bins, strict=True):
        detected, labelled = result.compared
        found += _annotations(detected, result.detections.labels, found_bin)
        labels += _annotations(labelled, result.labels, label_bin)
    # COCO ranks equal scores by image and position, which bins change. Ranks have no ties.
    scores = np.concatenate([np.zeros(0), *(r.detections.scores for r in results)])
    ranks = np.argsort(np.argsort(-scores, kind="stable")) / max(len(scores), 1)
    for row, (rank, annotation) in enumerate(zip(ranks.tolist(), found, strict=True)):
        annotation |= {"id": row + 1, "score": 1.0 - rank, "segmentation": []}
    labels = [one | {"iscrowd": 0} for one in labels] + _crowds(results, found)
    for row, annotation in enumerate(labels):
        annotation["id"] = row + 1
    used = np.concatenate([np.zeros(0, np.int64), *(part for pair in bins for part in pair)])
    most = np.bincount(np.concatenate([np.zeros(1, np.int64), *(pair[0] for pair in bins)])).max()
    content = {
        "images": [{"id": number} for number in np.unique(used).tolist()],
        "annotations": labels,
        "categories": [{"id": number, "name": str(number)} for number in range(1, classes + 1)],
    }
    return content, found, int(most)


def _crowds(results: Sequence[Comparison], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a crowd for each bin and class that has detections in ignored regions.

    COCO matches detections with objects first, and what is left with crowds, any number to one.
    """
    places = {
        (one["image_id"], one["category_id"])
        for one, inside in zip(found, _are_ignored(results), strict=True)
        if inside
    }
    empty = {"bbox": [0.0] * _SIDES, "area": 0.0, "iscrowd": 1}
    return [empty | {"image_id": image, "category_id": kind} for image, kind in sorted(places)]


def _are_ignored(results: Sequence[Comparison]) -> list[bool]:
    return [inside for result in results for inside in result.is_ignored.tolist()]


@dataclass(frozen=True, slots=True)
class _CrowdOverlaps:
    """Overlaps with the crowds: 1 for a detection in an ignored region, or else 0."""

    ignored: dict[tuple[int, int], list[bool]]
    """Whether each detection is in such a region, the strongest first, by bin and class."""
    overlaps: Callable[[int, int], Floats | list[float]]
    """Returns the overlaps of a bin and class with the objects: (D, G)."""

    @staticmethod
    def of(
        results: Sequence[Comparison],
        found: Sequence[dict[str, Any]],
        overlaps: Callable[[int, int], Floats | list[float]],
    ) -> _CrowdOverlaps:
        """Group the detections of all images, whose annotations come in the same order."""
        ignored = _are_ignored(results)
        rows = _by_bin(found, _by_score(found))
        inside = {key: [ignored[row] for row in of] for key, of in rows.items()}
        return _CrowdOverlaps({key: of for key, of in inside.items() if any(of)}, overlaps)

    def between(self, image: int, category: int) -> Floats | list[float]:
        """Return the overlaps of the detections of a bin and class; the crowd comes last."""
        overlaps, inside = self.overlaps(image, category), self.ignored.get((image, category))
        if inside is None:
            return overlaps
        return np.column_stack([np.asarray(overlaps)[:, :-1], inside])


@dataclass(frozen=True, slots=True)
class _OrientedOverlaps:
    """Overlaps of oriented boxes in the place of those that COCO computes."""

    detections: Floats
    """(N, 9) shapes of all detections."""
    objects: Floats
    """(M, 9) shapes of all objects, and empty ones of the crowds."""
    rows: tuple[dict[tuple[int, int], list[int]], ...]
    """Rows of detections, the strongest first, and of objects, by bin and class."""

    @staticmethod
    def of(
        shapes: Sequence[tuple[Floats, Floats]],
        found: Sequence[dict[str, Any]],
        labels: Sequence[dict[str, Any]],
    ) -> _OrientedOverlaps:
        """Group the shapes of all images, whose annotations come in the same order."""
        detected, labelled = (
            np.concatenate([_with_angles(pair[side]) for pair in shapes]) for side in (0, 1)
        )
        crowds = np.zeros((len(labels) - len(labelled), labelled.shape[1]))
        rows = _by_bin(found, _by_score(found)), _by_bin(labels, range(len(labels)))
        return _OrientedOverlaps(detected, np.concatenate([labelled, crowds]), rows)

    def between(self, image: int, category: int) -> Floats | list[float]:
        """Return the overlaps of the detections of a bin and class with its objects: (D, G)."""
        found, truth = (of.get((image, category), []) for of in self.rows)
        if not found or not truth:
            return []
        return paired_iou(self.detections[found][:, None], self.objects[truth])


def _by_score(found: Sequence[dict[str, Any]]) -> list[int]:
    return sorted(range(len(found)), key=lambda row: -found[row]["score"])


def _by_bin(
    annotations: Sequence[dict[str, Any]], order: Iterable[int]
) -> dict[tuple[int, int], list[int]]:
    rows: dict[tuple[int, int], list[int]] = {}
    for row in order:
        one = annotations[row]
        rows.setdefault((one["image_id"], one["category_id"]), []).append(row)
    return rows


def _with_angles(shapes: Floats) -> Floats:
    """Return (N, 9) shapes; those of an image that has none are its boxes."""
    return shapes if shapes.shape[1] > _SIDES else oriented_shapes(oriented_of_boxes(shapes))


def _annotations(boxes: Floats, labels: Ints, images: Ints) -> list[dict[str, Any]]:
    places = np.hstack([boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]])
    if boxes.shape[1] > _SIDES:  # COCO takes the area from this box, and no overlap
        places = np.hstack([boxes[:, 4:6] - boxes[:, 6:8] / 2, boxes[:, 6:8]])
    areas = np.prod(places[:, 2:], axis=1)
    rows = zip(places.tolist(), areas.tolist(), labels.tolist(), images.tolist(), strict=True)
    return [
        {"bbox": place, "area": area, "category_id": label + 1, "image_id": image}
        for place, area, label, image in rows
    ]


def _number_bins(results: Sequence[Comparison]) -> list[tuple[Ints, Ints]]:
    """Number the bins of all images: for each image that of each detection and each object."""
    bins, first = [], 0
    for result in results:
        numbers = first + _bin(result)
        bins.append((numbers[: len(result.detections)], numbers[len(result.detections) :]))
        first = int(numbers.max(initial=first - 1)) + 1
    return bins


def _bin(result: Comparison) -> Ints:
    """Number the bins of one image: (N + M,), detections first, then objects."""
    found, size = len(result.detections), len(result.detections) + len(result.boxes)
    if not 0 < found < size:
        return np.arange(size) // _BIN
    pairs = overlapping_pairs(*result.compared, _LEAST_IOU)
    same = result.detections.labels[pairs.detection] == result.labels[pairs.label]
    links = pairs.detection[same], found + pairs.label[same]
    graph = coo_array((np.ones(len(links[0])), links), shape=(size, size))
    count, group = connected_components(graph, directed=False)
    sizes = np.bincount(group, minlength=count)
    return np.asarray(((sizes.cumsum() - sizes) // _BIN)[group], np.int64)
