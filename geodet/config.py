"""The configuration: what can be set, what it means, and its default."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

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


class _Section(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelConfig(_Section):
    """The network. It is stored in the model file."""

    backbone: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnext101_32x8d"] = Field(
        "resnet18", description="trunk, a torchvision network"
    )
    trunk_level: int = Field(
        5, ge=2, le=5, description="deepest trunk stage that feeds the feature pyramid"
    )
    levels: tuple[int, int] = Field(
        (2, 4), description="first and last pyramid level with anchors; level L has stride 2^L px"
    )
    channels: int = Field(96, ge=8, description="width of the feature pyramid and of the heads")
    head_convs: int = Field(4, ge=0, description="hidden convolutions in each head")
    head_norm: Literal["none", "group"] = Field(
        "group", description="normalisation in the heads; the paper has none"
    )
    anchor_sizes: tuple[float, ...] = Field(
        (12.0, 24.0, 48.0), description="side of the base anchor of each level, in pixels"
    )
    anchor_scales: tuple[float, ...] = Field(
        (1.0, 2 ** (1 / 3), 2 ** (2 / 3)), description="factors on each base side"
    )
    anchor_ratios: tuple[float, ...] = Field(
        (0.5, 1.0, 2.0), description="heights over widths of the anchors"
    )

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        first, last = self.levels
        if not 2 <= first <= last <= 7 or first > 5:  # P6 and P7 are made from P5
            raise ValueError(f"levels {first} to {last} must rise within 2 to 7, the first to 5")
        if len(self.anchor_sizes) != last - first + 1:
            raise ValueError(
                f"{len(self.anchor_sizes)} anchor_sizes for levels {first} to {last}: one a level"
            )
        if min(last, 5) > self.trunk_level:
            raise ValueError(f"level {last} needs trunk_level {min(last, 5)}")
        sides = (*self.anchor_sizes, *self.anchor_scales, *self.anchor_ratios)
        if min(sides, default=0.0) <= 0 or not (self.anchor_scales and self.anchor_ratios):
            raise ValueError("anchor sizes, scales and ratios must be positive and not empty")
        return self


class DataConfig(_Section):
    """How labelled chips are read."""

    bands: tuple[int, ...] = Field((), description="bands to use, counted from 1; empty: all")
    band_names: tuple[str, ...] = Field((), description="their names, for the model file")
    ignore_classes: tuple[str, ...] = Field(
        (), description="classes that neither train nor count, such as DontCare"
    )
    class_name: str = Field("object", description="class of labels that name none")
    box_size_m: float | None = Field(
        None, gt=0, description="side of the box around a labelled point, in metres"
    )
    box_size_px: float | None = Field(
        None, gt=0, description="side of the box around a labelled point, in pixels"
    )
    gsd: float | None = Field(
        None, gt=0, description="metres per pixel of chips without a georeference"
    )
    val: tuple[str, ...] = Field(
        (), description="name patterns of the validation chips, where the tileset has no split"
    )
    val_fraction: float = Field(
        0.15, gt=0, lt=1, description="share of the places for validation, where nothing says"
    )


class AugmentConfig(_Section):
    """How training chips are varied; all of it fits imagery seen straight from above."""

    flips: bool = Field(True, description="flips and quarter turns")
    scale: float = Field(0.2, ge=0, lt=1, description="zoom by up to this factor each way")
    brightness: float = Field(0.2, ge=0, lt=1, description="largest change of brightness")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest change of contrast")
    gamma: float = Field(0.0, ge=0, lt=1, description="largest change of gamma")
    tint: float = Field(0.05, ge=0, lt=1, description="largest gain of one band over the others")
    blur: float = Field(0.1, ge=0, le=1, description="share of the chips that are blurred")
    noise: float = Field(0.0, ge=0, le=1, description="share of the chips that get sensor noise")


class MatchConfig(_Section):
    """When a detection counts as found in training's validation and in evaluate."""

    by: Literal["iou", "distance"] = Field("iou", description="overlap, or distance of the centres")
    iou: float = Field(0.5, gt=0, le=1, description="smallest overlap of a match")
    distance_m: float = Field(6.0, gt=0, description="largest distance of a match, in metres")


