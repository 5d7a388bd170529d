"""Run GeoDeep on rasters, in an environment that has it: python geodeep_run.py order.json."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import geodeep
import numpy as np


def main() -> None:
    logging.getLogger("geodeep").setLevel(logging.ERROR)  # it would have tiled scenes
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found = [
        np.asarray(geodeep.run(scene, order["model"], output_type="raw", max_threads=1)).tolist()
        for scene in order["scenes"]
    ]
    Path(order["answer"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
