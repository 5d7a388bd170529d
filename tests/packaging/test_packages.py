"""The wheel has every room: setuptools takes the packages that pyproject names, and no others."""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_every_folder_with_modules_is_a_package_of_the_wheel():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    named = settings["tool"]["setuptools"]["packages"]
    folders = {file.parent for file in (PROJECT / "geodet").rglob("__init__.py")}
    rooms = {".".join(folder.relative_to(PROJECT).parts) for folder in folders}
    assert rooms <= set(named)
