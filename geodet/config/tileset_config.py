"""Settings of labelled chips: how they are read, varied, cut and compared."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from geodet.config.section import Section

__all__ = ["AugmentConfig", "DataConfig", "MatchConfig", "TileConfig"]


class DataConfig(Section):
    """How labelled chips are read."""

    bands: tuple[int, ...] = Field((), description="bands to use, counted from 1; empty: all")
    band_names: tuple[str, ...] = Field((), description="their names, for the model file")
    ignore_classes: tuple[str, ...] = Field(
        (), description="classes that neither train nor count, such as DontCare"
    )
    class_name: str = Field("object", description="class of labels that name none")
    one_class: str = Field(
        "", description="count the objects of every class as this one; empty: keep them apart"
    )
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


class AugmentConfig(Section):
    """How training chips are varied; all of it fits imagery seen straight from above."""

    flips: bool = Field(True, description="flips and quarter turns")
    quarter_turns: bool = Field(True, description="false: of these, only flip left and right")
    object_share: float = Field(
        0.5, ge=0, le=1, description="share of the crops that are placed on an object"
    )
    rotate: float = Field(
        0.0,
        ge=0,
        le=45,
        description="largest turn in degrees, for objects that fill their boxes; 0: none",
    )
    scale: float = Field(0.2, ge=0, lt=1, description="zoom by up to this factor each way")
    brightness: float = Field(0.2, ge=0, lt=1, description="largest change of brightness")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest change of contrast")
    gamma: float = Field(0.0, ge=0, lt=1, description="largest change of gamma")
    tint: float = Field(0.05, ge=0, lt=1, description="largest gain of one band over the others")
    blur: float = Field(0.1, ge=0, le=1, description="share of the chips that are blurred")
    noise: float = Field(0.0, ge=0, le=1, description="share of the chips that get sensor noise")


class MatchConfig(Section):
    """When a detection counts as found in training's validation and in evaluate."""

    by: Literal["iou", "distance"] = Field("iou", description="overlap, or distance of the centres")
    iou: float = Field(0.5, gt=0, le=1, description="smallest overlap of a match")
    distance_m: float = Field(6.0, gt=0, description="largest distance of a match, in metres")
    size_bounds_px: tuple[float, float] = Field(
        (16.0, 48.0),
        description="sides from which objects are medium and large in AP by size; COCO's, halved",
    )

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if not 0 < self.size_bounds_px[0] < self.size_bounds_px[1]:
            raise ValueError(f"size_bounds_px {self.size_bounds_px} must be positive and rise")
        return self


class TileConfig(Section):
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
