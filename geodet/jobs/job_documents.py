"""A job's plan as JSON: exact, and without anything that only this machine knows."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import shapely
from affine import Affine
from pydantic import TypeAdapter
from pyproj import CRS

from geodet.config import DetectConfig
from geodet.config.reading_config import ReadingConfig
from geodet.detection.detect_report import SceneRecord
from geodet.detection.detection_plan import PlannedScene
from geodet.documents.values import member
from geodet.geometry.geobox import GeoBox
from geodet.geometry.windows import WindowLimits
from geodet.jobs.job_plan import JobPlan, JobScene
from geodet.models.input_values import InputValues
from geodet.photographs.photograph import Photograph, to_photograph
from geodet.photographs.tags import PictureTags
from geodet.vector.area_of_interest import AreaOfInterest

__all__ = ["from_document", "identify_job", "to_document"]

_LAYOUT = 4
_TAGS = TypeAdapter(PictureTags)
_SPEED = {"workers", "batch_size", *ReadingConfig.model_fields}


def to_document(job: JobPlan) -> dict[str, Any]:
    """Convert a plan to values that JSON has; each CRS is written once."""
    texts = [_crs_text(scene.planned.geobox) for scene in job.scenes]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return {
        "layout": _LAYOUT,
        "identifier": job.identifier,
        "device": job.device,
        "iou_threshold": job.iou_threshold,
        "config": job.config.model_dump(mode="json", exclude_unset=True),
        "values": {
            dtype: None if values is None else [list(map(float, part)) for part in values]
            for dtype, values in job.values.items()
        },
        "crs": list(numbers),
        "scenes": [
            _from_scene(scene, numbers[text]) for scene, text in zip(job.scenes, texts, strict=True)
        ],
        "images": {
            name: None if image.tags is None else asdict(image.tags)
            for name, image in job.images.items()
        },
        "records": [
            {"path": one.path, "scene": one.scene, "status": one.status, "reason": one.reason}
            for one in job.records
        ],
    }


def identify_job(job: JobPlan, digest: str) -> str:
    """Return a text that is the same for the same scenes, area, windows, model and settings.

    Args:
        job: The plan; what changes only the speed does not count.
        digest: SHA-256 digest of the model.
    """
    content = to_document(job)
    settings = job.config.model_dump(mode="json", exclude=_SPEED)
    chosen = {name: content[name] for name in ("crs", "scenes", "iou_threshold")}
    text = json.dumps([digest, settings, chosen], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def from_document(content: Any) -> JobPlan:
    """Convert parsed JSON to a plan.

    Raises:
        ValueError: It is not what this version of geodet writes.
    """
    if member(content, "identifier", str) and content.get("layout") != _LAYOUT:
        raise ValueError("it is of another version of geodet")
    systems = [None if text is None else CRS(text) for text in member(content, "crs", list)]
    scenes = [_to_scene(one, systems) for one in member(content, "scenes", list)]
    values = member(content, "values", dict)
    config = DetectConfig.model_validate(member(content, "config", dict))
    return JobPlan(
        content["identifier"],
        tuple(scenes),
        tuple(SceneRecord(**one) for one in member(content, "records", list)),
        config,
        member(content, "device", str),
        float(content["iou_threshold"]),
        {dtype: None if four is None else InputValues(*four) for dtype, four in values.items()},
        {
            name: _to_image(name, tags, config)
            for name, tags in member(content, "images", dict).items()
        },
    )


def _to_image(name: str, tags: Any, config: DetectConfig) -> Photograph:
    known = None if tags is None else _TAGS.validate_python(tags)
    return to_photograph(known, name, gsd=config.gsd, ground_altitude=config.ground_altitude)


def _crs_text(geobox: GeoBox) -> str | None:
    """Return what a CRS was made from, from which it is made again."""
    return None if geobox.crs is None else str(geobox.crs.srs)


def _from_scene(scene: JobScene, crs: int) -> dict[str, Any]:
    planned = scene.planned
    geobox = planned.geobox
    return {
        "path": planned.path,
        "name": planned.name,
        "identity": scene.identity,
        "size": [geobox.width, geobox.height],
        "transform": list(geobox.transform)[:6],
        "crs": crs,
        "dtype": planned.dtype,
        "grid": list(planned.grid),
        "aoi": None if planned.aoi is None else _from_area(planned.aoi),
        "numbers": dict(scene.numbers),
        "bands": list(scene.bands),
        "windows": scene.windows,
    }


def _to_scene(entry: Any, systems: Sequence[CRS | None]) -> JobScene:
    (width, height), transform = member(entry, "size", list), member(entry, "transform", list)
    geobox = GeoBox(width, height, Affine(*transform), systems[entry["crs"]])
    columns, rows = member(entry, "grid", list)
    area = entry["aoi"]
    planned = PlannedScene(
        member(entry, "path", str),
        member(entry, "name", str),
        geobox,
        member(entry, "dtype", str),
        (columns, rows),
        WindowLimits(),  # how it is cut is known
        None if area is None else _to_area(area),
    )
    bands = tuple(member(entry, "bands", list))
    numbers: Mapping[str, int] = member(entry, "numbers", dict)
    return JobScene(planned, member(entry, "identity", str), numbers, bands, entry["windows"])


def _from_area(area: AreaOfInterest) -> dict[str, Any]:
    shapes = shapely.to_wkb(area.polygons)
    return {
        "polygons": [base64.b64encode(shape).decode() for shape in shapes],
        "size": [area.width, area.height],
        "extents": area.extents,
    }


def _to_area(entry: Any) -> AreaOfInterest:
    shapes = [base64.b64decode(text) for text in member(entry, "polygons", list)]
    width, height = member(entry, "size", list)
    polygons = shapely.from_wkb(np.array(shapes, object))
    return AreaOfInterest(polygons, width, height, member(entry, "extents", str))
