"""What the test suite can only pretend: a GPU and the CPU find, decode and learn the same."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from harness import Setting
from models import MODELS, load
from painted import paint_targets
from scenes import TOWN, make_scene
from scipy.spatial import cKDTree

from geodet.config import DetectConfig
from geodet.config.recipes import resolve_config
from geodet.detection.predictor import Predictor, build_predictor
from geodet.detection.scene_run import SceneRun, detect_scene
from geodet.geometry.boxes import Detections
from geodet.models.decode import decode
from geodet.models.engine import Outputs
from geodet.models.inputs import standardise
from geodet.models.model import Model
from geodet.models.retinanet import RetinaNet
from geodet.raster.scene import Scene
from geodet.training.objective import build_loss

__all__ = ["twins"]

Row = dict[str, Any]


def twins(setting: Setting) -> Iterator[Row]:
    """Compare, each in float32 without TF32 and in bfloat16."""
    yield from _decoding(setting)
    yield from _training(setting)
    yield from _memory(setting)
    yield from _detections(setting)


def _decoding(setting: Setting) -> Iterator[Row]:
    """Decode the same random outputs on both, with ties and several classes."""
    generator = torch.Generator().manual_seed(0)
    count = 2_000 if setting.is_tiny else 20_000
    logits = torch.randn(3, count, 3, generator=generator).mul(4).round().div(4)
    deltas = torch.randn(3, count, 4, generator=generator) / 4
    corners = torch.rand(count, 2, generator=generator) * count**0.5 * 4
    anchors = torch.cat([corners, corners + 16], dim=1)
    for dtype in (torch.float32, torch.bfloat16):
        outputs = Outputs(
            logits.to(dtype), deltas.to(dtype), anchors, (count // 2, count - count // 2)
        )
        there = Outputs(*(t.to(setting.device) for t in outputs[:3]), outputs.level_sizes)
        results = [
            decode(
                one,
                score_threshold=0.7,
                iou_threshold=0.5,
                max_candidates=4_000,
                max_per_level=2_500,
            )
            for one in (outputs, there)
        ]
        for number, (here, found) in enumerate(zip(*results, strict=True)):
            row = {"twin": f"decode, {str(dtype)[6:]}, chip {number}"}
            yield row | _compare(here.detections, found.detections, exact=True)


def _detections(setting: Setting) -> Iterator[Row]:
    """Detect in one scene on both."""
    side = TOWN // 4 if setting.is_tiny else TOWN
    with Scene(make_scene(setting.folder, side)) as scene:
        for name in MODELS[:1] if setting.is_tiny else MODELS:
            model = load(setting.folder, name)
            wanted = _found(scene, model, "cpu", "float32")
            for precision in ("float32",) if setting.is_tiny else ("float32", "bfloat16"):
                row = {"twin": f"detect, {name}, {precision}"}
                with _without_tf32():
                    found = _found(scene, model, setting.device, precision)
                yield row | _compare(wanted, found, exact=precision == "float32")


def _found(scene: Scene, model: Model, device: str, precision: str) -> Detections:
    """Detect in windows of one size, which would otherwise depend on the device."""
    config = DetectConfig.model_validate(
        {"precision": precision, "chip_size": 512, "overlap": 64, "workers": 4}
    )
    return detect_scene(scene, build_predictor(model, config, device), config).detections


def _training(setting: Setting) -> Iterator[Row]:
    """Compare the losses and gradients of one step."""
    config = resolve_config("urban-trees" if setting.is_tiny else "accurate")
    torch.manual_seed(0)
    network = RetinaNet(config.model, bands=3, classes=1)
    compute_loss = build_loss(config.train, config.model, class_counts=[100])
    pixels, targets = paint_targets(2, 64 if setting.is_tiny else 128)
    states = {}
    for name, device, precision in (
        ("cpu", "cpu", torch.float32),
        ("float32", setting.device, torch.float32),
        ("bfloat16", setting.device, torch.bfloat16),
    ):
        one = RetinaNet(config.model, bands=3, classes=1)
        one.load_state_dict(network.state_dict())
        one = one.to(device).to(memory_format=torch.channels_last).train()
        there = [type(t)(*(part.to(device) for part in t)) for t in targets]
        valid = torch.ones(len(pixels), *pixels.shape[2:], dtype=torch.bool, device=device)
        scaled = standardise(pixels.to(device), valid, [110.0] * 3, [50.0] * 3)
        with _without_tf32():
            with torch.autocast(device, precision, precision != torch.float32):
                losses = compute_loss(one(scaled), there)
            loss = losses.classification + losses.box
            loss.backward()
        gradient = torch.cat(
            [p.grad.flatten().cpu() for p in one.parameters() if p.grad is not None]
        )
        states[name] = loss.item(), gradient
    wanted, slope = states.pop("cpu")
    for name, (loss, gradient) in states.items():
        error = float((gradient - slope).norm() / slope.norm())
        is_same = abs(loss - wanted) < (1e-3 if name == "float32" else 5e-2) * abs(wanted)
        yield {
            **{"twin": f"training step, {name}", "CPU": wanted, "GPU": loss},
            **{
                "gradient error": error,
                "same": is_same and error < (0.01 if name == "float32" else 0.3),
            },
        }


def _memory(setting: Setting) -> Iterator[Row]:
    """Limit the memory to a part of a batch; the detections must stay the same."""
    if setting.device != "cuda":
        yield {"twin": "out of memory", "note": "needs CUDA"}
        return
    model = load(setting.folder, MODELS[1])
    base = {"chip_size": 512, "overlap": 64, "workers": 4, "precision": "bfloat16"}
    warnings = _Warnings()
    logging.getLogger("geodet").addHandler(warnings)
    with Scene(make_scene(setting.folder, TOWN)) as scene:
        found, sizes = [], []
        for batch in (2, 24):
            config = DetectConfig.model_validate(base | {"batch_size": batch})
            predictor = build_predictor(model, config, "cuda")
            torch.cuda.empty_cache()
            if batch == 24:
                _limit(predictor, base["chip_size"], 6)
            run = SceneRun(scene, predictor, config)
            found.append(Detections.concatenate(list(run)).ranked())
            sizes.append(batch)
    torch.cuda.set_per_process_memory_fraction(1.0)
    row = _compare(*found, exact=False)
    yield {"twin": "out of memory"} | row | {"warned": "; ".join(warnings.texts)[:160]}


def _limit(predictor: Predictor, side: int, chips: int) -> None:
    """Allow what so many chips take, as measured, and what is there already."""
    pixels = torch.from_numpy(_noise(side)).to("cuda")
    valid = torch.ones(1, side, side, dtype=torch.bool, device="cuda")
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    predictor.forward(pixels, valid)
    of_chip = torch.cuda.max_memory_allocated() - before
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(
        (torch.cuda.memory_reserved() + chips * of_chip) / total
    )


def _noise(side: int) -> Any:
    return np.random.default_rng(0).integers(0, 255, (1, 3, side, side), np.uint8)


class _Warnings(logging.Handler):
    """Keeps the texts of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = True


def _compare(wanted: Detections, found: Detections, *, exact: bool) -> Row:
    """Match objects by their nearest corners; near the threshold some may come or go."""
    row: Row = {"CPU": len(wanted), "GPU": len(found)}
    if not len(wanted) or not len(found):
        return row | {"same": len(wanted) == len(found)}
    # Several classes may have one box.
    theirs, ours = (np.hstack([d.boxes, 1e4 * d.labels[:, None]]) for d in (found, wanted))
    distances, places = cKDTree(theirs).query(ours)
    is_met = distances < 1.0
    scores = np.abs(found.scores[places] - wanted.scores)[is_met]
    apart = 1 - is_met.mean()
    return row | {
        **{"apart": float(apart), "box px": float(distances[is_met].max(initial=0))},
        "score": float(scores.max(initial=0)),
        "same": bool(apart <= (0.001 if exact else 0.05)),
    }
