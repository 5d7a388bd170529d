"""Settings from several layers give one configuration, and errors name the nearest key."""

import re
import tomllib
from importlib import resources

import pytest
import torch
import torchvision
from factories_models import write_tileset

from geodet.config import Config
from geodet.config.recipes import iter_recipes, parse_settings, resolve_config, to_toml
from geodet.errors import ConfigError
from geodet.models.anchors import Anchors
from geodet.models.backbone import Backbone
from geodet.models.checkpoint import load_checkpoint
from geodet.models.description import find_model, load_description
from geodet.training.train import run_training

GENERAL = ["accurate", "fast-cpu", "paper", "small-objects"]


def test_precedence_is_defaults_recipe_flags_set(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[detect]\nchip_size = 100\noverlap = 10\nbatch_size = 3\n")
    flags = {"detect": {"overlap": 20, "batch_size": 5, "workers": None}}
    config = resolve_config(recipe, flags=flags, settings=["detect.batch_size=7"])
    default = Config().detect
    assert config.detect.workers == default.workers
    assert config.detect.chip_size == 100
    assert config.detect.overlap == 20
    assert config.detect.batch_size == 7


def test_the_last_setting_wins():
    config = resolve_config(settings=["train.epochs=3", "train.epochs=4"])
    assert config.train.epochs == 4


def test_former_names_of_keys_stand_for_the_present_ones_in_each_layer(tmp_path):
    path = tmp_path / "old.toml"
    path.write_text('[model]\ntrunk_level = 4\ntrunk_norm = "group"\n')
    config = resolve_config(path).model
    assert (config.backbone_level, config.backbone_norm) == (4, "group")
    assert "trunk" not in to_toml(resolve_config(path))
    for key in ("trunk_level", "backbone_level"):
        assert resolve_config(path, settings=[f"model.{key}=5"]).model.backbone_level == 5
    with pytest.raises(ConfigError, match=r"^model\.backbone_level = 9"):
        resolve_config(settings=["model.trunk_level=9"])


@pytest.mark.parametrize(
    ("text", "value"),
    [("x", "x"), ("1", 1), ("1.5", 1.5), ("true", True), ("[1, 2]", [1, 2]), ('"7"', "7")],
)
def test_values_are_toml_or_plain_text(text, value):
    assert parse_settings([f"a.b={text}"]) == {"a": {"b": value}}


@pytest.mark.parametrize(
    ("text", "value"),
    [("2020", "2020"), ("1.50", "1.50"), ("true", "true"), ("2024-01-01", "2024-01-01")],
)
@pytest.mark.parametrize("key", ["data.one_class", "tile.label_field", "train.data_name"])
def test_a_key_that_takes_a_text_takes_numbers_and_dates_as_they_are_typed(key, text, value):
    section, _, name = key.partition(".")
    for typed in (text, f'"{text}"'):
        config = resolve_config(settings=[f"{key}={typed}"])
        assert getattr(getattr(config, section), name) == value


@pytest.mark.parametrize("text", ["{car=1,van=2}", "car=1,van=2", '{car = 1, van = "2"}'])
def test_classes_may_be_renamed_to_numbers(text):
    config = resolve_config(settings=[f"data.class_map={text}"])
    assert config.data.class_map == {"car": "1", "van": "2"}


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("detect.chip_sise=3", "unknown key 'detect.chip_sise'", "detect.chip_size"),
        ("detct.chip_size=3", "unknown key 'detct'", "detect"),
        ("detect.chip_size=big", "detect.chip_size = 'big'", "geodet config"),
        ("detect.chip_size=3", "detect.chip_size = 3", "geodet config"),
        ("detect.chip_size=700; detect.overlap=400", "more than half", "geodet config"),
        ("model.levels=[3, 2]", "the first must be 2 to 5, the last from it", "geodet config"),
        ("model.levels=[2, 5]", "give one for each level", "geodet config"),
        ("model.anchor_ratios=[]", "positive and not empty", "geodet config"),
        ("train.frozen_stages=1", "^train.frozen_stages needs train.pretrained", "geodet config"),
        (
            "model.backbone_norm=frozen_batch",
            "needs train.pretrained or train.init",
            "geodet config",
        ),
        ("chip_size=3", "cannot read the setting", "section.key=value"),
        ("detect.chip_size", "cannot read the setting", "section.key=value"),
    ],
)
def test_a_wrong_setting_names_the_key_and_what_to_do(setting, message, hint):
    with pytest.raises(ConfigError, match=message) as error:
        resolve_config(settings=setting.split("; "))
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data.ignore_classes=red", ("red",)),
        ("data.ignore_classes=red, light blue", ("red", "light blue")),
        ("data.ignore_classes=[red,blue]", ("red", "blue")),
        ('data.ignore_classes=["red"]', ("red",)),
        ('data.ignore_classes=["a, b"]', ("a, b",)),
        ('data.ignore_classes="a, b"', ("a, b",)),
        ("data.ignore_classes=2022", ("2022",)),
        ("data.ignore_classes=[007, 1.50, true]", ("007", "1.50", "true")),
        ("data.ignore_classes=", ()),
        ("data.ignore_classes=[]", ()),
        ("data.val=3*", ("3*",)),
        ("data.val=[ab]*", ("[ab]*",)),
        ("data.val=[ab]*,c[12]", ("[ab]*", "c[12]")),
        ("data.val=a[12].tif,b[3]", ("a[12].tif", "b[3]")),
        ("data.bands=1", (1,)),
        ("data.bands=3,2,1", (3, 2, 1)),
        ("data.bands=[3, 2, 1]", (3, 2, 1)),
        ("detect.bands=nir,2", ("nir", 2)),
        ("detect.value_range=500,20000", (500.0, 20000.0)),
        ("detect.value_range=scene", "scene"),
        ("match.size_bounds_px=16,48", (16.0, 48.0)),
    ],
)
def test_a_list_is_typed_with_bare_words_and_commas(setting, value):
    key, _, text = setting.partition("=")
    section, name = key.split(".")
    for settings in ([setting], {key: text}):
        assert getattr(getattr(resolve_config(settings=settings), section), name) == value


