"""The rows of ``peers.py``: which detectors run, in which environment and with which settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodet.models.checkpoint import load_checkpoint
from geodet.onnx.export import export_model
from others.contest import Entrant

PEERS = ("sahi", "geodeep", "deepforest")
STRATEGIES = ("single", "batch", "window")  # of DeepForest's predict_tile
_FOLDER = Path(__file__).parent
_UNTRAINED = {"is_trained": False, "is_slow": True}


@dataclass(frozen=True, slots=True)
class Setting:
    """What the rows of one network have in common."""

    model: Path
    """Geodet's model file."""
    chip_size: int
    """Of the rows with equal windows."""
    overlap: int
    """Likewise."""

    @property
    def windows(self) -> dict[str, int]:
        """Return the size and the overlap by name."""
        return {"chip_size": self.chip_size, "overlap": self.overlap}


def list_entrants(setting: Setting, pythons: Mapping[str, Path], folder: Path) -> Iterator[Entrant]:
    """List the rows, geodet's own first, with which the others are compared.

    Args:
        setting: Of the rows that run geodet's network.
        pythons: Of the environments of the peers that take part, by their names in ``PEERS``.
        folder: For the exported model.
    """
    yield from _list_geodet(setting)
    if python := pythons.get("sahi"):
        yield from _list_sahi(setting, python)
    if python := pythons.get("geodeep"):
        order = {"model": str(folder / "model.onnx")}
        export_model(
            load_checkpoint(setting.model),
            folder / "model.onnx",
            reader="geodeep",
            **setting.windows,
        )
        yield Entrant("GeoDeep, same network", _script("geodeep"), python, order)
    if python := pythons.get("deepforest"):
        for strategy in STRATEGIES:
            name, order = f"DeepForest, {strategy}", {"strategy": strategy}
            yield Entrant(name, _script("deepforest"), python, order, **_UNTRAINED)


def _list_geodet(setting: Setting) -> Iterator[Entrant]:
    python, script = Path(sys.executable), _script("geodet")
    for name, settings in (
        ("geodet", {}),
        ("geodet, float32, equal windows", setting.windows | {"precision": "float32"}),
    ):
        yield Entrant(name, script, python, {"model": str(setting.model), "settings": settings})


def _list_sahi(setting: Setting, python: Path) -> Iterator[Entrant]:
    script, same = _script("sahi"), setting.windows | {"model": str(setting.model)}
    for name, network, batch_size in (
        ("SAHI, same network", "plain", 1),
        ("SAHI, same network, batches of 8", "plain", 8),
        ("SAHI around geodet's predictor", "tuned", 1),
    ):
        order: dict[str, Any] = same | {"network": network, "batch_size": batch_size}
        yield Entrant(name, script, python, order)
    order = {"network": "torchvision"}
    yield Entrant("SAHI, torchvision RetinaNet", script, python, order, **_UNTRAINED)


def choose(entrants: Sequence[Entrant], parts: Sequence[str]) -> list[Entrant]:
    """Keep the first row, and of the others those with one of some parts in their names.

    Args:
        entrants: All rows.
        parts: In any case; none: all rows are kept.
    """
    lower = [part.lower() for part in parts] or [""]
    first, *rest = entrants
    return [first, *(one for one in rest if any(part in one.name.lower() for part in lower))]


def _script(name: str) -> Path:
    return _FOLDER / f"scene_{name}.py"
