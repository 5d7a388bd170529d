"""Write options.json, from which the algorithms of QGIS are made: ``python make_options.py``.

The options are those of the command line, with their help, defaults and ranges. A test compares.
"""

import inspect
import json
import types
from pathlib import Path
from typing import Literal, Union, get_args, get_origin, get_type_hints

import typer

from geodet_cli.detect import detect
from geodet_cli.evaluate import evaluate
from geodet_cli.suggest import suggest
from geodet_cli.tile import tile
from geodet_cli.train import train

TABLE = Path(__file__).parent / "geodet_provider" / "options.json"
TITLES = {
    detect: "Detect",
    suggest: "Suggest",
    train: "Train",
    evaluate: "Evaluate",
    tile: "Tile",
}
LEFT_OUT = {
    *("--json", "--verbose", "--quiet", "--overwrite", "--append", "--replace-scene", "--format"),
    *("--job", "--shard", "--allow-mixed", "--discard", "--restart", "--profile", "--engine"),
    *("--ray-address", "--processes", "--dry-run", "--resume", "--seeds", "--sweep", "--style"),
    *("--preview-format", "--only-with-objects", "--counts"),
}
"""Options of batch work, of terminals, and what Processing does itself."""
FIRST = {"scenes", "data", "scene", "labels", "model", "output", "detections", "aoi", "epochs"}
FIRST |= {"budget", "by", "reviews"}
"""Options that are shown at once; the others are advanced."""
REQUIRED = {("detect", "scenes"), ("detect", "output"), ("train", "output"), ("tile", "output")}
REQUIRED |= {("tile", "scenes"), ("suggest", "scenes"), ("suggest", "output")}
KINDS = {
    "scenes": "rasters",
    "aoi": "vector",
    "labels": "vector",
    "count-by": "vector",
    "detections": "file",
    "preview": "new file",
    "report": "new file",
    "data": "folder",
}
OUTPUTS = {
    "detect": "new vector",
    "suggest": "new vector",
    "train": "new file",
    "evaluate": "new folder",
    "tile": "new folder",
}
LAYERS = {"suggest": "suggestions"}
"""Layers to open of outputs in which they are not the first."""
LABELS = {"detect": "Detections", "suggest": "Suggestions"}
"""Labels of outputs, which QGIS also gives to a layer in a temporary file."""
FILTERS = {
    "preview": "PNG (*.png)",
    "report": "HTML (*.html)",
    "output": "Model (*.safetensors)",
}


def read_commands():
    """Return the table: each command with its options."""
    return [to_command(function, title) for function, title in TITLES.items()]


def to_command(function, title):
    name = function.__name__
    hints = get_type_hints(function, include_extras=True)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if hints[parameter.name] is typer.Context:
            continue
        kind, info = get_args(hints[parameter.name])[:2]
        words = [info.default, *(info.param_decls or ())]  # typer takes the first for a default
        flags = [word for word in words if isinstance(word, str) and word.startswith("--")]
        if not flags and type(info).__name__ == "OptionInfo":
            raise ValueError(f"{name}: {parameter.name} names no option")
        if not LEFT_OUT & set(flags):
            found.append(to_option(name, parameter, kind, info, flags[0] if flags else None))
    return {
        "name": name,
        "title": title,
        "help": " ".join(inspect.getdoc(function).split()),
        "options": found,
    }


def to_option(command, parameter, hint, info, flag):
    name = (flag or parameter.name).removeprefix("--")
    default = None if parameter.default in (inspect.Parameter.empty, ...) else parameter.default
    base = plain_type(hint)
    choices = [str(one) for one in get_args(base)] if get_origin(base) is Literal else []
    label = name.replace("-", " ").capitalize()
    kind = OUTPUTS[command] if name == "output" else kind_of(parameter.name, name, base, choices)
    return {
        "name": name.replace("-", "_"),
        "flag": flag,
        "label": LABELS.get(command, label) if name == "output" else label,
        "help": info.help,
        "kind": kind,
        "choices": choices,
        "default": default,
        "least": info.min,
        "most": info.max,
        "filter": FILTERS.get(name, ""),
        "layer": LAYERS.get(command) if name == "output" else None,
        "is_required": (command, parameter.name) in REQUIRED or (command, name) in REQUIRED,
        "is_advanced": name not in FIRST and parameter.name not in FIRST,
    }


def plain_type(hint):
    """Return the type without None and without the list around it."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(one for one in get_args(hint) if one is not type(None))
    return get_args(hint)[0] if get_origin(hint) is list else hint


def kind_of(parameter, name, base, choices):
    if choices:
        return "choice"
    plain = {bool: "switch", int: "integer", float: "number", str: "text", Path: "file"}
    return KINDS.get(parameter) or KINDS.get(name) or plain[base]


def to_text(commands):
    return json.dumps(commands, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TABLE.write_text(to_text(read_commands()), encoding="utf-8")
