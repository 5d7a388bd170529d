"""Which epoch's weights a run keeps, when it ends early, and what the model file says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.swa_utils import AveragedModel

from geodet.config import Config, TrainConfig
from geodet.detection.predictor import Predictor
from geodet.evaluation.predictions import compare_images, predict_images
from geodet.evaluation.threshold_curves import MatchCounts, best_counts
from geodet.models.checkpoint import save_model
from geodet.models.description import ModelDescription
from geodet.models.device import resolve_precision
from geodet.models.inputs import InputValues, trained_bounds
from geodet.models.retinanet import RetinaNet
from geodet.raster.scene import Scene
from geodet.tilesets.tileset import Tileset
from geodet.training.runs import RunState, keep_model
from geodet.training.sampling import BandStatistics

__all__ = ["Selection", "is_best", "is_stale"]

_DEFAULT_THRESHOLD = 0.3  # of a model that nothing validated
_DEFAULT_IOU = 0.5  # Lin et al. 2017, section 4.1, "Inference"
_LOWEST_SCORE = 0.05  # of the detections that validation looks at


@dataclass(frozen=True, slots=True)
class Selection:
    """Validates the averaged weights, and writes the model file when they are the best so far."""

    output: Path
    """The model file."""
    averaged: AveragedModel
    """Holds the weights."""
    config: Config
    """All settings."""
    tileset: Tileset
    """Training and validation images."""
    statistics: BandStatistics
    """Of the training images."""
    device: torch.device
    """Where it computes."""

    def __call__(self, state: RunState) -> dict[str, float]:
        """Judge the epoch that the state counts last; gives no figures where none are due."""
        settings = self.config.train
        if state.epoch % settings.validate_every and state.epoch != settings.epochs:
            return {}
        network = self.averaged.module
        assert isinstance(network, RetinaNet)
        scores = self._validate(network)
        if is_best(state, scores):
            save_model(self.output, network, self._describe(scores))
            keep_model(self.output)
        return _figures(scores)

    def _validate(self, network: RetinaNet) -> MatchCounts | None:
        """Score on the validation images; None when there are none."""
        images = self.tileset.split("val")
        if not images:
            return None
        limits = self.config.detect
        _, dtype = self._bands()
        of_training = self.statistics
        bounds = trained_bounds(dtype, of_training.low, of_training.high)
        predictor = Predictor(
            network.eval(),
            device=self.device,
            precision=resolve_precision(self.config.train.precision, self.device),
            values=InputValues(of_training.mean, of_training.std, *bounds),
            score_threshold=_LOWEST_SCORE,
            iou_threshold=limits.iou_threshold or _DEFAULT_IOU,
            max_candidates=limits.max_candidates,
            max_per_level=limits.max_per_level,
        )
        found = predict_images(predictor, images, self.config.data.bands, limits)
        results = compare_images(found, images, self.config.match)
        return best_counts(results, lowest=_LOWEST_SCORE)

    def _describe(self, scores: MatchCounts | None) -> ModelDescription:
        """Describe the model for its file."""
        config, tileset = self.config, self.tileset
        images = tileset.split("train")
        bands, dtype = self._bands()
        distances = [image.gsd for image in tileset.images if image.gsd is not None]
        return ModelDescription(
            name=config.train.model_name or self.output.stem,
            description=config.train.description,
            architecture=config.model,
            classes=tileset.classes,
            bands=bands,
            dtype=dtype,
            **{key: tuple(values) for key, values in self.statistics._asdict().items()},
            gsd=sorted(distances)[len(distances) // 2] if distances else None,
            object_px=_longest([image.boxes for image in images]),
            score_threshold=scores.threshold if scores else _DEFAULT_THRESHOLD,
            iou_threshold=config.detect.iou_threshold or _DEFAULT_IOU,
            training={
                "data": config.train.data_name or tileset.root.name,
                "train_images": len(images),
                "train_objects": sum(len(image.boxes) for image in images),
                "val_images": len(tileset.split("val")),
                "val_objects": sum(len(image.boxes) for image in tileset.split("val")),
                "epochs": config.train.epochs,
                "seed": config.train.seed,
                **({"init": Path(config.train.init).stem} if config.train.init else {}),
            },
            figures={} if scores is None else _figures(scores),
        )

    def _bands(self) -> tuple[tuple[str, ...], str]:
        """Name the bands and their type, as the first training image has them."""
        data = self.config.data
        with Scene(self.tileset.split("train")[0].path, bands=data.bands) as scene:
            return data.band_names or scene.band_names, scene.dtype.name


def _longest(boxes: Sequence[NDArray[np.float64]]) -> float | None:
    """Measure the longer side that 99 of 100 boxes do not exceed; None without any."""
    sides = np.concatenate([(of[:, 2:] - of[:, :2]).max(axis=1, initial=0) for of in boxes])
    return float(np.percentile(sides, 99)) if len(sides) else None


def is_best(state: RunState, scores: MatchCounts | None) -> bool:
    """Tell whether the weights of the state's epoch are to be kept, and count it in the state.

    Of equal epochs the later one is kept, whose averages have seen more; but only a better F1
    makes the run fresh again, or one that never finds anything would not end.
    """
    f1 = -1.0 if scores is None else scores.f1
    state.stale = 0 if scores is None or f1 > state.best_f1 else state.stale + 1
    if f1 < state.best_f1:
        return False
    state.best_f1, state.best_epoch = f1, state.epoch
    return True


def is_stale(state: RunState, config: TrainConfig) -> bool:
    """Tell whether a run has waited for a better F1 as long as it may."""
    return config.patience is not None and state.stale >= config.patience


def _figures(scores: MatchCounts | None) -> dict[str, float]:
    """Give the figures for the log and for the model file; F1 is -1 without validation images."""
    if scores is None:
        return {"f1": -1.0}
    return {
        "f1": scores.f1,
        "precision": scores.precision,
        "recall": scores.recall,
        "score_threshold": scores.threshold,
    }
