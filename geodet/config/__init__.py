"""The configuration: every setting, its meaning and its default."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from geodet.config.data_config import AugmentConfig, DataConfig, MatchConfig, TileConfig
from geodet.config.detect_config import DetectConfig
from geodet.config.model_config import ModelConfig
from geodet.config.section import Section
from geodet.config.train_config import TrainConfig

__all__ = [
    "AugmentConfig",
    "Config",
    "DataConfig",
    "DetectConfig",
    "MatchConfig",
    "ModelConfig",
    "TileConfig",
    "TrainConfig",
]


class Config(Section):
    """All settings, in sections.

    Example:
        >>> geodet.Config(detect={"chip_size": 1024}).detect.chip_size
        1024
    """

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    match: MatchConfig = MatchConfig()
    tile: TileConfig = TileConfig()
    detect: DetectConfig = DetectConfig()

    @model_validator(mode="after")
    def _check_first_weights(self) -> Self:
        """Refuse to freeze random weights, or to load weights that do not fit."""
        is_learnt = bool(self.train.pretrained or self.train.init)
        if self.train.frozen_stages and not is_learnt:
            raise ValueError("train.frozen_stages needs train.pretrained or train.init")
        if self.train.frozen_stages > self.model.backbone_level:
            raise ValueError("train.frozen_stages is above model.backbone_level")
        if self.model.backbone_norm == "frozen_batch" and not is_learnt:
            raise ValueError(
                'model.backbone_norm = "frozen_batch" needs train.pretrained or train.init'
            )
        if self.model.backbone_norm == "group" and self.train.pretrained:
            raise ValueError(
                'train.pretrained needs batch norms, not model.backbone_norm = "group"'
            )
        return self

    @model_validator(mode="after")
    def _check_box_loss(self) -> Self:
        if self.model.boxes == "oriented" and self.train.box_loss == "giou":
            raise ValueError(
                'train.box_loss = "giou" compares axis-aligned boxes: with model.boxes = '
                '"oriented", choose smooth_l1 or l1'
            )
        return self
