"""Training straight from scenes is cutting chips and training on them."""

import json
from collections import Counter

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from factories_training import SQUARES, PowerCutError, configured, cut_after, read_state

from geodet.config import Config
from geodet.errors import TilesetError, TrainingError, VectorError
from geodet.tilesets.tile import LabelledArea, tile_scene
from geodet.tilesets.tileset import read_tileset
from geodet.training.same_run import digest_labels
from geodet.training.scene_chips import ScenesWithLabels, cut_for_run
from geodet.training.train import run_training
from geodet.training.train_plan import plan_training

WEST, TOP, STEP, SIDE = 500_000.0, 5_800_000.0, 0.5, 192
TILE = {"chip_size": 64, "block_size": 64, "val_fraction": 0.25}
CONFIG = configured(epochs=2).model_copy(
    update={"tile": Config.model_validate({"tile": TILE}).tile}
)


def paint(folder, name, west=WEST, seed=0):
    """Write a scene with bright squares, and their labels."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(4, SIDE - 20, (40, 2))
    pixels = np.full((3, SIDE, SIDE), 20, np.uint8)
    for x, y in corners:
        pixels[:, y : y + 12, x : x + 12] = 230
    profile = {"width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    place = Affine(STEP, 0, west, 0, -STEP, TOP)
    with rasterio.open(folder / f"{name}.tif", "w", "GTiff", transform=place, **profile) as raster:
        raster.write(pixels)
    x, y = corners.T
    low, high = west + STEP * x, TOP - STEP * y
    shapes = shapely.box(low, high - 6, low + 6, high)
    frame = gpd.GeoDataFrame({"label": ["square"] * 40}, geometry=shapes, crs="EPSG:32633")
    frame.to_file(folder / f"{name}.gpkg")
    return folder / f"{name}.tif", folder / f"{name}.gpkg"


@pytest.fixture(name="inputs", scope="module")
def inputs_fixture(tmp_path_factory):
    return paint(tmp_path_factory.mktemp("scene"), "a")


def source(*pairs, area=None):
    scenes, labels = zip(*pairs, strict=True)
    return ScenesWithLabels(tuple(map(str, scenes)), labels, area or LabelledArea())


def weights(output):
    state = read_state(output)
    return {
        (part, key): value for part in ("network", "averaged") for key, value in state[part].items()
    }


def assert_same_weights(one, other):
    found = weights(other)
    for key, value in weights(one).items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=0)


def chip_times(output):
    images = output.with_suffix(".run") / "chips" / "images"
    return {file.name: file.stat().st_mtime_ns for file in images.iterdir()}


def test_scenes_train_the_model_of_their_tileset(tmp_path):
    pairs = [paint(tmp_path, "a"), paint(tmp_path, "b", west=WEST + 500, seed=1)]
    area = LabelledArea(bounds=(WEST, TOP - 100, WEST + 900, TOP))
    tile_scene(
        [scene for scene, _ in pairs],
        [labels for _, labels in pairs],
        tmp_path / "tiles",
        CONFIG.tile,
        CONFIG.data,
        area=area,
    )
    steps = []
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    config = CONFIG.model_copy(update={"train": configured(epochs=1).train})
    run_training(tmp_path / "tiles", one, config, device="cpu")
    run_training(
        source(*pairs, area=area),
        two,
        config,
        device="cpu",
        cut_progress=lambda *done: steps.append(done),
    )
    assert_same_weights(one, two)
    assert steps[-1][0] == steps[-1][1] >= len(chip_times(two)) > 6
    with two.open("rb") as file:
        assert b"a.tif and 1 more" in file.read()


def test_the_same_chips_are_cut_once(inputs, tmp_path, caplog):
    output, settings = tmp_path / "m.safetensors", configured(epochs=1)
    config = CONFIG.model_copy(update={"train": settings.train})
    run_training(source(inputs), output, config, device="cpu")
    before = chip_times(output)
    caplog.set_level("INFO")
    run_training(source(inputs), output, config, device="cpu", overwrite=True)
    assert chip_times(output) == before
    assert "are used again" in caplog.text
    for key, value in [("chip_size", 32), ("label_field", "")]:
        tile = config.tile.model_copy(update={key: value})
        cut_for_run(
            source(inputs), output.with_suffix(".run"), config.model_copy(update={"tile": tile})
        )
        assert chip_times(output) != before
        before = chip_times(output)


def test_windows_on_ground_that_another_scene_validates_are_logged(tmp_path, caplog):
    pairs = [paint(tmp_path, "a"), paint(tmp_path, "b", west=WEST + 4.7)]
    with caplog.at_level("INFO"):
        cut_for_run(source(*pairs), tmp_path / "run", CONFIG)
    assert "left out, in the validation area of another scene" in caplog.text


def test_a_run_from_scenes_resumes(inputs, tmp_path):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    run_training(source(inputs), whole, CONFIG, device="cpu")
    with pytest.raises(PowerCutError):
        run_training(source(inputs), broken, CONFIG, device="cpu", progress=cut_after(1))
    run_training(source(inputs), broken, CONFIG, device="cpu", resume=True)
    assert_same_weights(whole, broken)


def test_a_run_does_not_resume_with_other_labels(inputs, tmp_path):
    scene, labels = inputs
    output, edited = tmp_path / "m.safetensors", tmp_path / "edited.gpkg"
    gpd.read_file(labels).to_file(edited)
    run_training(source((scene, edited)), output, CONFIG, device="cpu")
    gpd.read_file(labels).iloc[:20].to_file(edited)
    with pytest.raises(TrainingError, match="was started with other images or labels"):
        run_training(source((scene, edited)), output, CONFIG, device="cpu", resume=True)


def test_what_cannot_be_cut_leaves_nothing(inputs, tmp_path):
    scene, labels = inputs
    far = tmp_path / "far.gpkg"
    gpd.read_file(labels).translate(xoff=1e5).to_file(far)
    for file, error, message in [
        (far, TilesetError, "none of the 40 labels"),
        (tmp_path / "none.gpkg", VectorError, "no such file"),
    ]:
        with pytest.raises(error, match=message):
            run_training(source((scene, file)), tmp_path / "m.safetensors", CONFIG, device="cpu")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far.gpkg"]


def test_the_plan_of_scenes_is_that_of_their_tileset(inputs, tmp_path):
    scene, labels = inputs
    tile_scene(scene, labels, tmp_path / "tiles", CONFIG.tile, CONFIG.data)
    plans = [
        plan_training(data, CONFIG, device="cpu") for data in (tmp_path / "tiles", source(inputs))
    ]
    assert plans[0].train == plans[1].train
    assert plans[0].val == plans[1].val
    assert plans[0].sides_px == plans[1].sides_px
    assert [path.name for path in tmp_path.iterdir()] == ["tiles"]


@pytest.fixture(name="two_classes")
def two_classes_fixture(inputs, tmp_path):
    scene, labels = inputs
    frame = gpd.read_file(labels)
    frame["label"] = ["square", "square", "square", "box"] * 10
    frame.to_file(tmp_path / "two.gpkg")
    return scene, tmp_path / "two.gpkg"


@pytest.mark.parametrize(
    ("data", "classes"),
    [
        ({"class_map": {"square": "hut", "box": "hut"}}, {"hut"}),
        ({"class_map": {"square": "box", "box": "square"}}, {"box", "square"}),
        ({"ignore_classes": ["box"]}, {"square"}),
        ({"ignore_classes": ["box"], "one_class": "box"}, {"box"}),
    ],
)
def test_classes_are_chosen_once(two_classes, tmp_path, data, classes):
    config = configured(epochs=1).model_copy(
        update={"tile": CONFIG.tile, "data": Config.model_validate({"data": data}).data}
    )
    run_training(source(two_classes), tmp_path / "m.safetensors", config, device="cpu")
    chips = read_tileset(tmp_path / "m.run" / "chips", CONFIG.data)
    assert read_state(tmp_path / "m.safetensors")["data"] == digest_labels(chips)
    labels = np.concatenate([image.labels for image in chips.split("train")])
    counted = Counter(chips.classes[n] for n in labels)
    assert set(counted) == classes
    assert len(classes) == 1 or counted["box"] > 2 * counted["square"]
    assert plan_training(source(two_classes), config, device="cpu").classes == counted


def common(folder):
    (folder / "small.toml").write_text(
        f"[model]\n{_toml(SQUARES.model)}[tile]\n{_toml(CONFIG.tile)}"
    )
    return ("-c", "small.toml", "--batch-size", 2, "--chip-size", 64, "--device", "cpu")


def _toml(section):
    items = section.model_dump(mode="json", exclude_none=True).items()
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in items)


def test_the_command_trains_from_a_scene(inputs, tmp_path, invoke):
    scene, labels = inputs
    options = (*common(tmp_path), "--epochs", 1, "--json")
    invoke("train", "--scene", scene, "--labels", labels, "-o", "a.safetensors", *options)
    invoke("tile", scene, "--labels", labels, "-o", "tiles", "-c", "small.toml")
    invoke("train", "--data", "tiles", "-o", "c.safetensors", *options)
    assert_same_weights(tmp_path / "a.safetensors", tmp_path / "c.safetensors")
    plan = json.loads(
        invoke("train", "--data", scene, "--labels", labels, "--dry-run", *options).stdout
    )
    assert plan["train"]["images"] > plan["val"]["images"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give a tileset, or scenes"),
        (("--scene", "a.tif"), "give the labels of the scenes"),
        (("--data", "tiles", "--scene", "a.tif"), "but not both"),
        (("--data", "tiles", "--aoi", "a.gpkg"), "belong to scenes"),
        (("--data", "tiles", "--gsd", "0.5"), "belong to scenes"),
        (("--labels", "a.gpkg"), "give a tileset, or scenes"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(options, message, invoke):
    assert message in invoke("train", "-o", "m.safetensors", *options, code=2).stderr


def test_settings_of_tile_have_no_effect_on_a_tileset(invoke):
    done = invoke("train", "--data", "t", "-o", "m.safetensors", "--set", "tile.gsd=1", code=1)
    assert "section 'tile' has no effect" in done.stderr


@pytest.mark.parametrize("changed", ["labels", "tile", "train"])
def test_a_run_that_is_not_resumed_keeps_its_chips(inputs, tmp_path, changed):
    scene, labels = inputs
    output, edited = tmp_path / "m.safetensors", tmp_path / "edited.gpkg"
    gpd.read_file(labels).to_file(edited)
    config = CONFIG.model_copy(update={"train": configured(epochs=2).train})
    with pytest.raises(PowerCutError):
        run_training(source((scene, edited)), output, config, device="cpu", progress=cut_after(1))
    before = chip_times(output)
    other = config
    if changed == "tile":
        other = config.model_copy(update={"tile": config.tile.model_copy(update={"chip_size": 32})})
    elif changed == "train":
        other = config.model_copy(update={"train": configured(learning_rate=0.02).train})
    gpd.read_file(labels).iloc[: 20 if changed == "labels" else 40].to_file(edited)
    expected = {
        "labels": "was started with other images or labels",
        "tile": r"m\.run was started with tile\.chip_size = 64, not 32",
        "train": r"m\.run was started with train\.",
    }
    with pytest.raises(TrainingError, match=expected[changed]):
        run_training(source((scene, edited)), output, other, device="cpu", resume=True)
    assert chip_times(output) == before
    assert sorted(path.name for path in (tmp_path / "m.run").glob("chips*")) == [
        "chips",
        "chips.json",
    ]


def test_chips_whose_cutting_is_interrupted_are_used_again(inputs, tmp_path, caplog):
    folder = tmp_path / "run"
    cut_for_run(source(inputs), folder, CONFIG)
    other = CONFIG.model_copy(update={"tile": CONFIG.tile.model_copy(update={"chip_size": 32})})

    def stop(_done, _total):
        raise PowerCutError

    with pytest.raises(PowerCutError):
        cut_for_run(source(inputs), folder, other, progress=stop)
    caplog.set_level("INFO")
    cut_for_run(source(inputs), folder, CONFIG)
    assert "are used again" in caplog.text
