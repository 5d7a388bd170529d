"""Choose the network of a training: that of the model that it starts from, or of the settings."""

from __future__ import annotations

import logging

from geodet.config import Config, ModelConfig
from geodet.config.recipes import resolve_config
from geodet.models.description import find_model, load_description
from geodet.tilesets.labels import Tileset
from geodet.training.anchor_fit import collect_objects, settle_anchors, share_missed
from geodet.training.boxes_to_learn import has_oriented, with_boxes_to_learn

__all__ = ["adopt_network", "choose_network"]

logger = logging.getLogger(__name__)

_OF_THE_BACKBONE = ("backbone", "antialias")  # what decides which weights there are
_ACTIVATION = "activation"
# Keys that leave a model's weights where they are; any other one asks for a network of one's own.
_FREE = frozenset((_ACTIVATION, "boxes", "anchors"))
_MOST_MISSED = 0.5  # share of the training objects, as for anchors = "auto"


def choose_network(tileset: Tileset, config: Config) -> tuple[Tileset, Config]:
    """Choose the network by the settings, the first weights and the labels, anchors included.

    Args:
        tileset: The labels.
        config: All settings.

    Returns:
        The tileset with the boxes that the network learns, and the settings with the network.

    Raises:
        ModelFileError: There is no model ``train.init``.
        ConfigError: Its network does not fit other settings.
        TilesetError: Labels do not fit ``model.boxes`` or ``model.anchors``.
    """
    config = adopt_network(tileset, config)
    chosen = with_boxes_to_learn(tileset, config.model)
    return chosen, settle_anchors(chosen, config)


def adopt_network(tileset: Tileset, config: Config) -> Config:
    """Take the network of the model that a training starts from.

    Where settings lay out a network of their own, or the model's anchors miss more than half of the
    training objects, only its backbone and its activation are taken: those anchors and levels would
    learn little of such objects. A setting of the activation, the boxes or the anchors stays.
    Oriented boxes are not taken where no training label stands at an angle.

    Args:
        tileset: The labels.
        config: All settings.

    Raises:
        ModelFileError: There is no such model.
        ConfigError: Its network does not fit other settings.
    """
    init = config.train.init
    if not init:
        return config
    model = load_description(find_model(init)).architecture
    given = config.model.model_fields_set
    if given - _FREE:
        logger.info("train.init = %s: the settings of [model] define the network", init)
        return _with_backbone(config, model)
    wanted = model.model_copy(update={key: getattr(config.model, key) for key in given})
    if wanted.anchors == "auto":
        wanted = wanted.model_copy(update={"anchors": "given"})
    if "boxes" not in given and wanted.boxes == "oriented" and not has_oriented(tileset):
        logger.info(
            "train.init = %s: no training label is at an angle, so boxes are axis-aligned", init
        )
        wanted = wanted.model_copy(update={"boxes": "axis_aligned"})
    if config.model.anchors == "auto" and _misses_most(tileset, wanted, init):
        return _with_backbone(config, model)
    logger.info("train.init = %s: its network is used, and not that of the default recipe", init)
    settings = {f"model.{key}": value for key, value in wanted.model_dump().items()}
    return resolve_config(config, settings=settings)


def _with_backbone(config: Config, model: ModelConfig) -> Config:
    """Take the backbone and the activation of a model, unless settings name them."""
    given = config.model.model_fields_set
    wanted = [] if given & set(_OF_THE_BACKBONE) else [*_OF_THE_BACKBONE]
    wanted += [] if _ACTIVATION in given else [_ACTIVATION]
    taken = {key: getattr(model, key) for key in wanted}
    if taken == {key: getattr(config.model, key) for key in wanted}:
        return config
    if "backbone" in wanted:
        logger.info("train.init = %s: its backbone is used, %s", config.train.init, model.backbone)
    return config.model_copy(update={"model": config.model.model_copy(update=taken)})


def _misses_most(tileset: Tileset, model: ModelConfig, init: str) -> bool:
    """Whether a model's anchors miss most training objects; warn of it."""
    missed = share_missed(collect_objects(tileset.split("train")), model)
    if missed <= _MOST_MISSED:
        return False
    logger.warning(
        "train.init = %s: its anchors, anchor_sizes = %s, miss %.0f %% of the training objects at "
        "IoU 0.5; its backbone is used, with the pyramid, heads and anchors of the default recipe, "
        "whose weights are mostly new; to keep its own, with anchors that fit: --set "
        "model.anchors=fit",
        init,
        list(model.anchor_sizes),
        100 * missed,
    )
    return True
