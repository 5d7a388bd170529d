"""Layers of settings make one configuration, and mistakes name the nearest key."""

import tomllib

import pytest

from geodet.config import Config
from geodet.errors import ConfigError
from geodet.recipes import iter_recipes, parse_settings, resolve_config, to_toml


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


@pytest.mark.parametrize(
    ("text", "value"),
    [("x", "x"), ("1", 1), ("1.5", 1.5), ("true", True), ("[1, 2]", [1, 2]), ('"7"', "7")],
)
def test_values_are_toml_or_plain_text(text, value):
    assert parse_settings([f"a.b={text}"]) == {"a": {"b": value}}


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("detect.chip_sise=3", "unknown key 'detect.chip_sise'", "detect.chip_size"),
        ("detct.chip_size=3", "unknown key 'detct'", "detect"),
        ("detect.chip_size=big", "detect.chip_size = 'big'", "geodet config"),
        ("detect.chip_size=3", "detect.chip_size = 3", "geodet config"),
        ("detect.overlap=400", "more than half", "geodet config"),
        ("model.levels=[3, 2]", "must rise", "geodet config"),
        ("model.levels=[2, 5]", "one a level", "geodet config"),
        ("model.anchor_ratios=[]", "positive and not empty", "geodet config"),
        ("chip_size=3", "cannot read the setting", "section.key=value"),
        ("detect.chip_size", "cannot read the setting", "section.key=value"),
    ],
)
def test_mistakes_name_the_key_and_the_way_out(setting, message, hint):
    with pytest.raises(ConfigError, match=message) as error:
        resolve_config(settings=[setting])
    assert hint in error.value.hint


def test_a_command_refuses_settings_that_it_does_not_use():
    with pytest.raises(ConfigError, match="'train' does nothing in this command") as error:
        resolve_config(settings=["train.epochs=3"], sections=("detect",))
    assert "detect" in error.value.hint


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match="no recipe 'urban-tree'") as error:
        resolve_config("urban-tree")
    assert "urban-trees" in error.value.hint


def test_a_key_outside_a_section_is_refused(tmp_path):
    recipe = tmp_path / "flat.toml"
    recipe.write_text("chip_size = 3\n")
    with pytest.raises(ConfigError, match="outside a section"):
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
