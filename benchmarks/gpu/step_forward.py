"""The bare network: its ceiling, and what precision, layout, batch, graphs and compiling change."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from harness import Setting
from measuring import peak_gpu_mib, seconds_of
from models import MODELS, load
from scenes import paint_chips
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from geodet.config import DetectConfig
from geodet.detection.predictor import Predictor, build_predictor
from geodet.models.inputs import standardise

__all__ = ["ceilings", "compiled", "graphs", "precisions", "shapes"]

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
Row = dict[str, Any]


def ceilings(setting: Setting) -> Iterator[Row]:
    """Measure a large product and a large copy, the two limits of all that follows."""
    device, side = setting.device, 64 if setting.is_tiny else 8192
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        yield {
            "what": properties.name,
            "torch": torch.__version__,
            "unit": "GiB",
            "value": properties.total_memory / 2**30,
        }
    halves = {} if setting.is_tiny else _HALF  # which a CPU multiplies slowly
    for name, dtype in {"float32": torch.float32, **halves}.items():
        for tf32 in (False, True) if name == "float32" else (False,):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            one = torch.randn(side, side, device=device, dtype=dtype)
            taken = seconds_of(lambda one=one: one @ one, device, most=1.0)
            yield {
                "what": f"product, {'TF32' if tf32 else name}",
                "unit": "TFLOP/s",
                "value": 2 * side**3 / taken / 1e12,
            }
    data = torch.randint(
        0, 255, (2**22 if setting.is_tiny else 2**32,), dtype=torch.uint8, device=device
    )
    taken = seconds_of(partial(torch.empty_like(data).copy_, data), device)
    yield {"what": "copy on the device", "unit": "GB/s", "value": 2 * data.numel() / taken / 1e9}
    for pinned in (False, True) if device == "cuda" else ():
        host = torch.empty(2**28, dtype=torch.uint8, pin_memory=pinned).random_()
        taken = seconds_of(lambda host=host: data[: 2**28].copy_(host, non_blocking=True), device)
        what = f"copy to the device, {'pinned' if pinned else 'pageable'}"
        yield {"what": what, "unit": "GB/s", "value": 2**28 / taken / 1e9}


def precisions(setting: Setting) -> Iterator[Row]:
    """Measure each precision, in channels-last memory and without."""
    variants = ("bf16", "TF32", "fp32", "fp16", "bf16 weights", "bf16 NCHW", "bf16 cudnn.benchmark")
    variants = ("fp32",) if setting.is_tiny else variants
    sizes = [(1, 64)] if setting.is_tiny else [(16, 1024)]
    for name in MODELS:
        predictor, flops = _predictor(setting, name), None
        for variant in variants:
            with _backends(variant):
                forward = _variant(predictor, variant)
                for count, side in sizes:
                    chips = _chips(setting, count, side)
                    flops = flops or _flops(predictor, chips)
                    yield {"model": name, "variant": variant} | _measure(
                        setting, forward, chips, flops
                    )


def shapes(setting: Setting) -> Iterator[Row]:
    """Measure batches and windows of many sizes, in bfloat16."""
    sizes = [
        (1, 1024),
        (4, 1024),
        (16, 1024),
        (32, 1024),
        (64, 512),
        (16, 512),
        (16, 1472),
        (8, 2048),
        (2, 4096),
    ]
    for name in MODELS:
        predictor = _predictor(setting, name)
        flops = _flops(predictor, _chips(setting, 1, 256))
        for count, side in [(1, 64), (2, 64)] if setting.is_tiny else sizes:
            chips = _chips(setting, count, side)
            variant = "fp32" if setting.is_tiny else "bf16"
            row = _measure(setting, _variant(predictor, variant), chips, flops)
            yield {"model": name, "variant": variant} | row


def graphs(setting: Setting) -> Iterator[Row]:
    """Replay the network as a CUDA graph, at small and large batches."""
    for name in MODELS:
        predictor = _predictor(setting, name)
        for count, side in [(1, 64)] if setting.is_tiny else [(1, 512), (1, 1024), (16, 1024)]:
            chips = _chips(setting, count, side)
            inputs = _scaled(predictor, chips)
            precision = torch.float32 if setting.is_tiny else torch.bfloat16
            run = partial(_infer, predictor.engine.network, inputs, precision, setting.device)
            row = {"model": name, "chips": count, "side": side}
            yield row | {"way": "eager"} | _speed(setting, run, chips)
            if setting.device == "cuda":
                yield (
                    row
                    | {"way": "graph"}
                    | _speed(setting, _captured(partial(run, cached=False)), chips)
                )


def compiled(setting: Setting) -> Iterator[Row]:
    """Compile the network by torch's inductor, the larger one first."""
    for name in reversed(MODELS):
        if setting.is_tiny:
            yield {"model": name, "note": "compiling takes a minute"}
            continue
        predictor = _predictor(setting, name)
        chips = _chips(setting, 16, 1024)
        inputs = _scaled(predictor, chips)
        for mode in ("default", "max-autotune-no-cudagraphs"):
            network = torch.compile(predictor.engine.network, mode=mode, dynamic=False)
            start = time.perf_counter()
            run = partial(_infer, network, inputs, torch.bfloat16, setting.device)
            run()
            first = time.perf_counter() - start
            yield {"model": name, "mode": mode, "first call, s": first} | _speed(
                setting, run, chips
            )
            if name == MODELS[0]:
                break


