"""Backbones of the package timm: hundreds of networks by name, for any number of bands.

The package is optional: only a model that names such a backbone imports it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from geodet.errors import ConfigError
from geodet.files.network import is_offline
from geodet.models.first_weights import UNLOADABLE, read_packaged_weights

__all__ = ["TIMM", "TimmBackbone"]

TIMM = "timm/"
"""Prefix of the names of these backbones, and, as name of first weights, timm's own."""


class TimmBackbone(nn.Module):
    """The stages C2, C3, ... of a network of timm.

    Args:
        name: ``timm/NAME``, where timm's NAME may have a tag: ``timm/resnet26d.bt_in1k``.
        bands: Bands of the input; timm adapts pretrained weights to other numbers than three.
        level: Deepest stage, 2 to 5.
        weights: ``timm`` for timm's own, which are downloaded; a file with a state dict of the
            network; None for random weights.

    Raises:
        ConfigError: The package is missing, there is no such network or it has no such stages, or
            the weights cannot be loaded.
    """

    def __init__(self, name: str, *, bands: int, level: int, weights: str | None = None) -> None:
        super().__init__()
        reductions = _load_body(name, bands, None).feature_info.reduction()
        wanted = [2**stage for stage in range(2, level + 1)]
        if not set(wanted) <= set(reductions):
            raise ConfigError(
                f"model.backbone = {name!r} has stages of the strides {reductions}, not {wanted}",
                hint="choose another network, or set model.backbone_level",
                key="model.backbone",
            )
        places = [reductions.index(stride) for stride in wanted]
        self.body = _load_body(name, bands, weights, out_indices=places)  # without later stages
        self.widths: list[int] = self.body.feature_info.channels()
        self._frozen: list[nn.Module] = []

    def freeze(self, stages: int) -> None:
        """Exclude the first parts of the backbone from training, and the statistics of their norms.

        Args:
            stages: 0 for none, 1 for all layers before C2, 2 for C2 too, and so on.
        """
        self._frozen = self._first_layers(stages) if stages else []
        for part in self._frozen:
            part.requires_grad_(requires_grad=False)
        self.train(self.training)

    def _first_layers(self, stages: int) -> list[nn.Module]:
        """Return the layers up to the end of a stage, in the order in which timm lists them."""
        modules = dict(self.body.named_modules())
        leaves = [name for name, module in modules.items() if _has_own_state(module)]
        given: list[str] = self.body.feature_info.module_name()
        ends = [name if name in modules else name.replace(".", "_") for name in given]  # flattened
        inside = [[n for n in leaves if n == end or n.startswith(f"{end}.")] for end in ends]
        first = leaves.index(inside[0][0])
        last = leaves.index(inside[min(stages, len(ends) + 1) - 2][-1]) + 1 if stages > 1 else first
        return [modules[name] for name in leaves[:last]]

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all parts that are not frozen; frozen ones stay in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute C2 to C``level``: level L is (N, C_L, H / 2^L, W / 2^L)."""
        features: list[Tensor] = self.body(images)
        return features


def _has_own_state(module: nn.Module) -> bool:
    """Whether a module holds weights or statistics itself, not only in its parts."""
    return any(True for _ in module.parameters(recurse=False)) or any(
        True for _ in module.buffers(recurse=False)
    )


def _load_body(
    name: str, bands: int, weights: str | None, out_indices: list[int] | None = None
) -> Any:
    timm = _import_timm(name)
    if weights == "timm" and is_offline():
        raise ConfigError(
            "train.pretrained = 'timm': its weights would be downloaded, and geodet is offline",
            hint="give a file that holds them",
            key="train.pretrained",
        )
    options: dict[str, Any] = {
        "features_only": True,
        "in_chans": bands,
        "pretrained": weights == "timm",
    }
    if out_indices is not None:
        options["out_indices"] = out_indices
    if weights not in (None, "timm"):
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": _file(name, weights)}}
    try:
        return timm.create_model(name.removeprefix(TIMM), **options)
    except (*UNLOADABLE, KeyError, ValueError, AttributeError, AssertionError) as error:
        is_unknown = not timm.is_model(name.removeprefix(TIMM).partition(".")[0])
        raise ConfigError(
            f"model.backbone = {name!r}: {error}"
            if is_unknown
            else f"model.backbone = {name!r} with train.pretrained = {weights!r}: {error}",
            hint="timm.list_models() names the networks; features_only must support it"
            if is_unknown
            else 'train.pretrained = "timm" downloads timm\'s weights once; or give a file',
            key="model.backbone" if is_unknown else "train.pretrained",
        ) from error


def _file(name: str, weights: str | None) -> str:
    assert weights is not None
    read_packaged_weights(name, weights)  # explains what is wrong with the file
    return str(Path(weights))


def _import_timm(name: str) -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ConfigError(
            f"model.backbone = {name!r} needs the package timm, which is not installed",
            hint="python -m pip install 'geodet[timm]'",
            key="model.backbone",
        ) from error
