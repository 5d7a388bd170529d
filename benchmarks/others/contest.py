"""Detectors on one scene, each in a process and an environment of its own, and their figures."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mosaic import Mosaic

from geodet.config import MatchConfig
from geodet.evaluation.threshold_curves import Comparison, count_matches
from geodet.geometry.boxes import Detections

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_SAME = MatchConfig(iou=0.5)
_LONGEST = 1800  # seconds of one process


@dataclass(frozen=True, slots=True)
class Entrant:
    """A detector with settings: one row."""

    name: str
    """Of the row."""
    script: Path
    """That its process runs, see ``timed.py``."""
    python: Path
    """Of its environment."""
    order: Mapping[str, Any] = field(default_factory=dict)
    """What the script wants to know beside the scene."""
    is_trained: bool = True
    """Whether what it finds means something."""
    is_slow: bool = False
    """Whether it runs in the first round only."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a row."""

    name: str
    """Of the row."""
    round: int
    """Counted from 0."""
    seconds: float | None = None
    """From the file to the result; None where it failed."""
    peak_mib: float | None = None
    """Most memory resident, Python and the model included."""
    objects: int = 0
    """That were found."""
    f1: float | None = None
    """Against the labels, at the detector's own threshold."""
    agreement: float | None = None
    """F1 at an IoU of 0.5 against what the first row found."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of its packages, its own first."""
    failure: str = ""
    """Last line of what it said, where it failed."""

    def to_dict(self) -> dict[str, Any]:
        """Return what is written to the file of results."""
        return asdict(self)


class Contest:
    """A scene, and what each row found in it.

    Args:
        scene: With its labels.
        rule: When an object is found.
        folder: For the files of this run.
        threads: Cores and threads of each process.
        memory_gib: That a process may take.
        warm_side: Side in pixels of the part of the scene that warms up.
    """

    def __init__(
        self,
        scene: Mosaic,
        rule: MatchConfig,
        folder: Path,
        *,
        threads: int,
        memory_gib: float,
        warm_side: int,
    ) -> None:
        self._scene, self._rule, self._folder = scene, rule, folder
        whole = scene.write(folder / "scene.tif")
        warm = scene.corner(warm_side).write(folder / "warm.tif")
        side = scene.pixels.shape[1]
        self._common = {
            "scene": str(whole),
            "warm": str(warm),
            "objects_per_px": len(scene.boxes) / side**2,
            "threads": threads,
            "memory_gib": memory_gib,
        }
        self._first: Detections | None = None

    def run(self, entrant: Entrant, round_: int) -> Run:
        """Run a row once; the first one that is run is what the others are compared with."""
        answer, failure = self._ask(entrant)
        if answer is None:
            return Run(entrant.name, round_, failure=failure)
        found = to_detections(answer["found"])
        self._first = found if self._first is None else self._first
        f1, agreement = None, None
        if entrant.is_trained:
            f1, agreement = self._f1(found), f1_between(found, self._first)
        return Run(
            entrant.name,
            round_,
            answer["seconds"],
            answer["peak_mib"],
            len(found),
            f1,
            agreement,
            answer["versions"],
        )

    def _ask(self, entrant: Entrant) -> tuple[dict[str, Any] | None, str]:
        answer, order = self._folder / "answer.json", self._folder / "order.json"
        answer.unlink(missing_ok=True)
        asked = self._common | dict(entrant.order) | {"answer": str(answer)}
        order.write_text(json.dumps(asked), encoding="utf-8")
        try:
            done = self._start(entrant, order)
        except subprocess.TimeoutExpired:
            return None, f"no answer within {_LONGEST} s"
        if done.returncode:
            said = done.stderr.strip().splitlines() or [""]
            return None, f"exit status {done.returncode}: {said[-1][:200]}"
        return json.loads(answer.read_text(encoding="utf-8")), ""

    def _start(self, entrant: Entrant, order: Path) -> subprocess.CompletedProcess[str]:
        threads = dict.fromkeys(_THREADS, str(self._common["threads"]))
        # Weights that a peer would fetch are not to be had: it must not try for minutes.
        alone = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.run(
            [entrant.python, entrant.script, order],
            cwd=self._folder,
            env=os.environ | threads | alone,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )

    def _f1(self, found: Detections) -> float:
        scene = self._scene
        result = Comparison.of(
            found,
            scene.boxes,
            scene.labels,
            ignored=scene.ignored,
            rule=self._rule,
            gsd=scene.gsd,
        )
        return count_matches([result], 0.0).f1


def to_detections(rows: Sequence[Sequence[float]]) -> Detections:
    """Turn rows of x1, y1, x2, y2, score and label into detections."""
    table = np.array(rows, float).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5])


def f1_between(found: Detections, wanted: Detections) -> float:
    """Return the F1 of one set of detections against another, at an IoU of 0.5."""
    nothing = np.zeros((0, 4))
    result = Comparison.of(
        found, wanted.boxes, wanted.labels, ignored=nothing, rule=_SAME, gsd=None
    )
    return count_matches([result], 0.0).f1


@dataclass(frozen=True, slots=True)
class Summary:
    """All runs of a row in figures."""

    seconds: float
    """Median."""
    megapixels: float
    """Of the scene in a second."""
    peak_mib: float
    """Largest."""
    times_slower: tuple[float, float, float]
    """Median, least and most of its seconds over the first row's of the same round."""


def summarise(runs: Sequence[Run], base: Sequence[Run], pixels: int) -> Summary | None:
    """Put the runs of a row together; None where one of them failed.

    Args:
        runs: Of the row.
        base: Of the first row.
        pixels: Of the scene.
    """
    seconds = [run.seconds for run in runs if run.seconds is not None]
    first = {run.round: run.seconds for run in base if run.seconds is not None}
    if len(seconds) < len(runs) or any(run.round not in first for run in runs):
        return None
    ratios = [time / first[run.round] for time, run in zip(seconds, runs, strict=True)]
    median = statistics.median(seconds)
    return Summary(
        median,
        pixels / 1e6 / median,
        max(run.peak_mib or 0.0 for run in runs),
        (statistics.median(ratios), min(ratios), max(ratios)),
    )
