"""Find small, dense objects in very large georeferenced images.

Example:
    >>> import geodet
    >>> trees = geodet.detect("scene.tif", model="urban-trees")  # doctest: +SKIP
    >>> trees.explore()  # doctest: +SKIP

The names below are all that is public. Each is imported when it is first used, so ``import geodet``
loads neither PyTorch nor GDAL.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from geodet.files.version import __version__ as __version__

if TYPE_CHECKING:
    from geodet.api.calibrate_models import calibrate
    from geodet.api.counts import compare, count
    from geodet.api.detect_arrays import detect_array
    from geodet.api.detect_frames import detect, iter_detect
    from geodet.api.job_tools import merge, plan, search
    from geodet.api.map_pages import view
    from geodet.api.photograph_frames import read_photographs
    from geodet.api.run_tools import compare_runs, train_series
    from geodet.api.scene_pictures import preview
    from geodet.api.suggestions import suggest
    from geodet.api.summaries import info
    from geodet.api.tools import evaluate, export
    from geodet.api.training_tools import tile, train
    from geodet.config import (
        AugmentConfig,
        Config,
        DataConfig,
        DetectConfig,
        MatchConfig,
        ModelConfig,
        TileConfig,
        TrainConfig,
    )
    from geodet.config.recipes import resolve_config
    from geodet.counting.compare import CompareReport
    from geodet.counting.count import CountReport
    from geodet.detection.detect import DetectProgress, DetectReport
    from geodet.errors import (
        ConfigError,
        DeviceError,
        GeodetError,
        ModelFileError,
        OutputError,
        SceneError,
        TilesetError,
        TrainingError,
        VectorError,
    )
    from geodet.evaluation.calibrate import CalibrateReport
    from geodet.evaluation.evaluate import EvaluateReport
    from geodet.jobs.job_summary import JobSummary
    from geodet.jobs.planning import PlanReport
    from geodet.jobs.shard_run import ShardReport
    from geodet.models.description import ModelDescription
    from geodet.models.model import Model
    from geodet.onnx.backend import load_model
    from geodet.onnx.export import ExportReport
    from geodet.previews.map_outlines import OutlineLayer
    from geodet.previews.preview import PreviewReport
    from geodet.raster.scene_summary import SceneSummary
    from geodet.reviewing.review_summary import ReviewSummary
    from geodet.reviewing.suggested_windows import SuggestedWindow
    from geodet.suggesting.suggest import SuggestReport
    from geodet.tilesets.tile import TileReport
    from geodet.tilesets.tileset_summary import TilesetSummary
    from geodet.training.run_records import RunRecord
    from geodet.training.run_series import SeriesReport
    from geodet.training.run_tables import RunTable
    from geodet.training.train import EpochReport, TrainReport
    from geodet.vector.vector_summary import VectorSummary

__all__ = [
    "AugmentConfig",
    "CalibrateReport",
    "CompareReport",
    "Config",
    "ConfigError",
    "CountReport",
    "DataConfig",
    "DetectConfig",
    "DetectProgress",
    "DetectReport",
    "DeviceError",
    "EpochReport",
    "EvaluateReport",
    "ExportReport",
    "GeodetError",
    "JobSummary",
    "MatchConfig",
    "Model",
    "ModelConfig",
    "ModelDescription",
    "ModelFileError",
    "OutlineLayer",
    "OutputError",
    "PlanReport",
    "PreviewReport",
    "ReviewSummary",
    "RunRecord",
    "RunTable",
    "SceneError",
    "SceneSummary",
    "SeriesReport",
    "ShardReport",
    "SuggestReport",
    "SuggestedWindow",
    "TileConfig",
    "TileReport",
    "TilesetError",
    "TilesetSummary",
    "TrainConfig",
    "TrainReport",
    "TrainingError",
    "VectorError",
    "VectorSummary",
    "calibrate",
    "compare",
    "compare_runs",
    "count",
    "detect",
    "detect_array",
    "evaluate",
    "export",
    "info",
    "iter_detect",
    "load_model",
    "merge",
    "plan",
    "preview",
    "read_photographs",
    "resolve_config",
    "search",
    "suggest",
    "tile",
    "train",
    "train_series",
    "view",
]

_MODULES = {
    "geodet.api.counts": (
        "compare",
        "count",
    ),
    "geodet.counting.compare": ("CompareReport",),
    "geodet.counting.count": ("CountReport",),
    "geodet.api.calibrate_models": ("calibrate",),
    "geodet.api.detect_arrays": ("detect_array",),
    "geodet.api.detect_frames": (
        "detect",
        "iter_detect",
    ),
    "geodet.api.job_tools": (
        "merge",
        "plan",
        "search",
    ),
    "geodet.config.recipes": ("resolve_config",),
    "geodet.api.photograph_frames": ("read_photographs",),
    "geodet.api.map_pages": ("view",),
    "geodet.api.scene_pictures": ("preview",),
    "geodet.api.suggestions": ("suggest",),
    "geodet.api.summaries": ("info",),
    "geodet.api.tools": (
        "evaluate",
        "export",
    ),
    "geodet.api.training_tools": (
        "tile",
        "train",
    ),
    "geodet.config": (
        "AugmentConfig",
        "Config",
        "DataConfig",
        "DetectConfig",
        "MatchConfig",
        "ModelConfig",
        "TileConfig",
        "TrainConfig",
    ),
    "geodet.detection.detect": (
        "DetectProgress",
        "DetectReport",
    ),
    "geodet.errors": (
        "ConfigError",
        "DeviceError",
        "GeodetError",
        "ModelFileError",
        "OutputError",
        "SceneError",
        "TilesetError",
        "TrainingError",
        "VectorError",
    ),
    "geodet.evaluation.calibrate": ("CalibrateReport",),
    "geodet.evaluation.evaluate": ("EvaluateReport",),
    "geodet.jobs.job_summary": ("JobSummary",),
    "geodet.jobs.planning": ("PlanReport",),
    "geodet.jobs.shard_run": ("ShardReport",),
    "geodet.models.model": ("Model",),
    "geodet.models.description": ("ModelDescription",),
    "geodet.onnx.backend": ("load_model",),
    "geodet.onnx.export": ("ExportReport",),
    "geodet.previews.map_outlines": ("OutlineLayer",),
    "geodet.previews.preview": ("PreviewReport",),
    "geodet.raster.scene_summary": ("SceneSummary",),
    "geodet.suggesting.suggest": ("SuggestReport",),
    "geodet.tilesets.tile": ("TileReport",),
    "geodet.tilesets.tileset_summary": ("TilesetSummary",),
    "geodet.api.run_tools": (
        "compare_runs",
        "train_series",
    ),
    "geodet.training.run_records": ("RunRecord",),
    "geodet.training.run_series": ("SeriesReport",),
    "geodet.training.run_tables": ("RunTable",),
    "geodet.training.train": (
        "EpochReport",
        "TrainReport",
    ),
    "geodet.reviewing.review_summary": ("ReviewSummary",),
    "geodet.reviewing.suggested_windows": ("SuggestedWindow",),
    "geodet.vector.vector_summary": ("VectorSummary",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'geodet' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