def test_a_number_stands_for_a_list_of_it_in_python():
    assert resolve_config(settings={"data.bands": 2}).data.bands == (2,)


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("data.bands=red", "'red'.*: not a list of whole numbers", "data.bands=3,2,1"),
        ("match.size_bounds_px=16", "not a list of 2 numbers", "match.size_bounds_px=16,48"),
        ("match.size_bounds_px=1,2,3", "not a list of 2 numbers", "size_bounds_px = [16, 48]"),
        ("detect.value_range=scen", "'scen': 'scen' must be DARK,BRIGHT or", "500,20000"),
        ("detect.value_range=a,b", "must be DARK,BRIGHT or scene", "or detect.value_range=scene"),
        ("model.anchor_sizes=1,2,3,4,5,6,7", "at most 6 numbers", "anchor_sizes=12,24,48"),
    ],
)
def test_a_wrong_list_is_refused_with_how_it_is_written(setting, message, hint):
    with pytest.raises(ConfigError, match=message) as error:
        resolve_config(settings=[setting])
    assert hint in error.value.hint
    assert error.value.key == setting.partition("=")[0]
    assert "tuple" not in str(error.value).lower()


def test_a_list_in_a_recipe_is_a_list(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[data]\nignore_classes = "red"\n')
    with pytest.raises(ConfigError, match=r"data\.ignore_classes = 'red': not a list") as error:
        resolve_config(recipe)
    assert 'in a recipe: ignore_classes = ["one", "other"]' in error.value.hint


def test_a_command_refuses_settings_that_it_does_not_use():
    with pytest.raises(ConfigError, match="'train' has no effect in this command") as error:
        resolve_config(settings=["train.epochs=3"], sections=("detect",))
    assert "detect" in error.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[detect]\nchip_sise = 3\n", "unknown key 'detect.chip_sise'"),
        ("[detct]\nchip_size = 3\n", "unknown key 'detct'"),
        ("[detect]\nchip_size = 'a'\n", "detect.chip_size = 'a': "),
        ("[data]\nignore_classes = 3\n", "ignore_classes = 3: not a list"),
    ],
)
def test_a_mistake_in_a_recipe_names_its_file(tmp_path, text, message):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    with pytest.raises(ConfigError, match=rf"mine\.toml: .*{re.escape(message)}"):
        resolve_config(recipe)


def test_a_mistake_beside_a_recipe_does_not_name_its_file(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[detect]\nchip_size = 100\n")
    with pytest.raises(ConfigError, match=r"^detect\.chip_size = 'a'"):
        resolve_config(recipe, settings=["detect.chip_size=a"])


def test_an_unknown_recipe_names_the_nearest_and_all():
    with pytest.raises(ConfigError, match="unknown recipe 'urban-tree'") as error:
        resolve_config("urban-tree")
    assert "did you mean 'urban-trees'? The bundled recipes are accurate," in error.value.hint


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (["detect.chip_sise=3"], "detect.chip_sise"),
        (["detect.overlap=-1"], "detect.overlap"),
        (["train.frozen_stages=1"], None),  # two keys of two sections contradict each other
    ],
)
def test_the_error_of_a_setting_has_its_key(settings, key):
    with pytest.raises(ConfigError, match=settings[0].partition("=")[0]) as error:
        resolve_config(settings=settings)
    assert error.value.key == key


