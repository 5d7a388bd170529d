"""Settings of detection on a scene."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from geodet.config.section import Section

__all__ = ["DetectConfig"]


class DetectConfig(Section):
    """Detection on a scene."""

    chip_size: int | None = Field(
        None, ge=32, description="side of a window in the model's pixels; unset: chosen"
    )
    overlap: int | None = Field(
        None,
        ge=0,
        description="pixels that neighbouring windows share; unset: for the model's largest object",
    )
    batch_size: int | None = Field(
        None, ge=1, description="chips in one forward pass; unset: chosen for the memory"
    )
    skip_uniform: bool = Field(False, description="do not look at chips without any feature")
    uniform_contrast: float = Field(
        0.2, gt=0, description="deviations of a band that make a feature, for skip_uniform"
    )
    join_fragments: bool = Field(
        False,
        description="unite boxes that the edges of windows cut, of objects longer than the overlap",
    )
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
        description="most boxes that reach NMS, of a chip of 512 x 512 px and of larger ones in "
        "proportion; a cap that binds is reported",
    )
    max_per_level: int = Field(
        1000,
        ge=0,
        description="most of them from a pyramid level, of a chip of 256 x 256 px and of larger "
        "ones in proportion; 0: all",
    )
    bands: tuple[int | str, ...] = Field(
        (), description="bands of the scene, from 1 or by name; empty: those that the model needs"
    )
    value_range: tuple[float, float] | Literal["scene"] | None = Field(
        None,
        description="scene values that become the model's lowest and highest; those beyond count "
        "as these; scene: chosen so that the scene is as bright and as rich in contrast as the "
        "training images; unset: as they are, or as scene where another type leaves no choice",
    )
    gsd: float | None = Field(
        None, gt=0, description="metres per pixel of the scene, in place of what the file says"
    )
    resample: bool = Field(True, description="read at the model's ground sample distance")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic; auto: bfloat16 where the hardware has it"
    )
    require_crs: bool = Field(False, description="refuse a scene without a CRS")

    @field_validator("value_range", mode="before")
    @classmethod
    def _check_words(cls, given: Any) -> Any:
        is_pair = isinstance(given, list | tuple) and len(given) == 2
        if given in (None, "scene") or (is_pair and all(isinstance(v, int | float) for v in given)):
            return given
        raise ValueError(f"{given!r} must be [DARK, BRIGHT] or scene")

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if isinstance(self.value_range, tuple) and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"value_range {self.value_range} must rise")
        return self

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.overlap and self.chip_size and self.overlap > self.chip_size // 2:
            raise ValueError(
                f"overlap {self.overlap} is more than half of chip_size {self.chip_size}"
            )
        return self
