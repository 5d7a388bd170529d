"""The commands of the README are run, in their order, in an empty folder."""

import re
import shlex
from pathlib import Path

import pytest
from cli_runner import invoke_fixture  # noqa: F401 - a fixture

README = Path(__file__).parents[1] / "README.md"
# What takes minutes at full size is made smaller here: the demo's scene and the training.
SMALLER = {"train": ("--epochs", "1", "--set", "model.channels=16", "--set", "train.chip_size=128")}


def commands():
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("geodet ")]


def test_make_demo_and_make_test_come_first():
    first = re.search(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert first.group(1).split("\n") == ["make demo", "make test", ""]


def test_the_readme_shows_every_command():
    shown = {words[1] for words in commands()} | {"demo"}
    made = {"detect", "preview", "train", "tile", "evaluate", "export", "demo"}
    assert shown == made | {"models", "info", "config"}


@pytest.mark.filterwarnings("default")
def test_the_commands_run(invoke, tmp_path):
    invoke("demo", "demo", "--size", "768", "--quiet")
    for words in commands():
        invoke(*words[1:], *SMALLER.get(words[1], ()))
    assert (tmp_path / "trees.gpkg").stat().st_size > 0
    assert (tmp_path / "trees.png").stat().st_size > 0
    assert (tmp_path / "mine.gpkg").stat().st_size > 0
