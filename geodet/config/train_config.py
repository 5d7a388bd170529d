"""Settings of a training run."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from geodet.config.section import Section

__all__ = ["TrainConfig"]


class TrainConfig(Section):
    """The training run."""

    epochs: int = Field(
        40,
        ge=1,
        description="passes over the training images; one takes as many chips as tile an image",
    )
    batch_size: int = Field(16, ge=1, description="chips in a step, over all processes")
    chip_size: int = Field(256, ge=32, description="side of a training crop in pixels")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="optimizer")
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate")
    weight_decay: float = Field(0.05, ge=0, description="weight decay")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps with a rising rate")
    schedule: Literal["cosine", "step"] = Field(
        "cosine", description="fall of the rate; step: to a tenth after 2/3 and 8/9 of the steps"
    )
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient")
    ema_decay: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights; 0: off")
    assigner: Literal["iou", "atss", "nwd"] = Field(
        "iou",
        description="what chooses each anchor's object: overlap, a threshold for each object, or "
        "the normalised Wasserstein distance, for tiny objects",
    )
    positive_iou: float = Field(
        0.5, gt=0, le=1, description="an anchor above it is an object, for iou and nwd"
    )
    negative_iou: float = Field(
        0.4, gt=0, le=1, description="an anchor below it is background, for iou and nwd"
    )
    low_quality_matches: bool = Field(
        True, description="an object's best anchors are positive below it, too, for iou and nwd"
    )
    nwd_constant: float = Field(
        12.8, gt=0, description="side of a typical object in pixels; the default is AI-TOD's"
    )
    atss_candidates: int = Field(9, ge=1, description="closest cells of each level")
    prior: float = Field(
        0.01, gt=0, lt=1, description="score that all anchors start from; 0.5: no prior"
    )
    classification_loss: Literal[
        "cross_entropy", "balanced_cross_entropy", "focal", "focal_star", "ohem"
    ] = Field("focal", description="loss of the scores")
    balanced_alpha: float = Field(
        0.75, ge=0, le=1, description="weight of positives in balanced_cross_entropy"
    )
    focal_alpha: float = Field(0.25, ge=0, le=1, description="weight of positives")
    focal_gamma: float = Field(2.0, ge=0, description="focus on hard examples")
    focal_star_gamma: float = Field(2.0, gt=0, description="slope of focal_star")
    focal_star_beta: float = Field(1.0, description="shift of focal_star")
    ohem_batch_size: int = Field(128, ge=1, description="hardest anchors of a chip that train")
    ohem_iou_threshold: float = Field(
        0.5, gt=0, le=1, description="overlap above which the easier of two anchors goes"
    )
    ohem_negatives: int = Field(
        0, ge=0, description="negatives for each positive, 3 in SSD; 0: as the losses say"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: rare classes weigh more, up to ten times the most frequent"
    )
    box_loss: Literal["smooth_l1", "l1", "giou"] = Field(
        "smooth_l1", description="loss of the boxes"
    )
    box_weight: float = Field(1.0, ge=0, description="weight of the box loss")
    pretrained: str | None = Field(
        None, description="torchvision weights for the backbone by name, such as IMAGENET1K_V1"
    )
    frozen_stages: int = Field(
        0,
        ge=0,
        le=5,
        description="parts of the backbone that keep their first weights: 1 the stem, 2 stage 2, "
        "too, ... 5 all",
    )
    init: str | None = Field(
        None, description="model to start from, a bundled one's name or a file; takes what fits"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic; auto: bfloat16 where the hardware has it"
    )
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    patience: int | None = Field(
        None, ge=1, description="validations without a better F1 that end the run; unset: none do"
    )
    workers: int | None = Field(
        None,
        ge=0,
        description="processes that prepare chips, 0: the main one; unset: 0 on a CPU, which "
        "computes with all its cores, up to 8 with CUDA",
    )
    cache_mib: int = Field(
        2048, ge=0, description="memory for decoded images on each machine, in MiB"
    )
    seed: int = Field(0, ge=0, description="seed of everything random")
    model_name: str = Field("", description="name in the model file; empty: the file's")
    description: str = Field("", description="one line on what the model finds, for its file")
    data_name: str = Field("", description="name, authors and licence of the data, for the file")

    @model_validator(mode="after")
    def _check_ious(self) -> Self:
        if self.negative_iou > self.positive_iou:
            raise ValueError("negative_iou must not be above positive_iou")
        if self.init and self.pretrained:
            raise ValueError("init and pretrained both give the first weights: choose one")
        return self
