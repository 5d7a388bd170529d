"""Start a training from the weights of another model."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from geodet.config import ModelConfig
from geodet.errors import ConfigError
from geodet.models.backbone import adapt_filters
from geodet.models.checkpoint import load_checkpoint
from geodet.models.description import find_model, load_description
from geodet.models.model import Model
from geodet.models.retinanet import RetinaNet
from geodet.raster.bands import match_bands
from geodet.training.band_statistics import BandStatistics
from geodet.training.class_outputs import match_outputs, summarise_match, take_outputs

__all__ = ["Transfer", "adopt_inputs", "transfer_weights"]

logger = logging.getLogger(__name__)

_STEM = "backbone.stem.conv.weight"
_SCORES = "classifier.last."
_FAR_OFF = 1.5  # times the GSD of the model: worth a warning
_OTHER_SPREAD = 2.0  # times the deviation of the model's pixels: imagery of another kind
# Parts that exist once for each pyramid level, numbered from the first level.
_OF_A_LEVEL = re.compile(r"(.*\.(?:inner_blocks|layer_blocks|norms)\.)(\d+)(\..*)")


class Transfer(NamedTuple):
    """Names of a network's tensors, by where their values are from."""

    taken: list[str]
    """From the other model as a whole."""
    fresh: list[str]
    """From the initialisation, in whole or in part."""

    @property
    def fresh_parts(self) -> list[str]:
        """Parts of the network with tensors from the initialisation, in whole or in part."""
        return [*dict.fromkeys(".".join(key.split(".")[:-1][:3]) for key in self.fresh)]


def adopt_inputs(
    own: BandStatistics, name: str | Path, dtype: str, *, bands: Sequence[str] = ()
) -> BandStatistics:
    """Take the means and deviations of the model that a training starts from, if data are alike.

    Its weights were trained on pixels scaled by them, and a few chips may give others. Where the
    bands or the type differ, a mean lies more than a deviation away, or a deviation is
    less than half or more than twice the model's, the training's own are used. The range of the
    values is always its own.

    Args:
        own: Statistics of the training pixels.
        name: A bundled model's name, or a model file.
        dtype: Data type of the training pixels.
        bands: What each band shows, "" if unknown; empty: nothing is known.

    Raises:
        ModelFileError: There is no such model.
    """
    model = load_description(find_model(name))
    if (len(own.mean), dtype) != (len(model.mean), model.dtype):
        return own
    order = [n for n in match_bands(bands or [""] * len(own.mean), model.bands) if n is not None]
    if len(order) < len(own.mean):
        return own
    known_means, known_stds = ([values[n] for n in order] for values in (model.mean, model.std))
    for mean, std, known_mean, known_std in zip(
        own.mean, own.std, known_means, known_stds, strict=True
    ):
        is_near = abs(mean - known_mean) <= known_std
        if not (is_near and 1 / _OTHER_SPREAD <= std / known_std <= _OTHER_SPREAD):
            return own
    return own._replace(mean=known_means, std=known_stds)


def transfer_weights(
    network: RetinaNet,
    name: str | Path,
    *,
    classes: Sequence[str],
    bands: Sequence[str] = (),
    gsd: float | None = None,
) -> Transfer:
    """Replace the weights of a network by those of a model, where name and shape fit.

    The parts of a pyramid level get the weights of the same level, or else of the nearest one;
    those that connect a stage of the backbone need the same stage. The first convolution is adapted
    to the bands, which :func:`geodet.raster.bands.match_bands` finds among the model's, by
    :func:`geodet.models.backbone.adapt_filters`. The last convolution of a head
    is taken if it has as many hidden convolutions, and of that of the classifier the outputs of
    classes that have the same name, see :func:`geodet.training.class_outputs.match_outputs`.

    Args:
        network: Changed in place.
        name: A bundled model's name, or a model file.
        classes: Names of the network's classes, in the order of its outputs.
        bands: What each band of the network shows, "" if unknown; empty: nothing is known.
        gsd: Metres per pixel of the training images. A warning says when the model's differ by
            more than half, since its weights know objects of another size.

    Raises:
        ModelFileError: There is no such model.
        ConfigError: The model has another backbone.
    """
    model = load_checkpoint(name)
    _check_backbone(model, network.config, name)
    own = network.state_dict()
    places = match_outputs(classes, model.description.classes)
    of_bands = match_bands(bands or [""] * own[_STEM].shape[1], model.description.bands)
    given = _fitting(own, model, network, places, of_bands)
    network.load_state_dict(given, strict=False)
    _warn_of_other_gsd(name, model.description.gsd, gsd)
    counters = {key for key in own if key.endswith("num_batches_tracked")}
    in_part = {key for key in given if key.startswith(_SCORES) and None in places}
    taken = given.keys() - in_part
    transfer = Transfer(sorted(taken), sorted(own.keys() - taken - counters))
    _report(name, transfer)
    _report_bands(bands, model.description.bands, of_bands)
    told = summarise_match(classes, model.description.classes, places)
    if told and (f"{_SCORES}weight" in given or not _is_known(places)):
        logger.info("train.init: %s", told)
    return transfer


