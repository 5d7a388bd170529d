"""What other packagers build from says the same as pyproject.toml."""

import re
import tomllib
from pathlib import Path

import yaml

from geodet.files.version import __version__

PROJECT = Path(__file__).parents[2]
ABOUT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
RECIPE = yaml.safe_load((PROJECT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
OF_CONDA = {
    "torch": "pytorch",
    "geopandas": "geopandas-base",
    "matplotlib": "matplotlib-base",
    "opencv-python-headless": "py-opencv",
}
"""Packages that conda-forge names otherwise."""


def test_the_recipe_has_the_dependencies_of_the_project():
    wanted = set()
    for line in ABOUT["project"]["dependencies"]:
        name, bounds = re.fullmatch(r"([\w.-]+)(.*)", line).groups()
        wanted.add(f"{OF_CONDA.get(name, name.lower())} {bounds}")
    python, *others = RECIPE["requirements"]["run"]
    assert python == "python >=${{ python_min }}"
    assert set(others) == wanted


def test_the_recipe_has_the_version_and_the_command_of_the_project():
    assert RECIPE["context"]["version"] == __version__
    assert RECIPE["context"]["python_min"] == ABOUT["project"]["requires-python"].removeprefix(">=")
    command = ABOUT["project"]["scripts"]["geodet"]
    assert RECIPE["build"]["python"]["entry_points"] == [f"geodet = {command}"]


def test_the_container_copies_what_the_wheel_is_made_of():
    text = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    folders = set(ABOUT["tool"]["setuptools"]["package-dir"].values())
    read = {ABOUT["project"]["readme"], *ABOUT["project"]["license-files"]}
    assert names == {"pyproject.toml", *folders, *read}
    kept = (PROJECT / ".dockerignore").read_text(encoding="utf-8").split()
    assert names == {line.removeprefix("!") for line in kept if line.startswith("!")}
