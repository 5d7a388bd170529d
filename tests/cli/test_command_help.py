"""Every command's help: examples, options in named groups, and -h."""

import re

import pytest
import typer
from cli_runner import invoke_fixture  # noqa: F401 - a fixture
from typer.testing import CliRunner

from geodet_cli import options
from geodet_cli.main import _app_for as app_for
from geodet_cli.main import app

PROGRAM = typer.main.get_command(app)
COMMANDS = PROGRAM.commands
GROUPS = {
    options.INPUT,
    options.OUTPUT,
    options.AREA,
    options.SETTINGS,
    options.RUN,
    options.MESSAGES,
    "Detections against labels",
    "Labelled chips",
    "A labelled scene",
    "Places to count in",
    "Accuracy of the detections",
}


def params_of(name):
    command = COMMANDS[name]
    context = command.make_context(name, [], resilient_parsing=True)
    return command.get_params(context)


def test_the_commands_are_these():
    assert list(COMMANDS) == [
        *("detect", "plan", "merge"),
        *("train", "tile", "evaluate", "calibrate", "export", "count", "compare", "compare-runs"),
        *("preview", "view", "suggest", "models", "info", "config", "demo"),
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_the_same_where_it_is_prepared_alone(name):
    alone = app_for(["--offline", name, "-h"])
    assert list(typer.main.get_command(alone).commands) == [name]
    outputs = [CliRunner().invoke(one, ["--offline", name, "-h"]).output for one in (alone, app)]
    assert outputs[0] == outputs[1] != ""


@pytest.mark.parametrize("words", [[], ["-h"], ["-h", "detect"], ["detct"], ["--offline"]])
def test_a_line_without_a_command_has_all_of_them(words):
    assert app_for(words) is app


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_in_a_named_group(name):
    options = [param for param in params_of(name) if param.param_type_name == "option"]
    panels = {name: option.rich_help_panel for option in options for name in option.opts}
    assert {"-h", "--help"} <= panels.keys()
    assert set(panels.values()) <= GROUPS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_parameter_has_a_sentence_of_help(name):
    for param in params_of(name):
        assert param.help[0].isupper() or param.help.split(",")[0] == "gpkg", param.opts
        assert param.help.endswith("."), param.opts


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples_of_itself(name):
    lines = COMMANDS[name].epilog.splitlines()
    assert lines[0] == "Examples:"
    examples = [line for line in lines[1:] if line]
    assert examples
    assert all(f"geodet {name}" in line for line in examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_use_options_that_exist(name):
    known = {option for param in params_of(name) for option in param.opts}
    for line in COMMANDS[name].epilog.splitlines():
        words = line.partition(f"geodet {name}")[2].split()
        assert {word for word in words if re.match(r"--?[a-z]", word)} <= known, line


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_h_prints_the_help_within_80_columns(invoke, monkeypatch, name):
    command = COMMANDS[name] if name else PROGRAM
    arguments = (name, "-h") if name else ("-h",)
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    printed = invoke(*arguments).stdout
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.rstrip().endswith(command.epilog.rstrip())
    for param in params_of(name) if name else ():
        assert all(option in printed for option in param.opts)
    long = (name, "--help") if name else ("--help",)
    assert invoke(*long).stdout == printed


def test_the_help_of_the_program_lists_commands_and_exit_codes(invoke):
    printed = invoke("--help").stdout
    for name, command in COMMANDS.items():
        assert re.search(rf"│ {name} +{command.help.split()[0]} ", printed)
    codes = re.findall(r"^  (\d+) ", printed, re.MULTILINE)
    assert codes == ["0", "1", "2", "3", "130"]