def _predictor(setting: Setting, name: str) -> Predictor:
    return build_predictor(load(setting.folder, name), DetectConfig(), setting.device)


def _chips(setting: Setting, count: int, side: int) -> Tensor:
    return torch.from_numpy(paint_chips(setting.folder, count, side)).to(setting.device)


@contextlib.contextmanager
def _backends(variant: str) -> Iterator[None]:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = variant != "fp32"
    torch.backends.cudnn.benchmark = "benchmark" in variant
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = True, False


def _variant(predictor: Predictor, variant: str) -> Callable[[Tensor], Any]:
    """Return a function of pixels that standardises them and runs a variant of the network."""
    network, precision = predictor.engine.network, _HALF.get(variant[:4], torch.float32)
    form = torch.contiguous_format if variant.endswith("NCHW") else torch.channels_last
    network = deepcopy(network).to(memory_format=form)
    has_weights = variant.endswith("weights")
    if has_weights:
        network = network.to(precision)

    def run(pixels: Tensor) -> Any:
        inputs = _scaled(predictor, pixels).contiguous(memory_format=form)
        if has_weights:
            with torch.inference_mode():
                return network(inputs.to(precision))
        return _infer(network, inputs, precision, predictor.device.type)

    return run


def _scaled(predictor: Predictor, pixels: Tensor) -> Tensor:
    valid = torch.ones((len(pixels), *pixels.shape[2:]), dtype=torch.bool, device=pixels.device)
    with torch.inference_mode():
        return standardise(pixels, valid, *predictor.values)


def _infer(
    network: nn.Module,
    inputs: Tensor,
    precision: torch.dtype,
    device: str,
    *,
    cached: bool = True,
) -> Any:
    with (
        torch.inference_mode(),
        torch.autocast(device, precision, precision != torch.float32, cache_enabled=cached),
    ):
        return network(inputs)


def _captured(run: Callable[[], Any]) -> Callable[[], Any]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = run()

    def replay() -> Any:
        graph.replay()
        return kept

    return replay


def _flops(predictor: Predictor, chips: Tensor) -> float:
    """Count the operations for a pixel, two for each multiplication and addition."""
    with FlopCounterMode(display=False) as counter:
        _variant(predictor, "fp32")(chips[:1, :, :256, :256])
    return counter.get_total_flops() / chips[0, 0, :256, :256].numel()


def _measure(
    setting: Setting, forward: Callable[[Tensor], Any], chips: Tensor, flops: float
) -> Row:
    """Measure a variant; what does not work, such as too large a batch, is a row as well."""
    row = {"chips": len(chips), "side": chips.shape[-1]}
    try:
        speed = _speed(setting, lambda: forward(chips), chips)
    except RuntimeError as error:
        torch.cuda.empty_cache()
        return row | {"note": str(error).splitlines()[0][:80]}
    return row | speed | {"TFLOP/s": speed["Mpx/s"] * flops / 1e6}


def _speed(setting: Setting, run: Callable[[], Any], chips: Tensor) -> Row:
    peak_gpu_mib(reset=True)
    taken = seconds_of(run, setting.device, repeats=9, warm=1 if setting.is_tiny else 3, most=1.0)
    pixels = chips[:, 0].numel()
    return {"ms": taken * 1e3, "Mpx/s": pixels / taken / 1e6, "peak MiB": peak_gpu_mib()}
