"""What torch.compile would gain: the forward pass of one window, as it is and compiled, in turn.

Needs a C++ compiler, which is why geodet does not do it unasked.

    python benchmarks/compiled.py [--model urban-trees] [--side 1536] [--rounds 7] [--threads N]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torch._inductor.config as inductor
from common import print_machine

from geodet.config.recipes import resolve_config
from geodet.detection.predictor import Predictor, build_predictor
from geodet.models.checkpoint import load_checkpoint
from geodet_cli.process import prepare_process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="urban-trees")
    parser.add_argument("--side", type=int, default=1536)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prepare_process("auto")  # as the command line does
    inductor.freezing = True  # weights are constants: laid out once as the convolutions like them
    plain, compiled = (_build(options.model) for _ in range(2))
    compiled.engine.network = torch.compile(compiled.engine.network)
    bands = len(plain.values.mean)
    pixels = torch.randint(0, 256, (1, bands, options.side, options.side), dtype=torch.uint8)
    preparing = _time(compiled, pixels)
    _time(plain, pixels)
    rounds = [(_time(plain, pixels), _time(compiled, pixels)) for _ in range(options.rounds)]
    _print(options, preparing, rounds)


def _build(model: str) -> Predictor:
    return build_predictor(load_checkpoint(model), resolve_config().detect, "auto")


def _time(predictor: Predictor, pixels: torch.Tensor) -> float:
    valid = torch.ones(len(pixels), *pixels.shape[-2:], dtype=torch.bool)
    start = time.perf_counter()
    outputs = predictor.forward(pixels.to(predictor.device), valid.to(predictor.device))
    outputs.logits.flatten()[0].item()  # waits for the device
    return time.perf_counter() - start


def _print(
    options: argparse.Namespace, preparing: float, rounds: list[tuple[float, float]]
) -> None:
    print_machine()
    plain, compiled = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = sorted(b / a for a, b in rounds)
    print(f"{options.model}, one window of {options.side} px, {options.threads} threads")
    print(f"as it is: {plain:.3f} s; compiled: {compiled:.3f} s, after {preparing:.1f} s once")
    print(f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
