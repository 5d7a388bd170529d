"""A training step of a network with depthwise convolutions, as they are and in float32.

Both networks take steps in turn in one process; processor time, so that other work on the machine
counts little.

    python benchmarks/depthwise.py [--recipe urban-trees] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from common import print_machine

from geodet.config.recipes import resolve_config
from geodet.models.depthwise import train_depthwise_in_float32
from geodet.models.retinanet import RetinaNet
from geodet_cli.process import prepare_process


def main() -> None:
    options = _parse()
    prepare_process("cpu")  # as the command line does
    torch.set_num_threads(options.threads)
    settings = {"train.init": None, "model.backbone": "efficientnet_lite0"}
    config = resolve_config(options.recipe, settings=settings)
    networks = [RetinaNet(config.model, bands=3, classes=1).train() for _ in range(2)]
    train_depthwise_in_float32(networks[1])
    for network in networks:
        network.to(memory_format=torch.channels_last)
    chips = torch.randn(options.batch, 3, config.train.chip_size, config.train.chip_size)
    chips = chips.contiguous(memory_format=torch.channels_last)
    rounds = [[_step(one, chips) for one in networks] for _ in range(options.repeats + 1)][1:]
    before, after = (statistics.median(column) for column in zip(*rounds, strict=True))
    print_machine()
    print(
        f"processor seconds of a step of {options.batch} chips: {before:.2f} in bfloat16, "
        f"{after:.2f} with the depthwise convolutions in float32; ratio {before / after:.2f}"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="urban-trees")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def _step(network: RetinaNet, chips: torch.Tensor) -> float:
    started = time.process_time()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(chips)
        loss = outputs.logits.float().square().mean() + outputs.deltas.float().square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return time.process_time() - started


if __name__ == "__main__":
    main()
