"""The best epoch of a run: validation, the model file, and the decision to stop early."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from geodet.config import Config, TrainConfig
from geodet.detection.predictor import Predictor
from geodet.errors import ModelFileError, TrainingError
from geodet.evaluation.average_precision import mean_ap, measure_ap
from geodet.evaluation.evaluated_chips import compare_images, predict_images
from geodet.evaluation.threshold_curves import FEW_OBJECTS, MatchCounts, best_counts
from geodet.files.outputs import int8_path
from geodet.models.checkpoint import save_model
from geodet.models.description import ModelDescription
from geodet.models.device import resolve_precision
from geodet.models.input_values import InputValues, trained_bounds
from geodet.models.retinanet import RetinaNet
from geodet.models.torch_engine import TorchEngine
from geodet.tilesets.displayed_images import open_image
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.training.band_statistics import BandStatistics
from geodet.training.losses import RetinaNetLoss
from geodet.training.run_folder import RunState, keep_model
from geodet.training.validation_loss import ValidationLoss

__all__ = ["BestModelKeeper", "is_best", "is_stale", "warn_without_validation"]

logger = logging.getLogger(__name__)

_DEFAULT_THRESHOLD = 0.3  # score threshold of a model without validation
_DEFAULT_IOU = 0.5  # Lin et al. 2017, section 4.1, "Inference"
_LOWEST_SCORE = 0.05  # of the detections that are validated


class _Validation(NamedTuple):
    """The result of a validation."""

    scores: MatchCounts | None
    """Counts at the best threshold; None where no object validates."""
    precisions: dict[str, float]
    """Average precisions; none where nothing is labelled."""
    loss: dict[str, float]
    """The loss; none where no image is taken whole."""


@dataclass(frozen=True, slots=True)
class BestModelKeeper:
    """Validates the averaged weights, and writes the model file if they are the best so far."""

    output: Path
    """The model file."""
    averaged: AveragedModel
    """The averaged weights."""
    config: Config
    """All settings."""
    tileset: Tileset
    """Training and validation images."""
    statistics: BandStatistics
    """Statistics of the training images."""
    device: torch.device
    """Device of the validation."""
    loss: RetinaNetLoss
    """Loss of the training, which is measured on the validation images, too."""

    def __call__(self, state: RunState) -> dict[str, float]:
        """Validate the last epoch of the state, and keep its weights if they are the best.

        Args:
            state: State of the run after the epoch; :func:`is_best` updates it.

        Returns:
            Figures of the validation; empty if this epoch is not validated.

        Raises:
            TrainingError: The averaged weights give scores that are not finite.
        """
        settings = self.config.train
        if state.epoch % settings.validate_every and state.epoch != settings.epochs:
            return {}
        network = self.averaged.module
        assert isinstance(network, RetinaNet)
        try:
            validation = self._validate(network)
        except ModelFileError as error:  # the scores or boxes are not finite
            raise TrainingError(
                f"the scores became infinite in epoch {state.epoch}: {error}",
                hint="lower train.learning_rate or raise train.warmup",
                path=self.output,
            ) from error
        scores, precisions = validation.scores, validation.precisions
        if is_best(state, scores):
            save_model(self.output, network, self._describe(state.epoch, scores, precisions))
            int8_path(self.output).unlink(missing_ok=True)  # made from other weights
            keep_model(self.output)
        return _figures(scores) | precisions | validation.loss

    def _validate(self, network: RetinaNet) -> _Validation:
        """Score the validation images."""
        images = self.tileset.validating
        if not images:
            return _Validation(None, {}, {})
        limits = self.config.detect
        _, dtype = self._bands()
        of_training = self.statistics
        bounds = trained_bounds(dtype, of_training.low, of_training.high)
        predictor = Predictor(
            TorchEngine(
                network.eval(),
                self.device,
                resolve_precision(self.config.train.precision, self.device),
            ),
            values=InputValues(of_training.mean, of_training.std, *bounds),
            score_threshold=_LOWEST_SCORE,
            iou_threshold=self._iou_threshold,
            max_candidates=limits.max_candidates,
            max_per_level=limits.max_per_level,
        )
        losses = ValidationLoss(self.loss, self.config.train.box_weight)
        bands = self.config.data.bands
        found = predict_images(predictor, images, bands, limits, watch=losses.add)
        results = compare_images(found, images, self.config.match)
        ap = mean_ap(measure_ap(results, len(self.tileset.classes), sides=None))
        known = {name: value for name, value in (("ap", ap.ap), ("ap50", ap.ap50)) if value >= 0}
        scores = best_counts(results, lowest=_LOWEST_SCORE)
        return _Validation(scores, known, losses.figures())

    def _describe(
        self, epoch: int, scores: MatchCounts | None, precisions: Mapping[str, float]
    ) -> ModelDescription:
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
            object_px=_longest(images),
            score_threshold=scores.threshold if scores else _DEFAULT_THRESHOLD,
            iou_threshold=self._iou_threshold,
            training={
                "data": config.train.data_name or tileset.root.name,
                "train_images": len(images),
                "train_objects": sum(len(image.boxes) for image in images),
                "val_images": len(tileset.split("val")),
                "val_objects": sum(len(image.boxes) for image in tileset.split("val")),
                "best_epoch": epoch,
                "epochs": config.train.epochs,
                "seed": config.train.seed,
                **({"init": Path(config.train.init).stem} if config.train.init else {}),
            },
            figures={} if scores is None else {**_figures(scores), **precisions},
        )

    @property
    def _iou_threshold(self) -> float:
        """The IoU threshold of the settings, which may be 0, or else the default."""
        given = self.config.detect.iou_threshold
        return _DEFAULT_IOU if given is None else given

    def _bands(self) -> tuple[tuple[str, ...], str]:
        """Return the names of the bands and their type, from the first training image."""
        data = self.config.data
        with open_image(self.tileset.split("train")[0], data.bands) as scene:
            return data.band_names or scene.band_names, scene.dtype.name


def _longest(images: Sequence[LabelledImage]) -> float | None:
    """Return the 99 % quantile of the boxes' longer sides in pixels; None without boxes.

    Of oriented boxes too, since an object may stand at any angle where the model is used.
    """
    bounds = [(image.boxes[:, 2:] - image.boxes[:, :2]).max(axis=1, initial=0) for image in images]
    lengths = [image.oriented_boxes[:, 2] for image in images]
    sides = np.maximum(np.concatenate(bounds), np.concatenate(lengths))
    return float(np.percentile(sides, 99)) if len(sides) else None


def warn_without_validation(tileset: Tileset) -> None:
    """Warn of what is not chosen where no object of a tileset validates."""
    if not tileset.validating:
        logger.warning(
            "there is no validation to choose the best epoch and the score threshold: the model is "
            "that of the last epoch, with a score threshold of %g",
            _DEFAULT_THRESHOLD,
        )


def is_best(state: RunState, scores: MatchCounts | None) -> bool:
    """Whether an epoch is the best so far; its F1 is recorded in the state.

    Of equal epochs the later one is the best, since its averaged weights cover more steps. Only a
    better F1 resets ``stale``, or a run that never finds anything would never end early.

    Args:
        state: State of the run after the epoch; changed in place.
        scores: Scores of the epoch; None where no object validates.
    """
    f1 = -1.0 if scores is None else scores.f1
    few = scores is not None and scores.labelled < FEW_OBJECTS
    state.stale = 0 if scores is None or f1 > state.best_f1 else state.stale + 1
    if f1 < state.best_f1:
        return False
    state.best_f1, state.best_epoch = f1, state.epoch
    state.best_interval = list(scores.f1_interval) if few and scores is not None else []
    return True


def is_stale(state: RunState, config: TrainConfig) -> bool:
    """Whether F1 has not risen for ``train.patience`` validations."""
    return config.patience is not None and state.stale >= config.patience


def _figures(scores: MatchCounts | None) -> dict[str, float]:
    """Return the figures for the log and the model file; F1 is -1 without validation."""
    if scores is None:
        return {"f1": -1.0}
    return {
        "f1": scores.f1,
        "precision": scores.precision,
        "recall": scores.recall,
        "score_threshold": scores.threshold,
    }
