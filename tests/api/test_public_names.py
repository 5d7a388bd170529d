"""``import geodet``: what it offers, what it loads, and what its examples promise."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import geodet

HEAVY = (
    *("torch", "torchvision", "rasterio", "osgeo", "pyogrio", "geopandas", "pandas", "shapely"),
    *("albumentations", "cv2", "matplotlib", "tensorboardX", "faster_coco_eval", "onnxruntime"),
)


def loaded_after(code):
    """Run code in a fresh interpreter and list the modules that it has loaded."""
    code += "\nimport sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_geodet_loads_neither_torch_nor_gdal():
    assert loaded_after("import geodet").isdisjoint(HEAVY)


def test_asking_for_the_configuration_loads_neither_torch_nor_gdal():
    assert loaded_after("import geodet; geodet.Config().detect").isdisjoint(HEAVY)


def test_asking_for_detect_loads_nothing_of_training_and_evaluation():
    loaded = loaded_after("import geodet; geodet.detect, geodet.iter_detect, geodet.detect_array")
    assert loaded.isdisjoint(HEAVY[8:])


def test_public_names_are_sorted_and_can_be_imported():
    def rank(name):
        return not name.isupper(), not name[0].isupper(), name

    assert geodet.__all__ == sorted(geodet.__all__, key=rank)
    for name in geodet.__all__:
        assert getattr(geodet, name) is not None
    assert set(geodet.__all__) <= set(dir(geodet))


def test_what_type_checkers_see_is_what_is_loaded():
    tree = ast.parse(Path(geodet.__file__).read_text(encoding="utf-8"))
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in guarded.body for alias in node.names}
    assert set(seen) == set(geodet.__all__)
    for name, module in seen.items():
        assert getattr(geodet, name) is getattr(importlib.import_module(module), name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'geodet' has no attribute 'predict'"):
        _ = geodet.predict


@pytest.mark.parametrize("name", geodet.__all__)
def test_every_public_name_has_an_example_in_its_docstring(name):
    assert ">>> " in inspect.getdoc(getattr(geodet, name))


@pytest.mark.parametrize("name", geodet.__all__)
def test_every_public_function_is_annotated(name):
    value = getattr(geodet, name)
    if inspect.isfunction(value):
        signature = inspect.signature(value)
        assert signature.return_annotation is not inspect.Signature.empty
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty


def test_python_m_geodet_is_the_command_line():
    command = [sys.executable, "-m", "geodet", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"geodet {geodet.__version__}"
