"""Settings of the network."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AliasChoices, Field, model_validator

from geodet.config.section import Section, did_you_mean

__all__ = ["ModelConfig"]

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
    "efficientnet_lite1",
    "efficientnet_lite2",
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
        "resnext101_32x8d, efficientnet_lite0 to efficientnet_lite2, or timm/NAME, a network of "
        "the package timm",
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
        description="normalisation in the backbone; frozen_batch: with the statistics of the "
        "initial weights, for small batches",
    )
    antialias: bool = Field(
        False,
        description="blur feature maps before the backbone subsamples them (anti-aliasing), so "
        "that detections depend less on where a window begins",
    )
    activation: Literal["relu", "relu6"] = Field(
        "relu",
        description="activation function of a ResNet and of the heads; relu6: limited to 6, which "
        "loses less in eight-bit integers",
    )
    boxes: Literal["axis_aligned", "oriented"] = Field(
        "axis_aligned",
        description="kind of boxes that the network finds; oriented: at any angle, learnt from "
        "labels with four corners",
    )
    levels: tuple[int, int] = Field(
        (2, 4), description="first and last pyramid level; level L has a stride of 2^L px"
    )
    channels: int = Field(
        96, ge=8, le=4096, description="number of channels in the feature pyramid and the heads"
    )
    head_convs: int = Field(4, ge=0, le=32, description="hidden convolutions of each head")
    box_head_convs: int | None = Field(
        None,
        ge=0,
        le=32,
        description="hidden convolutions of the box head; few are needed if all objects are of one "
        "size; unset: the same as head_convs",
    )
    head_norm: Literal["none", "group", "batch"] = Field(
        "batch", description="normalisation in the heads; none in the RetinaNet paper"
    )
    anchors: Literal["auto", "given", "fit"] = Field(
        "auto",
        description="given: use the three keys below; fit: choose their values from the training "
        "labels, with one size for each level and at most as many scales and ratios as given; "
        "auto: given, or fit if the given anchors miss most of the training labels",
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
    def convs_of_boxes(self) -> int:
        """Hidden convolutions of the box head."""
        return self.head_convs if self.box_head_convs is None else self.box_head_convs

    @property
    def stride(self) -> int:
        """Stride in pixels of the coarsest level that the network computes."""
        return int(2 ** max(self.backbone_level, *self.levels))
