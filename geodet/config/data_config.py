"""Settings of labelled chips, and of what counts as found."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from geodet.config.section import Section, parse_map
from geodet.documents.values import check_class_name

__all__ = ["AugmentConfig", "DataConfig", "MatchConfig", "TileConfig"]


class DataConfig(Section):
    """Reading labelled chips.

    Example:
        >>> geodet.DataConfig(box_size_m=7.2).box_size_m
        7.2
    """

    allow_outside: bool = Field(
        False,
        description="read files outside the folder of a tileset that it names or links to; only "
        "for tilesets whose author you know",
    )
    bands: tuple[int, ...] = Field(
        (),
        description="bands to read, by number from 1; empty: all bands for training; when a model "
        "is run, the bands that it needs, by name",
    )
    band_names: tuple[str, ...] = Field(
        (), description="names of the bands for the model file; empty: those in the chips"
    )
    ignore_classes: tuple[str, ...] = Field(
        (), description="classes that are neither object nor background, such as DontCare"
    )
    class_name: str = Field("object", description="class of objects whose labels have no class")
    label_field: str | None = Field(
        None,
        description="attribute with the class, for labels in a vector file beside chips, VIA or "
        "CSV; unset: label, class or name; empty: all objects are of one class",
    )
    one_class: str = Field(
        "",
        description="one class for all objects, in place of the labels' own; empty: theirs",
    )
    class_map: dict[str, str] = Field(
        {},
        description="new names of classes, such as {car=vehicle,van=vehicle}; classes of one name "
        "are joined",
    )
    box_size_m: float | None = Field(
        None,
        gt=0,
        description="side of the box around an object that is labelled by a point, in metres",
    )
    box_size_px: float | None = Field(
        None,
        gt=0,
        description="side of the box around an object that is labelled by a point, in pixels",
    )
    gsd: float | None = Field(
        None, gt=0, description="metres per pixel of chips without a georeference"
    )
    val: tuple[str, ...] = Field(
        (), description="patterns of the names of validation chips, if the tileset has no split"
    )
    val_fraction: float = Field(
        0.15,
        ge=0,
        lt=1,
        description="share of the locations for validation, if neither the tileset nor val defines "
        "a split; 0: train without validation",
    )

    @field_validator("band_names")
    @classmethod
    def _check_band_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse a name of two bands: those of a scene are found by it."""
        for name, times in Counter(names).most_common(1):
            if times > 1:
                raise ValueError(f"{name!r} is listed twice")
        return names

    @field_validator("class_name", "one_class", "class_map")
    @classmethod
    def _check_class_names(cls, value: Any) -> Any:
        for name in value.values() if isinstance(value, dict) else [value]:
            check_class_name(name)
        return value

    @field_validator("class_map", mode="before")
    @classmethod
    def _parse_class_map(cls, value: Any) -> Any:
        """Read ``{car=vehicle,van=vehicle}``, as it is typed after ``--set``."""
        return value if not isinstance(value, str) else parse_map(value, "{old=new,other=new}")


class AugmentConfig(Section):
    """Augmenting training chips, for images taken from above.

    Example:
        >>> geodet.AugmentConfig(flips=False).flips
        False
    """

    flips: bool = Field(True, description="flip chips and rotate them by multiples of 90 degrees")
    quarter_turns: bool = Field(True, description="false: only flip left and right")
    object_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the crops that are placed on an object; the others are placed at "
        "random",
    )
    rotate: float = Field(
        0.0,
        ge=0,
        le=45,
        description="largest rotation in degrees, for points, oriented boxes and objects that fill "
        "their boxes; 0: none",
    )
    scale: float = Field(0.2, ge=0, lt=1, description="largest zoom in and out; 0.2: by up to 20 %")
    brightness: float = Field(
        0.2, ge=0, lt=1, description="largest change of brightness, as a share of the value range"
    )
    contrast: float = Field(0.2, ge=0, lt=1, description="largest relative change of contrast")
    gamma: float = Field(0.0, ge=0, lt=1, description="largest relative change of gamma")
    tint: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="largest relative change of one band against the others",
    )
    blur: float = Field(0.1, ge=0, le=1, description="share of the chips that are blurred")
    noise: float = Field(0.0, ge=0, le=1, description="share of the chips that get sensor noise")
    haze: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="largest share of white that is mixed into the image, as by thin haze",
    )
    shading: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="largest change of brightness from one side of a chip to the other, in any "
        "direction, as under a low sun or at the edge of a frame",
    )
    coarsening: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the chips that lose resolution: reduced to between 0.4 and 0.9 of "
        "their size and enlarged again",
    )
    jpeg: float = Field(
        0.0, ge=0, le=1, description="share of the chips compressed as JPEG, of quality 30 to 90"
    )
    mosaic: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the chips that are composed of parts of four crops, from different "
        "images",
    )


class MatchConfig(Section):
    """When a detection matches an object, in validation and in evaluate.

    Example:
        >>> geodet.MatchConfig(by="distance", distance_m=3).distance_m
        3.0
    """

    by: Literal["iou", "distance"] = Field(
        "iou",
        description="iou: by the overlap of the boxes; distance: by the distance of their centres",
    )
    iou: float = Field(0.5, gt=0, le=1, description="lowest IoU of a match")
    distance_m: float = Field(6.0, gt=0, description="largest distance of a match, in metres")
    size_bounds_px: tuple[float, float] = Field(
        (16.0, 48.0),
        description="sides in pixels from which AP by size counts objects as medium and as large; "
        "half of COCO's",
    )

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if not 0 < self.size_bounds_px[0] < self.size_bounds_px[1]:
            raise ValueError(
                f"size_bounds_px {self.size_bounds_px}: both must be positive, the first smaller"
            )
        return self


class TileConfig(Section):
    """Cutting labelled chips from a scene.

    Example:
        >>> geodet.TileConfig(chip_size=256, overlap=32).overlap
        32
    """

    chip_size: int = Field(512, ge=32, description="side of a chip in pixels")
    overlap: int = Field(0, ge=0, description="pixels that neighbouring chips share")
    gsd: float | None = Field(
        None,
        gt=0,
        description="metres per pixel of the chips, to which the scenes are resampled as detect "
        "does; unset: those of each scene; if its pixels are not square on the ground, their "
        "shorter side",
    )
    min_visible: float = Field(
        0.3,
        gt=0,
        le=1,
        description="smallest share of an object that must be inside a chip for the chip to keep "
        "its label",
    )
    empty_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="number of chips without objects, as a share of the number with objects; all "
        "of those that were reviewed",
    )
    block_size: int | None = Field(
        None,
        ge=1,
        description="side in pixels of the blocks that scenes are divided into; a whole block is "
        "used either for training or for validation, and overlapping scenes share blocks; unset: a "
        "sixth of the scene, at least one chip",
    )
    val_fraction: float = Field(0.2, ge=0, lt=1, description="share of the blocks for validation")
    label_field: str | None = Field(
        None,
        description="attribute of the labels with the class; unset: label, class or name; "
        "empty: all objects are of one class",
    )
    labels_crs: str | None = Field(
        None,
        description="CRS of labels whose file has none, such as EPSG:4326; unset: the scene's",
    )
    seed: int = Field(
        0, ge=0, description="seed of the choice of blocks and of chips without objects"
    )

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.overlap >= self.chip_size:
            raise ValueError(f"overlap {self.overlap} is not below chip_size {self.chip_size}")
        return self
