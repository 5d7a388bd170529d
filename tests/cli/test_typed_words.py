"""What people type who know other programs: the message names geodet's own word."""

import pytest
from cli_runner import invoke_fixture  # noqa: F401 - a fixture

from geodet_cli.typed_words import suggest_command, suggest_for_arguments


@pytest.mark.parametrize(
    ("word", "command"),
    [("predict", "detect"), ("val", "evaluate"), ("fit", "train"), ("chip", "tile")],
)
def test_the_commands_of_other_programs_are_suggested(invoke, word, command):
    assert suggest_command(word) == command
    assert f"write geodet {command}" in invoke(word, "x", code=2).stderr


def test_a_misspelt_command_is_still_suggested_by_its_letters(invoke):
    assert "detect" in invoke("detekt", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        (("detect", "a.tif", "--conf", "0.3"), "write --score-threshold 0.3"),
        (("detect", "a.tif", "--threshold=0.3"), "write --score-threshold 0.3"),
        (("detect", "a.tif", "--conf-thres", "0.3"), "write --score-threshold 0.3"),
        (("detect", "--source", "a.tif"), "write the scene without an option: geodet detect a.tif"),
        (("detect", "a.tif", "--weights", "m.pt"), "write --model m.pt"),
        (("train", "--weights", "m.pt"), "write --init m.pt"),
        (("detect", "a.tif", "--imgsz", "640"), "write --chip-size 640"),
        (("train", "--img_size", "640"), "write --chip-size 640"),
        (("detect", "a.tif", "--out", "b.gpkg"), "write --output b.gpkg"),
        (("detect", "a.tif", "--gpu"), "write --device cuda"),
        (("evaluate", "--iou", "0.4"), "write --iou-threshold 0.4"),
        (("preview", "a.tif", "--conf", "0.4"), "write --min-score 0.4"),
        (("train", "--lr", "0.1"), "write --set train.learning_rate=0.1"),
        (("detect", "source=a.tif"), "write the scene without an option: geodet detect a.tif"),
        (("detect", "a.tif", "conf=0.3"), "write --score-threshold 0.3"),
        (("train", "data=tiles"), "write --data tiles"),
    ],
)
def test_the_options_of_other_programs_are_suggested(invoke, arguments, instead):
    printed = " ".join(invoke(*arguments, code=2).stderr.replace("│", " ").split())
    assert instead in printed


def test_nothing_is_suggested_for_what_geodet_knows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf=1").touch()
    options = ["--output", "--set", "--score-threshold"]
    for arguments in (["--output", "a"], ["--set", "conf=1.5"], ["--", "--conf"], ["conf=1"]):
        assert not suggest_for_arguments("detect", arguments, options, takes_scenes=True)


def test_every_suggested_option_is_one_that_a_command_has():
    from typer.main import get_command

    from geodet_cli.main import app
    from geodet_cli.typed_words import _OPTIONS

    commands = get_command(app).commands.values()
    known = {name for command in commands for param in command.params for name in param.opts}
    assert {way.partition(" ")[0] for ways in _OPTIONS.values() for way in ways} <= known | {
        "--gsd"
    }


@pytest.mark.parametrize(
    ("words", "name", "times"),
    [
        (("train", "--data", "a", "--data", "b", "-o", "a.safetensors"), "--data", 2),
        (("tile", "a.tif", "--reviews", "a.gpkg", "--reviews=b.gpkg", "-o", "t"), "--reviews", 2),
        (("detect", "a.tif", *["--score-threshold", "car=0.3"] * 3), "--score-threshold", 3),
    ],
)
def test_an_option_whose_values_might_add_up_is_not_repeated(invoke, words, name, times):
    """All but the last would be dropped, such as the first of two tilesets."""
    done = invoke(*words, code=2)
    assert f"{name} takes one value and is given {times} times: " in done.stderr


def test_the_last_value_of_another_option_counts(invoke):
    """So that a script can override what is typed before."""
    words = ("detect", "missing.tif", "-o", "a.gpkg", "--batch-size", "0", "--batch-size", "2")
    assert "no such file or folder: missing.tif" in invoke(*words, code=1).stderr


def test_options_with_several_values_and_flags_are_repeated(invoke):
    words = ("-o", "a.gpkg", "-o", "a.csv", "--set", "detect.tta=true", "--set", "detect.gsd=1")
    done = invoke("detect", "missing.tif", *words, "-qq", "-q", code=1)
    assert "missing.tif" in done.stderr
