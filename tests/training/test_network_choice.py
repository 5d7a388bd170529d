"""Which network a training has: that of the model that it starts from, or of the settings."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from factories_models import architecture, seeded_network
from factories_training import small_fixture  # noqa: F401 - a fixture

from geodet.config import Config, ModelConfig
from geodet.config.recipes import resolve_config
from geodet.errors import ConfigError
from geodet.models.checkpoint import save_model
from geodet.models.description import ModelDescription, find_model, load_description
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.training.network_choice import adopt_network, choose_network
from geodet.training.transfer import transfer_weights

TREES = load_description(find_model("urban-trees")).architecture
SHIPS = np.array([[30.0, 20.0, 24.0, 8.0, 0.5]])


def boxes_of(side, *, oriented=None):
    """Return a tileset of one training image, with a square in the middle of a cell of 4 px."""
    centre = np.array([50.0, 50.0, 50.0, 50.0])
    boxes = (centre + np.array([-1, -1, 1, 1]) * side / 2)[np.newaxis]
    image = LabelledImage(
        Path("a.png"),
        100,
        100,
        boxes,
        np.zeros(1, np.int64),
        np.zeros((0, 4)),
        "a",
        "train",
        None,
        oriented=oriented,
    )
    return Tileset(Path("tiles"), ("tree",), (image,))


def save(folder, config):
    description = ModelDescription(
        name="a",
        architecture=config,
        classes=("a",),
        bands=tuple("rgb"),
        dtype="uint8",
        gsd=None,
        score_threshold=0.5,
        **dict.fromkeys(("mean", "std", "low", "high"), (1.0,) * 3),
    )
    save_model(folder / "a.safetensors", seeded_network(config), description)
    return f"train.init={folder / 'a.safetensors'}"


def test_a_training_has_the_network_of_its_first_weights(said):
    config = resolve_config(settings=["train.init=urban-trees"])
    adopted = adopt_network(boxes_of(12), config)
    assert adopted.model == TREES
    assert "train.init = urban-trees: its network is used" in said(logging.INFO)[-1]
    network = seeded_network(adopted.model)
    assert transfer_weights(network, "urban-trees", classes=["tree"]).fresh == []


def test_without_first_weights_the_settings_stay():
    assert adopt_network(boxes_of(12), resolve_config()) == Config()


@pytest.mark.parametrize("settings", [["model.channels=64"], ["model.levels=[2, 4]"]])
def test_settings_of_the_network_win(said, settings):
    config = resolve_config(settings=["train.init=urban-trees", *settings])
    wanted = ModelConfig(backbone=TREES.backbone, channels=config.model.channels)
    assert adopt_network(boxes_of(12), config).model == wanted
    assert "the settings of [model] define the network" in said(logging.INFO)[0]


def test_a_recipe_wins():
    config = resolve_config("thermal", settings=["train.init=urban-trees"])
    model = adopt_network(boxes_of(12), config).model
    assert model.anchor_sizes == config.model.anchor_sizes
    assert model.backbone == TREES.backbone


@pytest.mark.parametrize(
    ("model", "backbone"), [("urban-trees", TREES.backbone), ("thermal", "resnet18")]
)
def test_the_backbone_is_that_of_the_first_weights_unless_one_is_set(model, backbone):
    init = [f"train.init={model}", "model.channels=64"]
    assert adopt_network(boxes_of(12), resolve_config(settings=init)).model.backbone == backbone
    passed_on = resolve_config(resolve_config(settings=init))
    assert adopt_network(boxes_of(12), passed_on).model.backbone == backbone
    chosen = resolve_config(settings=[*init, "model.backbone=resnet50"])
    assert adopt_network(boxes_of(12), chosen).model.backbone == "resnet50"


def test_the_activation_comes_from_the_model_unless_it_is_set(tmp_path):
    theirs = architecture(activation="relu6")
    init = save(tmp_path, theirs)
    both = resolve_config(settings=[init, "model.backbone=resnet18"])
    assert adopt_network(boxes_of(12), both).model.activation == "relu6"
    chosen = resolve_config(settings=[init, "model.activation=relu"])
    adopted = adopt_network(boxes_of(12), chosen).model
    assert adopted == theirs.model_copy(update={"activation": "relu", "anchors": "given"})


@pytest.mark.parametrize(("side", "is_taken"), [(12, True), (9, True), (40, False)])
def test_anchors_that_miss_most_objects_are_not_taken(said, side, is_taken):
    config = resolve_config(settings=["train.init=urban-trees"])
    model = adopt_network(boxes_of(side), config).model
    assert (model == TREES) == is_taken
    assert model.backbone == TREES.backbone
    if not is_taken:
        assert model.levels == ModelConfig().levels
        assert "anchor_sizes = [12.0], miss 100 % of the training objects" in said()[0]
        assert "--set model.anchors=fit" in said()[0]


@pytest.mark.parametrize(("anchors", "size"), [("fit", 40.0), ("given", 12.0)])
def test_a_setting_of_the_anchors_keeps_the_network(anchors, size):
    settings = ["train.init=urban-trees", f"model.anchors={anchors}"]
    _, config = choose_network(boxes_of(40), resolve_config(settings=settings))
    assert config.model.levels == TREES.levels
    assert config.model.anchor_sizes == pytest.approx((size,), rel=0.05)
    network = seeded_network(config.model)
    assert transfer_weights(network, "urban-trees", classes=["tree"]).fresh == []


def test_without_training_objects_the_network_is_taken():
    image = boxes_of(12).images[0]
    empty = LabelledImage(
        image.path,
        100,
        100,
        np.zeros((0, 4)),
        np.zeros(0, np.int64),
        image.ignored,
        "a",
        "train",
        None,
    )
    config = resolve_config(settings=["train.init=urban-trees"])
    assert adopt_network(Tileset(Path("t"), ("tree",), (empty,)), config).model == TREES


@pytest.mark.parametrize(("oriented", "boxes"), [(SHIPS, "oriented"), (None, "axis_aligned")])
def test_oriented_boxes_are_taken_where_labels_stand_at_an_angle(oriented, boxes):
    config = resolve_config(settings=["train.init=vehicles-oriented"])
    tileset, chosen = choose_network(boxes_of(26, oriented=oriented), config)
    assert chosen.model.boxes == boxes
    assert chosen.model.levels == (3, 4)
    assert (tileset.images[0].oriented is None) == (oriented is None)


def test_a_model_of_axis_aligned_boxes_is_a_start_for_oriented_ones():
    config = resolve_config(settings=["train.init=vehicles", "model.boxes=oriented"])
    _, chosen = choose_network(boxes_of(26, oriented=SHIPS), config)
    transfer = transfer_weights(seeded_network(chosen.model), "vehicles", classes=["car"])
    assert transfer.fresh == ["regressor.last.bias", "regressor.last.weight"]


def test_settings_that_do_not_fit_the_network_are_refused():
    config = resolve_config(settings=["train.init=urban-trees", "train.frozen_stages=5"])
    with pytest.raises(ConfigError, match=r"train\.frozen_stages is above model\.backbone_level"):
        adopt_network(boxes_of(12), config)


def test_a_dry_run_says_what_is_taken_from_the_model(small, invoke):
    typed = ("train", "--data", small, "--dry-run", "--device", "cpu", "--chip-size", 64)
    typed += ("--batch-size", 2, "--set", "data.gsd=0.6")
    whole = invoke(*typed, "--init", "urban-trees").stdout
    assert "187 of 187 tensors from urban-trees\n" in whole
    settings = ("--set", "model.channels=16", "--set", "model.anchors=given")
    part = json.loads(invoke(*typed, "--init", "urban-trees", *settings, "--json").stdout)["init"]
    assert 0 < part["taken"] < part["tensors"]
    assert "classifier.last" in part["new"]
    assert json.loads(invoke(*typed, "--json").stdout)["init"] is None
