"""A batch part by part, what the parts ask of the GPU, and two of them at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from harness import Setting
from measuring import seconds_of, settle
from models import MODELS, load
from scenes import paint_chips
from torch.profiler import ProfilerActivity, profile

from geodet.config import DetectConfig
from geodet.detection.predictor import ForwardPass, Predictor, build_predictor
from geodet.detection.window_plan import plan_windows
from geodet.geometry.windows import Window
from geodet.models.engine import ChipTensors, Outputs
from geodet.models.torch_engine import stack_tensors
from geodet.raster.chip import Chip

__all__ = ["overlap", "parts"]

Row = dict[str, Any]
_SYNCHRONISING = (
    "cudaStreamSynchronize",
    "cudaDeviceSynchronize",
    "cudaMemcpyAsync",
    "cudaLaunchKernel",
)


def parts(setting: Setting) -> Iterator[Row]:
    """Measure stacking, the way to the device, the network and decoding, one after the other."""
    for name in MODELS:
        predictor = build_predictor(load(setting.folder, name), DetectConfig(), setting.device)
        chips = _batch(setting, predictor)
        pixels = len(chips) * chips[0].valid.size
        stacked = predictor.stack(chips)
        started = predictor.start(stacked)
        device = setting.device
        ways: dict[str, Callable[[], Any]] = {
            "blank?": lambda chips=chips: [chip.valid.any() for chip in chips],
            "stack, pageable": partial(_stack_pageable, chips),
            "stack": partial(predictor.stack, chips),
            "to the device": partial(_to_device, predictor, stacked),
            "start": partial(predictor.start, stacked),
            "decode": partial(predictor.finish, started),
        }
        if device == "cuda":
            ways["decode on the CPU"] = partial(_finish_on_cpu, predictor, started)
        for way, call in ways.items():
            taken = seconds_of(call, device, repeats=5, most=1.0)
            row = {"model": name, "chips": len(chips), "side": chips[0].valid.shape[0]}
            yield row | {"part": way, "ms": 1e3 * taken, "Mpx/s": pixels / taken / 1e6}
        for way in ("start", "decode"):
            yield {"model": name, "chips": len(chips), "part": f"{way}, profiled"} | _profile(
                setting, ways[way]
            )


def overlap(setting: Setting) -> Iterator[Row]:
    """Compare one batch after the other with decoding beside the next one's forward pass."""
    if setting.device != "cuda":
        yield {"note": "needs CUDA"}
        return
    for name in MODELS:
        predictor = build_predictor(load(setting.folder, name), DetectConfig(), setting.device)
        chips = _batch(setting, predictor)
        stacked, count = predictor.stack(chips), 6
        pixels = count * len(chips) * chips[0].valid.size
        for way in (_in_turn, _beside, _in_turn, _beside):
            settle("cuda")
            start = time.perf_counter()
            way(predictor, stacked, count)
            settle("cuda")
            taken = time.perf_counter() - start
            row = {"model": name, "way": way.__name__.strip("_").replace("_", " ")}
            yield row | {"ms a batch": 1e3 * taken / count, "Mpx/s": pixels / taken / 1e6}


def _in_turn(predictor: Predictor, stacked: Any, count: int) -> None:
    """Decode a batch, then start the next one, as detect does."""
    started = predictor.start(stacked)
    for _ in range(count - 1):
        predictor.finish(started)
        started = predictor.start(stacked)
    predictor.finish(started)


def _beside(predictor: Predictor, stacked: Any, count: int) -> None:
    """Start the next batch first, and decode on a second stream."""
    side = torch.cuda.Stream(priority=-1)
    before: tuple[ForwardPass, torch.cuda.Event] | None = None
    for step in range(count + 1):
        now = None
        if step < count:
            now = predictor.start(stacked), torch.cuda.Event()
            now[1].record()
        if before is not None:
            started, event = before
            with torch.cuda.stream(side):
                side.wait_event(event)
                for tensor in started.outputs[:3]:
                    tensor.record_stream(side)
                predictor.finish(started)
        before = now


def _batch(setting: Setting, predictor: Predictor) -> list[Chip]:
    """Return the chips of a batch, as many and as large as those of a large scene."""
    side = 128 if setting.is_tiny else 16_384
    grid, count = plan_windows(predictor, DetectConfig(), side, side)
    size = grid[0].width
    valid = np.broadcast_to(np.True_, (size, size)).copy()
    pixels = paint_chips(setting.folder, 1 if setting.is_tiny else count, size)
    return [Chip(Window(0, 0, size, size), one, valid) for one in pixels]


def _stack_pageable(chips: list[Chip]) -> ChipTensors:
    return stack_tensors([chip.pixels for chip in chips], [chip.valid for chip in chips])


def _to_device(predictor: Predictor, stacked: ChipTensors) -> list[torch.Tensor]:
    return [tensor.to(predictor.device, non_blocking=True) for tensor in stacked]


def _finish_on_cpu(predictor: Predictor, started: ForwardPass) -> Any:
    logits, deltas, anchors, sizes = started.outputs
    outputs = Outputs(logits.cpu(), deltas.cpu(), anchors.cpu(), sizes)
    return predictor.finish(ForwardPass(outputs, started.area))


def _profile(setting: Setting, call: Callable[[], Any]) -> Row:
    """Count what waits for the GPU, and name what takes its time."""
    activities = [ProfilerActivity.CPU]
    if setting.device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    call()
    settle(setting.device)
    with profile(activities=activities) as seen:
        call()
        settle(setting.device)
    events = seen.key_averages()
    counts = {event.key: event.count for event in events if event.key in _SYNCHRONISING}
    is_cuda = setting.device == "cuda"
    own = "self_device_time_total" if is_cuda else "self_cpu_time_total"
    top = sorted(events, key=lambda event: -getattr(event, own))[:5]
    return {
        "calls": counts,
        "ms of": {event.key[:40]: round(getattr(event, own) / 1e3, 2) for event in top},
    }
