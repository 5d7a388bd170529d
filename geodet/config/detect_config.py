"""Settings of detection."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from geodet.config.section import Section

__all__ = ["DetectConfig"]


class DetectConfig(Section):
    """Detection in scenes.

    Example:
        >>> geodet.DetectConfig(score_threshold=0.4).score_threshold
        0.4
    """

    chip_size: int | None = Field(
        None,
        ge=32,
        description="side of a chip in pixels at the model's resolution; unset: chosen for the "
        "model and the memory",
    )
    overlap: int | None = Field(
        None,
        ge=0,
        description="pixels that neighbouring chips share; unset: enough for the largest objects "
        "that the model detects",
    )
    batch_size: int | None = Field(
        None, ge=1, description="chips in one forward pass; unset: chosen for the memory"
    )
    skip_uniform: bool = Field(
        False, description="skip chips without any feature, such as open water"
    )
    uniform_contrast: float = Field(
        0.2,
        gt=0,
        description="contrast below which skip_uniform skips a chip, in standard deviations of the "
        "training images",
    )
    join_fragments: bool = Field(
        False,
        description="unite the boxes of an object that is longer than the overlap and was cut by "
        "the edges of chips",
    )
    workers: int = Field(2, ge=1, description="threads that read chips ahead")
    score_threshold: float | None = Field(
        None, ge=0, le=1, description="lowest score of a detection; unset: the model's own"
    )
    iou_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="of two boxes with a higher IoU the one with the lower score is removed; "
        "unset: the model's own",
    )
    max_candidates: int = Field(
        20_000,
        ge=1,
        description="largest number of boxes before suppression, for a chip of 512 x 512 px; it "
        "grows with the area of the chip, and a warning says when it is reached",
    )
    max_per_level: int = Field(
        1000,
        ge=0,
        description="largest number of boxes of one pyramid level before suppression, for a chip "
        "of 256 x 256 px; it grows with the area of the chip; 0: no limit",
    )
    bands: tuple[int | str, ...] = Field(
        (),
        description="bands of the scene to read as the model's bands, by number from 1 or by name; "
        "empty: by the bands' names, or else the first ones",
    )
    value_range: tuple[float, float] | Literal["scene"] | None = Field(
        None,
        description="scene values that become the model's lowest and highest value, values beyond "
        "are clipped; scene: chosen so that the scene has the brightness and contrast of the "
        "training images; unset: values as they are, or as with scene if the data type differs",
    )
    gsd: float | None = Field(
        None, gt=0, description="metres per pixel of the scene; unset: read from its georeference"
    )
    resample: bool = Field(
        True, description="read the scene at the ground sample distance of the model"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="floating-point type; auto: bfloat16 where the hardware supports it"
    )
    require_crs: bool = Field(False, description="refuse a scene without a CRS")

    @field_validator("value_range", mode="before")
    @classmethod
    def _check_form(cls, given: Any) -> Any:
        is_pair = isinstance(given, list | tuple) and len(given) == 2
        if given in (None, "scene") or (is_pair and all(isinstance(v, int | float) for v in given)):
            return given
        raise ValueError(f"{given!r} must be [DARK, BRIGHT] or scene")

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if isinstance(self.value_range, tuple) and not self.value_range[0] < self.value_range[1]:
            low, high = self.value_range
            raise ValueError(f"value_range {self.value_range}: {low:g} must be below {high:g}")
        return self

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.overlap and self.chip_size and self.overlap > self.chip_size // 2:
            raise ValueError(
                f"overlap {self.overlap} is more than half of chip_size {self.chip_size}"
            )
        return self
