"""Detections in the files that GIS programs and other detectors open: written, and read back."""

from geodet.vectors.layer import Geometry, SceneDetections, common_crs
from geodet.vectors.reading_back import read_detections
from geodet.vectors.vector_formats import FORMATS, check_output, choose_format
from geodet.vectors.writer import DetectionWriter
from geodet.vectors.writing import open_writer, write_detections

__all__ = [
    "FORMATS",
    "DetectionWriter",
    "Geometry",
    "SceneDetections",
    "check_output",
    "choose_format",
    "common_crs",
    "open_writer",
    "read_detections",
    "write_detections",
]
