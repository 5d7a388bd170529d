"""Settings of detection in scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from geodet.config.reading_config import ReadingConfig
from geodet.config.section import parse_map

__all__ = ["DetectConfig"]


class DetectConfig(ReadingConfig):
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
    tta: bool = Field(
        False,
        description="average the network's outputs over each chip and its flips (test-time "
        "augmentation), which takes four times as long",
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
    workers: int | None = Field(
        None,
        ge=1,
        description="threads that read chips ahead; unset: 2 on the CPU; with a GPU one per core, "
        "at most 16",
    )
    score_threshold: float | dict[str, float] | None = Field(
        None,
        description="lowest score of a detection, one or by class, such as {car=0.3,van=0.5}; "
        "unset, and for classes that are not named: the model's own",
    )
    iou_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="IoU above which the lower-scoring of two boxes is removed; unset: the model's "
        "own",
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
        description="scene values to map to the lowest and the highest value of the model; values "
        "outside are clipped; scene: chosen so that the scene has the brightness and contrast of "
        "the training images; unset: not rescaled, or as with scene if the data type differs",
    )
    gsd: float | None = Field(
        None,
        gt=0,
        description="metres per pixel of the scene; unset: read from its georeference, or from the "
        "altitude and the focal length of a photograph",
    )
    ground_altitude: float | None = Field(
        None,
        description="elevation of the ground in metres above sea level, to compute the metres per "
        "pixel of photographs that record only their altitude above sea level",
    )
    resample: bool = Field(
        True, description="read the scene at the ground sample distance of the model"
    )
    precision: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="numeric precision of the network; auto: on a CPU the fastest that the model "
        "has, measured once on each machine; on a GPU bfloat16 where it is supported",
    )
    require_crs: bool = Field(False, description="refuse a scene without a CRS")

    @field_validator("score_threshold", mode="before")
    @classmethod
    def _parse_thresholds(cls, value: Any) -> Any:
        """Read ``{car=0.3,van=0.5}``, as it is typed after ``--set``, and check the scores.

        The classes are sorted: the same thresholds in another order are the same settings, by
        whose text detections are identified.
        """
        given = parse_map(value, "{class=score}") if isinstance(value, str) else value
        if isinstance(given, Mapping):
            given = dict(sorted(given.items(), key=lambda item: str(item[0])))
        for score in given.values() if isinstance(given, dict) else [given]:
            try:
                is_score = score is None or 0 <= float(score) <= 1
            except (TypeError, ValueError):
                is_score = False
            if not is_score:
                raise ValueError("a score is a number from 0 to 1")
        return given

    @field_validator("value_range", mode="before")
    @classmethod
    def _check_form(cls, given: Any) -> Any:
        is_pair = isinstance(given, list | tuple) and len(given) == 2
        if given in (None, "scene") or (is_pair and all(isinstance(v, int | float) for v in given)):
            return given
        raise ValueError(f"{given!r} must be DARK,BRIGHT or scene")

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