def _warn_of_other_gsd(name: str | Path, model_gsd: float | None, gsd: float | None) -> None:
    if model_gsd is None or gsd is None or 1 / _FAR_OFF <= gsd / model_gsd <= _FAR_OFF:
        return
    logger.warning(
        "train.init = %s works at %.3g m per pixel and the training images have %.3g m: objects "
        "appear %.1f times as %s as in its training; resample the images to its own: geodet tile "
        "--gsd %.3g, or gdalwarp -r average -tr %.3g %.3g in metres",
        name,
        model_gsd,
        gsd,
        max(gsd / model_gsd, model_gsd / gsd),
        "small" if gsd > model_gsd else "large",
        *[model_gsd] * 3,
    )


def _check_backbone(model: Model, config: ModelConfig, name: str | Path) -> None:
    backbone = model.description.architecture.backbone
    if backbone != config.backbone:
        raise ConfigError(
            f"train.init = {str(name)!r}: its backbone is {backbone}, not {config.backbone}: no "
            "weights fit",
            hint=f"set model.backbone = {backbone}, or choose another model",
            key="train.init",
        )


def _fitting(
    own: Mapping[str, Tensor],
    model: Model,
    network: RetinaNet,
    places: Sequence[int | None],
    of_bands: Sequence[int | None],
) -> dict[str, Tensor]:
    """Choose the tensors of the model that fit, under the network's names."""
    anchors = network.anchors.per_cell
    has_scores = _is_known(places) and anchors == model.network.anchors.per_cell
    theirs = model.network.state_dict()
    shift = network.config.levels[0] - model.description.architecture.levels[0]
    found = {}
    for key, tensor in own.items():
        source = theirs.get(_same_level(key, shift, theirs))
        if source is None or key.endswith("num_batches_tracked"):
            continue
        if key == _STEM:
            source = adapt_filters(source, of_bands)
        if _is_last_of_other_depth(key, model.network, network):
            continue
        if key.startswith(_SCORES):
            if not has_scores or source.shape[1:] != tensor.shape[1:]:
                continue
            source = take_outputs(tensor, source, places, anchors)
        if source.shape == tensor.shape:
            found[key] = source
    # A bias fits only the weights that it was trained with.
    return {k: t for k, t in found.items() if f"{k.rpartition('.')[0]}.weight" in found}


def _same_level(key: str, shift: int, theirs: Iterable[str]) -> str:
    """Return the name of the other network's tensor for the same or the nearest level."""
    if not (parts := _OF_A_LEVEL.fullmatch(key)):
        return key
    before, index, after = parts.groups()
    wanted = int(index) + shift
    if before.endswith("inner_blocks."):  # of one stage of the backbone and of no other
        return f"{before}{wanted}{after}"
    named = (_OF_A_LEVEL.fullmatch(other) for other in theirs)
    there = [int(p[2]) for p in named if p and (p[1], p[3]) == (before, after)]
    nearest = min(there, key=lambda level: (abs(level - wanted), level), default=wanted)
    return f"{before}{nearest}{after}"


def _is_known(places: Sequence[int | None]) -> bool:
    """Whether the model has any of the classes."""
    return any(place is not None for place in places)


def _is_last_of_other_depth(key: str, one: RetinaNet, other: RetinaNet) -> bool:
    """Whether a tensor is of the last layer of a head that has another number of hidden layers.

    What it reads is something else then, and its first outputs would be worse than none.
    """
    head = key.partition(".last.")[0]
    return ".last." in key and len(getattr(one, head).convs) != len(getattr(other, head).convs)


def _report(name: str | Path, transfer: Transfer) -> None:
    count = len(transfer.taken) + len(transfer.fresh)
    logger.info("train.init = %s: %d of %d tensors taken", name, len(transfer.taken), count)
    if transfer.fresh:
        parts = ", ".join(transfer.fresh_parts)
        logger.info("train.init: new weights, in whole or in part: %s", parts)


def _report_bands(own: Sequence[str], theirs: Sequence[str], places: Sequence[int | None]) -> None:
    """Log which bands are not taken, or taken by their meaning instead of their position."""
    lost = [shown or str(n) for n, shown in enumerate(theirs, start=1) if n - 1 not in places]
    if lost and len(places) < len(theirs):
        logger.warning(
            "train.init: the training images have no band %s, whose filters are left out",
            ", ".join(lost),
        )
    if not own or [*places] == [*range(len(own))]:
        return
    new = [shown or str(n) for n, shown in enumerate(own, start=1) if places[n - 1] is None]
    logger.info(
        "train.init: its bands are %s, those of the training images %s: filters are matched by "
        "band%s",
        ", ".join(theirs),
        ", ".join(shown or str(n) for n, shown in enumerate(own, start=1)),
        f", new are those of {', '.join(new)}" if new else "",
    )
