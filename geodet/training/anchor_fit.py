"""Fit anchors to the labels, and report how well the anchors cover them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from geodet.config import Config, ModelConfig
from geodet.errors import TilesetError
from geodet.geometry.arrays import Floats
from geodet.tilesets.labels import LabelledImage, Tileset

__all__ = [
    "Objects",
    "best_overlaps",
    "collect_objects",
    "fit_anchors",
    "settle_anchors",
    "share_missed",
]

logger = logging.getLogger(__name__)


_IOU = 0.5  # of an object and an anchor that covers it
_MOST_MISSED = 0.5  # share of the objects that are missed, beyond which anchors are fitted unasked
_WARN_BELOW = 0.9  # share of the objects that are covered
_SAMPLE = 1000  # maximum number of objects for the fit
_STEPS = (0.2, 0.1, 0.05, 0.02)  # of the logarithms of sides and ratios
_LEAST_STEP_GAIN = 1e-4  # in mean IoU, for a step to be taken
_LEAST_SHAPE_GAIN = 0.01  # in mean IoU, for a scale or a ratio to be worth its time


class Objects(NamedTuple):
    """Labelled boxes of all images together."""

    boxes: Floats
    """(N, 4) x1 y1 x2 y2 in pixels of their images."""
    extents: Floats
    """(N, 2) width and height of their images in pixels."""


def settle_anchors(tileset: Tileset, config: Config) -> Config:
    """Fit the anchors if the settings or the labels require it, and log how well they cover them.

    With ``model.anchors`` as ``auto``, anchors that miss more than half of the training objects at
    an IoU of 0.5 are replaced by fitted ones, with a warning.

    Args:
        tileset: Its training objects are used.
        config: All settings.

    Returns:
        The configuration with the anchors as numbers, as a model file stores them.

    Raises:
        TilesetError: There is no training object to fit to.
    """
    objects = collect_objects(tileset.split("train"))
    wanted = config.model.anchors
    if wanted == "fit" and not len(objects.boxes):
        raise TilesetError(
            f"{tileset.root} has no training object to fit anchors to",
            hint='set model.anchors = "given" and model.anchor_sizes',
            path=tileset.root,
        )
    model, given_sizes = config.model, config.model.anchor_sizes
    if wanted == "fit":
        model = _fitted(objects, config)
    elif wanted == "auto":
        model = _fitted_where_needed(objects, config)
    if model is not config.model:
        config = config.model_copy(update={"model": model})
    is_fit = wanted == "fit" or model.anchor_sizes != given_sizes
    if len(objects.boxes):
        _report(best_overlaps(objects, model), _advice(config, is_fit=is_fit))
    return config


def _fitted(objects: Objects, config: Config) -> ModelConfig:
    """Fit the anchors and log their numbers."""
    turned = config.augment.flips and config.augment.quarter_turns
    fitted = fit_anchors(objects, config.model, turned=turned)
    logger.info("fitted anchors: %s", _numbers(fitted))
    return fitted


def _fitted_where_needed(objects: Objects, config: Config) -> ModelConfig:
    """Fit the anchors if those given miss most of the objects and fitted ones miss fewer."""
    given = config.model.model_copy(update={"anchors": "given"})
    if not len(objects.boxes):
        return given
    before = share_missed(objects, given)
    if before <= _MOST_MISSED:
        return given
    turned = config.augment.flips and config.augment.quarter_turns
    fitted = fit_anchors(objects, given, turned=turned)
    after = share_missed(objects, fitted)
    if after >= before:
        return given
    logger.warning(
        "the anchors of the recipe, anchor_sizes = %s, miss %.0f %% of the training objects at IoU "
        "%.1f; fitted anchors are used, which miss %.0f %%: %s; to keep those of the recipe: --set "
        "model.anchors=given",
        list(given.anchor_sizes),
        100 * before,
        _IOU,
        100 * after,
        _numbers(fitted),
    )
    return fitted


def _numbers(model: ModelConfig) -> str:
    keys = ("anchor_sizes", "anchor_scales", "anchor_ratios")
    return ", ".join(f"{key} = {list(getattr(model, key))}" for key in keys)


def collect_objects(images: Iterable[LabelledImage]) -> Objects:
    """Concatenate the boxes of all images."""
    boxes, extents = [np.zeros((0, 4))], [np.zeros((0, 2))]
    for image in images:
        boxes.append(image.boxes)
        extents.append(np.tile([float(image.width), image.height], (len(image.boxes), 1)))
    return Objects(np.concatenate(boxes), np.concatenate(extents))


def best_overlaps(objects: Objects, config: ModelConfig) -> Floats:
    """Compute the IoU of each object with the anchor that overlaps it most.

    The result is exact for an image that is one chip: of the anchors of one shape the one with the
    nearest centre overlaps most, and the centres are at (cell + 0.5) * stride. Objects smaller than
    the stride may lie between the anchors, so that a fitting shape alone does not reach an IoU of
    1. Training crops shift the grid.

    Args:
        objects: N boxes.
        config: Levels and anchors.

    Returns:
        (N,) IoU, 0 to 1.
    """
    best = np.zeros(len(objects.boxes))
    for level, size in enumerate(config.anchor_sizes, start=config.levels[0]):
        shifts = _shifts(objects, 2**level)
        for scale in config.anchor_scales:
            for ratio in config.anchor_ratios:
                side = np.array([size * scale / ratio**0.5, size * scale * ratio**0.5])
                np.maximum(best, _overlap(objects.boxes, shifts, side), out=best)
    return best


def share_missed(objects: Objects, config: ModelConfig) -> float:
    """Compute the share of the objects that no anchor covers with an IoU of 0.5; 0 of none."""
    missed = best_overlaps(objects, config) < _IOU
    return float(missed.mean()) if len(missed) else 0.0


def fit_anchors(objects: Objects, config: ModelConfig, *, turned: bool = False) -> ModelConfig:
    """Choose the sizes, scales and ratios that maximise the mean of :func:`best_overlaps`.

    A pattern search over their logarithms, which starts from the quantiles of the objects' sides
    and ratios and is deterministic. Scales and ratios that add little are left out.

    Args:
        objects: At least one.
        config: The levels, and the maximum numbers of scales and ratios.
        turned: Whether training turns the chips by quarters, so that an object is as often tall as
            wide.

    Returns:
        The configuration with ``anchors = "given"`` and the fitted numbers. Sizes rise with the
        level, and from the second level on none is smaller than the stride.
    """
    sample = _sample(objects, turned=turned)

    def score(trial: ModelConfig) -> float:
        return float(best_overlaps(sample, trial).mean())

    found = _search(_first_guess(sample, config), score)
    return _search(_pruned(found, score), score)


def _sample(objects: Objects, *, turned: bool) -> Objects:
    chosen = np.linspace(0, len(objects.boxes) - 1, min(_SAMPLE, len(objects.boxes))).astype(int)
    boxes, extents = objects.boxes[chosen], objects.extents[chosen]
    if turned:
        boxes = np.concatenate([boxes, boxes[:, [1, 0, 3, 2]]])
        extents = np.concatenate([extents, extents[:, ::-1]])
    return Objects(boxes, extents)


def _first_guess(objects: Objects, config: ModelConfig) -> ModelConfig:
    """Spread the sizes, scales and ratios over the objects."""
    levels = config.levels[1] - config.levels[0] + 1
    shape = levels, len(config.anchor_scales)
    side = np.log(objects.boxes[:, 2:] - objects.boxes[:, :2])
    sides = np.quantile(side.mean(axis=1), _middles(levels * shape[1])).reshape(shape)
    steps = (sides - sides[:, :1]).mean(axis=0)
    ratios = np.quantile(side[:, 1] - side[:, 0], _middles(len(config.anchor_ratios)))
    return _described(config, np.concatenate([sides[:, 0], steps, ratios]), len(steps))


def _middles(count: int) -> Floats:
    return (np.arange(count) + 0.5) / count


def _search(config: ModelConfig, score: Callable[[ModelConfig], float]) -> ModelConfig:
    """Change one number at a time while that raises the score, in ever smaller steps."""
    scales = len(config.anchor_scales)
    logs = np.log([*config.anchor_sizes, *config.anchor_scales, *config.anchor_ratios])
    best = _described(config, logs, scales)
    highest = score(best)
    moves = np.concatenate([np.eye(len(logs)), -np.eye(len(logs))])
    for step in _STEPS:
        improved = True
        while improved:
            improved = False
            for move in moves * step:
                trial = _described(config, logs + move, scales)
                reached = score(trial)
                if reached > highest + _LEAST_STEP_GAIN:
                    logs, best, highest, improved = logs + move, trial, reached, True
    return best


def _described(config: ModelConfig, logs: Floats, scales: int) -> ModelConfig:
    """Return the configuration with these sizes, scales and ratios.

    Args:
        config: Levels and other settings.
        logs: Logarithms of sizes, scales and ratios, in this order.
        scales: Number of scales.

    Returns:
        Sizes, scales and ratios that each rise, with 1 as first scale.
    """
    first, last = config.levels
    strides = 2.0 ** np.arange(first, last + 1)
    strides[0] = 0.0  # the finest level must cover objects smaller than its stride
    parts = np.split(np.exp(logs), [len(strides), len(strides) + scales])
    sizes, factors, ratios = (np.sort(part) for part in parts)
    return config.model_copy(
        update={
            "anchors": "given",
            "anchor_sizes": _rounded(np.maximum(sizes * factors[0], strides), 2),
            "anchor_scales": _rounded(factors / factors[0], 3),
            "anchor_ratios": _rounded(ratios, 3),
        }
    )


def _rounded(values: Floats, digits: int) -> tuple[float, ...]:
    return tuple(round(float(value), digits) for value in values)


def _pruned(config: ModelConfig, score: Callable[[ModelConfig], float]) -> ModelConfig:
    """Remove the scales and ratios that add little: each costs time in every cell."""
    while trials := list(_one_less(config)):
        best = max(trials, key=score)
        if score(config) - score(best) > _LEAST_SHAPE_GAIN:
            break
        config = best
    return config


def _one_less(config: ModelConfig) -> Iterator[ModelConfig]:
    """Yield the configurations without one of the scales or ratios."""
    for key in ("anchor_scales", "anchor_ratios"):
        values = getattr(config, key)
        for index in range(len(values) if len(values) > 1 else 0):
            yield config.model_copy(update={key: values[:index] + values[index + 1 :]})


def _shifts(objects: Objects, stride: int) -> Floats:
    """Compute the distances of the objects' centres to the nearest anchor centre: (N, 2)."""
    centres = (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2
    last = np.ceil(objects.extents / stride) - 1
    cells = np.clip(np.floor(centres / stride), 0, last)
    shifts: Floats = np.abs(centres - (cells + 0.5) * stride)
    return shifts


def _overlap(boxes: Floats, shifts: Floats, side: Floats) -> Floats:
    """Compute the IoU of (N, 4) boxes and anchors of one shape at (N, 2) shifts from them."""
    sides = boxes[:, 2:] - boxes[:, :2]
    reach = (sides + side) / 2 - shifts
    common = np.clip(np.minimum(reach, np.minimum(sides, side)), 0, None).prod(axis=1)
    iou: Floats = common / (sides.prod(axis=1) + side.prod() - common)
    return iou


def _advice(config: Config, *, is_fit: bool) -> str:
    """Name the settings, of those not yet made, with which more objects would have an anchor."""
    ways = ["add values to model.anchor_scales and model.anchor_ratios"]
    if not is_fit:
        ways = ["--set model.anchors=fit (or model.anchor_sizes)"]
    if config.model.levels[0] > 2:
        ways.append("start model.levels at 2")
    if config.train.assigner == "iou":
        ways.append("lower train.positive_iou and train.negative_iou")
        ways.append("set train.assigner to nwd or atss")
    return ", or ".join(ways)


def _report(overlaps: Floats, advice: str) -> None:
    recall = float((overlaps >= _IOU).mean())
    text = "best possible recall of the anchors at IoU %.1f: %.3f of %d training objects"
    logger.info(text, _IOU, recall, len(overlaps))
    if recall < _WARN_BELOW:
        logger.warning(
            "the anchors miss %.0f %% of the training objects at IoU %.1f; %s",
            100 * (1 - recall),
            _IOU,
            advice,
        )
