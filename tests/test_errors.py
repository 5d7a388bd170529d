"""Errors carry their facts, and travel between processes."""

import inspect
import pickle
import re
import traceback
from pathlib import Path

import pytest

from geodet import errors
from geodet.config.recipes import resolve_config
from geodet.files.output_folders import check_run, check_tileset_exists
from geodet.models.description import find_model, load_description
from geodet.models.device import resolve_device
from geodet.raster.scene_lists import list_scenes
from geodet.vector.formats import check_vector_exists, choose_format

FACTS = {
    "ConfigError": {"key": "detect.chip_size"},
    "DeviceError": {"device": "cuda:7"},
    "GeodetError": {},
    "ModelFileError": {"path": Path("a.safetensors"), "name": "a"},
    "OutputError": {"path": Path("a.gpkg")},
    "SceneError": {"path": "a.tif", "failed": {}, "report": "a report"},
    "TilesetError": {"path": Path("tiles")},
    "TrainingError": {"path": Path("a.run")},
    "VectorError": {"path": "a.gpkg|layername=trees"},
}


def test_every_error_is_known_here():
    assert list(FACTS) == errors.__all__


@pytest.mark.parametrize("name", FACTS)
def test_an_error_has_its_facts_as_attributes_or_none(name):
    kind = getattr(errors, name)
    error = kind("what went wrong", hint="what to do", **FACTS[name])
    assert (str(error), error.hint) == ("what went wrong", "what to do")
    assert {fact: getattr(error, fact) for fact in FACTS[name]} == FACTS[name]
    plain = kind("what went wrong", hint="what to do")
    assert not any(getattr(plain, fact) for fact in FACTS[name])


@pytest.mark.parametrize("name", FACTS)
def test_an_error_from_another_process_is_the_same(name):
    error = getattr(errors, name)("what went wrong", hint="what to do", **FACTS[name])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.hint) == ("what went wrong", "what to do")
    assert {fact: getattr(again, fact) for fact in FACTS[name]} == FACTS[name]


def test_a_traceback_shows_the_hint_also_of_an_error_from_another_process():
    error = errors.ConfigError("what went wrong", hint="what to do", key="a.key")
    for one in (error, pickle.loads(pickle.dumps(error))):
        told = "".join(traceback.format_exception(one))
        assert told.endswith("ConfigError: what went wrong\nhint: what to do\n")
    assert "hint" not in "".join(traceback.format_exception(errors.GeodetError("it", hint="")))


def test_scenes_that_failed_keep_their_errors_in_another_process():
    one = errors.SceneError("cannot read b.tif", hint="replace it", path=Path("b.tif"))
    error = errors.SceneError("1 of 2 scenes", hint="see there", failed={"b.tif": one})
    again = pickle.loads(pickle.dumps(error)).failed["b.tif"]
    assert (str(again), again.path) == ("cannot read b.tif", "b.tif")


def test_the_tree_at_the_top_names_every_error_with_its_attributes():
    drawn = " ".join(errors.__doc__.split())
    for name, facts in FACTS.items():
        kind = getattr(errors, name)
        base = next((b.__name__ for b in kind.__bases__ if b.__module__ == "builtins"), "")
        builtin = rf" \({base}\)" if name != "GeodetError" else ""
        assert re.search(rf"{name}{builtin} (hint|{', '.join(facts)})", drawn), name


@pytest.mark.parametrize("name", FACTS)
def test_each_attribute_is_documented(name):
    source = inspect.getsource(getattr(errors, name))
    for fact in FACTS[name]:
        assert re.search(rf'\n    {fact}: [^\n]+\n    """', source), fact


@pytest.mark.parametrize(
    ("act", "facts"),
    [
        (lambda: find_model("no-model"), {"name": "no-model"}),
        (lambda: load_description(Path(__file__)), {"path": Path(__file__)}),
        (lambda: choose_format(Path("a.tab")), {"path": Path("a.tab")}),
        (lambda: list_scenes(["no-scene.tif"]), {"path": "no-scene.tif"}),
        (lambda: check_vector_exists("no.gpkg|layername=a"), {"path": "no.gpkg|layername=a"}),
        (lambda: check_tileset_exists(Path("no-tiles")), {"path": Path("no-tiles")}),
        (
            lambda: check_run(Path("a.safetensors"), resume=True, overwrite=False),
            {"path": Path("a.run")},
        ),
        (lambda: resolve_config(settings=["detect.x=1"]), {"key": "detect.x"}),
        (lambda: resolve_device("gpu"), {"device": "gpu"}),
    ],
)
def test_what_raises_an_error_fills_in_its_facts(act, facts):
    message = "unknown|no such|does not exist|nothing to|cannot tell|is not a model"
    with pytest.raises(errors.GeodetError, match=message) as caught:
        act()
    assert {fact: getattr(caught.value, fact) for fact in facts} == facts
