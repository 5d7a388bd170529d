"""Run GeoDeep on a scene with an exported model: python scene_geodeep.py ORDER.json."""

from __future__ import annotations

import functools
import logging

import geodeep.geodeep
import numpy as np
from numpy.typing import NDArray
from timed import Rows, measure, read_order


def main() -> None:
    logging.getLogger("geodeep").setLevel(logging.ERROR)
    order = read_order()
    # It loads the model in every call, which is not timed for anyone: here it loads it once.
    geodeep.geodeep.create_session = functools.cache(geodeep.geodeep.create_session)

    def find(scene: str) -> NDArray[np.float64]:
        found = geodeep.run(scene, order["model"], output_type="raw", max_threads=order["threads"])
        return np.asarray(found)

    measure(order, find, _rows, ["geodeep", "onnxruntime"])


def _rows(found: NDArray[np.float64]) -> Rows:
    """Put the strongest class behind boxes and scores."""
    if not len(found):
        return []
    labels = np.argmax(found[:, 5:], axis=1)[:, None]
    rows: Rows = np.concatenate([found[:, :5], labels], axis=1).tolist()
    return rows


if __name__ == "__main__":
    main()