class TrainConfig(_Section):
    """The training run."""

    epochs: int = Field(40, ge=1, description="passes over the training chips")
    batch_size: int = Field(16, ge=1, description="chips in a step, over all processes")
    chip_size: int = Field(256, ge=32, description="side of a training crop in pixels")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="optimizer")
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate")
    weight_decay: float = Field(0.05, ge=0, description="weight decay")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps with a rising rate")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient")
    ema_decay: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights; 0: off")
    focal_alpha: float = Field(0.25, ge=0, le=1, description="weight of positives")
    focal_gamma: float = Field(2.0, ge=0, description="focus on hard examples")
    box_weight: float = Field(1.0, ge=0, description="weight of the box loss")
    positive_iou: float = Field(0.5, gt=0, le=1, description="an anchor above it is an object")
    negative_iou: float = Field(0.4, gt=0, le=1, description="an anchor below it is background")
    pretrained: str | None = Field(
        None, description="torchvision weights for the trunk by name, such as IMAGENET1K_V1"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic; auto: bfloat16 where the hardware has it"
    )
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    workers: int = Field(0, ge=0, description="processes that prepare chips; 0: the main one")
    seed: int = Field(0, ge=0, description="seed of everything random")
    model_name: str = Field("", description="name in the model file; empty: the file's")
    description: str = Field("", description="one line on what the model finds, for its file")
    data_name: str = Field("", description="name, authors and licence of the data, for the file")

    @model_validator(mode="after")
    def _check_ious(self) -> Self:
        if self.negative_iou > self.positive_iou:
            raise ValueError("negative_iou must not be above positive_iou")
        return self


class DetectConfig(_Section):
    """Detection on a scene."""

    chip_size: int = Field(512, ge=32, description="side of a window, in the model's pixels")
    overlap: int = Field(64, ge=0, description="pixels that neighbouring windows share")
    batch_size: int = Field(4, ge=1, description="chips in one forward pass")
    workers: int = Field(2, ge=1, description="threads that read ahead")
    score_threshold: float | None = Field(
        None, ge=0, le=1, description="lowest score kept; unset: the model's own"
    )
    iou_threshold: float | None = Field(
        None, gt=0, le=1, description="overlap above which the weaker goes; unset: the model's own"
    )
    max_candidates: int = Field(
        20_000,
        ge=1,
        description="most boxes of a chip that reach NMS; a cap that binds is reported",
    )
    bands: tuple[int, ...] = Field((), description="bands of the scene, from 1; empty: the first")
    value_range: tuple[float, float] | None = Field(
        None, description="scene values that become the model's lowest and highest"
    )
    gsd: float | None = Field(
        None, gt=0, description="metres per pixel of the scene, in place of what the file says"
    )
    resample: bool = Field(True, description="read at the model's ground sample distance")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic; auto: bfloat16 where the hardware has it"
    )
    require_crs: bool = Field(False, description="refuse a scene without a CRS")

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"value_range {self.value_range} must rise")
        return self

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.overlap > self.chip_size // 2:
            raise ValueError(
                f"overlap {self.overlap} is more than half of chip_size {self.chip_size}"
            )
        return self


class TileConfig(_Section):
    """Cutting labelled chips from a scene."""

    chip_size: int = Field(512, ge=32, description="side of a chip in pixels")
    overlap: int = Field(0, ge=0, description="pixels that neighbouring chips share")
    min_visible: float = Field(
        0.3, gt=0, le=1, description="smallest visible share of an object that a chip keeps"
    )
    empty_share: float = Field(
        0.2, ge=0, le=1, description="chips without objects, as a share of those with"
    )
    block_size: int | None = Field(
        None,
        ge=1,
        description="side of the blocks of space that split train from val, in pixels; unset: a "
        "sixth of the scene, at least one chip",
    )
    val_fraction: float = Field(0.2, ge=0, lt=1, description="share of the blocks for validation")
    label_field: str | None = Field(
        None, description="attribute that holds the class; unset: label, class or name"
    )
    seed: int = Field(0, ge=0, description="seed of the choice of blocks and empty chips")

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.overlap >= self.chip_size:
            raise ValueError(f"overlap {self.overlap} is not below chip_size {self.chip_size}")
        return self


class Config(_Section):
    """All settings."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    match: MatchConfig = MatchConfig()
    tile: TileConfig = TileConfig()
    detect: DetectConfig = DetectConfig()