def test_a_key_outside_a_section_is_refused(tmp_path):
    recipe = tmp_path / "flat.toml"
    recipe.write_text("chip_size = 3\n")
    with pytest.raises(ConfigError, match="is not in a section"):
        resolve_config(recipe)


@pytest.mark.parametrize("name", [name for name, _ in iter_recipes()])
def test_every_recipe_resolves_and_says_what_it_is_for(name):
    resolve_config(name)
    assert len(dict(iter_recipes())[name]) > 20


@pytest.mark.parametrize("name", [None, *(name for name, _ in iter_recipes())])
def test_to_toml_is_read_back_as_the_same(name, tmp_path):
    config = resolve_config(name)
    text = to_toml(config)
    tomllib.loads(text)
    (tmp_path / "all.toml").write_text(text)
    assert resolve_config(tmp_path / "all.toml") == config


def test_every_key_is_described():
    for section in Config.model_fields:
        for key, field in type(getattr(Config(), section)).model_fields.items():
            assert field.description, f"{section}.{key}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.init=urban-trees", "train.pretrained=DEFAULT"], "train.*choose one"),
        (
            ["train.pretrained=DEFAULT", "model.backbone_norm=group"],
            "train.pretrained needs batch norms",
        ),
        (
            [
                *("train.init=a", "train.frozen_stages=4", "model.backbone_level=3"),
                *("model.levels=[2, 3]", "model.anchor_sizes=[12, 24]"),
            ],
            "train.frozen_stages is above model.backbone_level",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        resolve_config(settings=settings)


def test_anchors_to_fit_need_no_sizes():
    settings = ["model.levels=[2, 5]", "model.anchors=fit"]
    assert resolve_config(settings=settings).model.anchors == "fit"
    with pytest.raises(
        ConfigError, match=r"3 anchor_sizes for 4 levels \(2 to 5\): give one for each level"
    ):
        resolve_config(settings=settings[:1])


def test_the_default_recipe_changes_nothing():
    assert resolve_config("small-objects") == Config()


@pytest.mark.parametrize("name", [name for name, _ in iter_recipes()])
def test_each_line_of_a_recipe_differs_from_the_default_and_says_why(name):
    text = (resources.files("geodet_configs") / f"{name}.toml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines()[1:] if "=" in line]
    assert lines
    for line in lines:
        assert len(line.partition("#")[2]) >= 4, line
    given = tomllib.loads(text)
    same = [
        f"{section}.{key}"
        for section, keys in given.items()
        for key in keys
        if getattr(getattr(resolve_config(name), section), key)
        == getattr(getattr(Config(), section), key)
    ]
    assert same == ([] if name != "small-objects" else ["model.levels", "model.anchor_sizes"])


def test_the_papers_anchors_are_those_of_its_section_4():
    model = resolve_config("paper").model
    boxes = Anchors(
        sizes=model.anchor_sizes,
        scales=model.anchor_scales,
        ratios=model.anchor_ratios,
        strides=[2**level for level in range(3, 8)],
    )([(1, 1)] * 5)
    sides = torch.cat(boxes)[:, 2:] - torch.cat(boxes)[:, :2]
    wanted = [32 * 2 ** (level + k / 3) for level in range(5) for _ in range(3) for k in range(3)]
    torch.testing.assert_close(sides.prod(dim=1).sqrt(), torch.tensor(wanted))
    ratios = (sides[:, 1] / sides[:, 0]).reshape(5, 3, 3)
    torch.testing.assert_close(ratios, torch.tensor([0.5, 1.0, 2.0])[:, None].expand(5, 3, 3))


def test_the_papers_settings_are_those_of_its_section_4_1():
    config = resolve_config("paper")
    settings = config.train
    assert (settings.optimizer, settings.learning_rate, settings.weight_decay) == (
        "sgd",
        0.01,
        1e-4,
    )
    assert (settings.batch_size, settings.schedule, settings.prior) == (16, "step", 0.01)
    assert (settings.classification_loss, settings.focal_alpha, settings.focal_gamma) == (
        *("focal", 0.25),
        2.0,
    )
    assert (settings.assigner, settings.positive_iou, settings.negative_iou) == ("iou", 0.5, 0.4)
    assert (settings.box_loss, settings.box_weight) == ("smooth_l1", 1.0)
    model = config.model
    assert (model.backbone, model.levels, model.channels) == ("resnet50", (3, 7), 256)
    assert (model.head_convs, model.head_norm) == (4, "none")


@pytest.mark.parametrize("name", ["accurate", "paper"])
def test_the_settings_that_the_hint_names_without_a_network_resolve(name, monkeypatch):
    """Set together what the hint says to set together."""

    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.models, "get_model", fail)
    with pytest.raises(ConfigError, match="cannot be loaded: no network") as caught:
        Backbone("resnet18", bands=3, level=2, weights="IMAGENET1K_V1")
    settings = re.findall(r'\w+\.\w+ = (?:"\w*"|\d+)', caught.value.hint)
    config = resolve_config(name, settings=settings)
    assert (config.train.pretrained or "", config.train.frozen_stages) == ("", 0)
    with pytest.raises(ConfigError, match=r"needs train\.pretrained or train\.init"):
        resolve_config(name, settings=settings[:1])


def test_few_shot_fits_the_weights_that_it_starts_from():
    config = resolve_config("few-shot")
    for name in ("urban-trees", "urban-trees-nir"):
        about = load_description(find_model(name))
        assert config.model.model_copy(
            update={"anchors": "given"}
        ) == about.architecture.model_copy(update={"anchors": "given"})
    assert config.match == resolve_config("urban-trees").match
    assert config.train.init == "urban-trees"


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    return write_tileset(tmp_path_factory.mktemp("tiles"), train=2, val=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Make a hub folder with random weights of a ResNet-18, in place of a download."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "checkpoints").mkdir()
    name = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    torch.save(torchvision.models.resnet18().state_dict(), folder / "checkpoints" / name)
    return folder


SMALL = ["model.backbone=resnet18", "model.channels=16", "model.head_convs=1"]
SHORT = ["train.epochs=1", "train.batch_size=2", "train.chip_size=64", "train.precision=float32"]


@pytest.mark.parametrize("name", GENERAL)
def test_every_recipe_trains_a_step_and_describes_itself(
    name, tiles, weights, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(weights))
    config = resolve_config(name, settings=[*SMALL, *SHORT, "model.anchors=given"])
    report = run_training(tiles, tmp_path / "a.safetensors", config, device="cpu")
    model = load_checkpoint(report.model)
    assert model.description.architecture == config.model
    with torch.inference_mode():
        outputs = model.network(torch.randn(1, 3, 61, 64))
    assert torch.isfinite(outputs.logits).all()
    assert len(outputs.level_sizes) == config.model.levels[1] - config.model.levels[0] + 1


def test_fitted_anchors_are_stored_as_numbers_in_the_model_file_and_the_state(tiles, tmp_path):
    settings = [
        "model.anchors=fit",
        "model.levels=[2, 2]",
        "model.backbone_level=2",
        *SMALL,
        *SHORT,
    ]
    config = resolve_config(settings=settings)
    output = tmp_path / "a.safetensors"
    run_training(tiles, output, config, device="cpu")
    model = load_description(output).architecture
    assert model.anchors == "given"
    assert model.anchor_sizes == pytest.approx((12.0,), rel=0.1)  # the squares' side
    assert model.anchor_ratios == pytest.approx((1.0,), rel=0.1)
    before = output.read_bytes()
    run_training(tiles, output, config, device="cpu", resume=True)  # fits the same again
    assert output.read_bytes() == before


def test_a_run_starts_from_a_bundled_model(tiles, tmp_path):
    settings = ["train.init=urban-trees", "train.frozen_stages=2", *SHORT]
    settings = [*settings, "model.channels=16"]
    config = resolve_config("fast-cpu", settings=settings)  # which names no backbone
    output = tmp_path / "a.safetensors"
    run_training(tiles, output, config, device="cpu")
    trained, first = load_checkpoint(output), load_checkpoint("urban-trees").network.state_dict()
    assert trained.description.training["init"] == "urban-trees"
    state = trained.network.state_dict()
    for key in ("backbone.stem.conv.weight", "backbone.stages.0.0.block.0.1.running_mean"):
        torch.testing.assert_close(state[key], first[key])
    key = "backbone.stages.2.0.block.0.0.weight"
    assert 0 < (state[key] - first[key]).abs().max() < 0.05
