"""Run geodet on a scene, from file to GeoPackage: python scene_geodet.py ORDER.json."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from timed import Rows, measure, read_order

from geodet.config import DetectConfig
from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.onnx.backend import load_model
from geodet.vector.read_detections import read_detections
from geodet_cli.process import prepare_process


def main() -> None:
    order = read_order()
    prepare_process("cpu")  # as the command line does
    model = load_model(order["model"])  # in integers, floats or bfloat16: as the command line
    config = DetectConfig.model_validate(order["settings"])
    outputs = (Path(order["answer"]).with_suffix(f".{n}.gpkg") for n in itertools.count())

    def find(scene: str) -> Path:
        output = next(outputs)
        detect_to_files(
            [scene], [output], model, config, DetectOptions(device="cpu", overwrite=True)
        )
        return output

    def to_rows(output: Path) -> Rows:
        found = read_detections(output, model.description.classes)
        table = np.column_stack([found.boxes, found.scores, found.labels])
        rows: Rows = table.tolist()
        return rows

    measure(order, find, to_rows, ["geodet", "onnxruntime", "torch"])


if __name__ == "__main__":
    main()
