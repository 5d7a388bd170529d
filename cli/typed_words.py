"""Suggestions for commands and options that other programs have and geodet names differently."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

__all__ = ["suggest_command", "suggest_for_arguments"]

_COMMANDS = {
    "detect": "predict infer inference run apply classify segment find",
    "evaluate": "val validate validation test eval metrics score benchmark",
    "train": "fit finetune fine-tune learn retrain",
    "tile": "chip chips split cut crop slice patch tiles",
    "export": "convert onnx",
    "preview": "show draw plot view visualize visualise render",
    "models": "list weights zoo",
    "suggest": "query active-learning sample",
    "config": "recipes settings cfg configure",
    "info": "describe inspect stats",
}

# What is written in place of each; the first that the command has.
_OPTIONS: dict[str, tuple[str, ...]] = {
    words: tuple(instead.split("|"))
    for words, instead in {
        "conf confidence threshold score thresh conf-thres conf-thresh conf-threshold min-score "
        "score-thresh score-thr box-score-thresh": "--score-threshold|--min-score",
        "iou iou-thres iou-thresh nms nms-iou nms-threshold": "--iou-threshold",
        "weights checkpoint ckpt model-path model-file pretrained weight": "--model|--init",
        "imgsz img-size img image-size imgsize tile-size patch-size window-size crop-size size "
        "slice-size": "--chip-size",
        "out output-dir output-file output-path out-dir outdir save-dir project dst dest save "
        "output": "--output",
        "stride patch-overlap tile-overlap overlap-ratio": "--overlap",
        "batch batchsize bs": "--batch-size",
        "num-workers threads jobs nproc": "--workers",
        "gpu gpus cuda": "--device cuda",
        "cpu": "--device cpu",
        "lr lr0 learning-rate": "--set train.learning_rate=RATE",
        "patience": "--set train.patience=N",
        "seed": "--set train.seed=N",
        "dataset data-dir train-data": "--data",
        "annotations annotation gt ground-truth label truth": "--labels",
        "predictions preds results": "--detections",
        "region roi mask extent area": "--aoi",
        "bbox": "--bounds",
        "force": "--overwrite",
        "save-txt": "--format yolo",
        "classes class-field": "--label-field",
        "recipe cfg": "--config",
        "gsd": "--gsd|--set detect.gsd=METRES|--set data.gsd=METRES",
        "silent": "--quiet",
        "vis visualize show plot": "--preview",
    }.items()
}
_INPUTS = "source src input inputs image images img-path path file scene scenes"

_SECTIONS = {"train": "train", "detect": "detect", "evaluate": "detect", "tile": "tile"}


def suggest_command(word: str) -> str:
    """Return the command that does what another program calls ``word``; empty if unknown."""
    lower = word.lower()
    return next((name for name, words in _COMMANDS.items() if lower in words.split()), "")


def suggest_for_arguments(
    command: str, arguments: Sequence[str], options: Collection[str], *, takes_scenes: bool
) -> str:
    """Suggest what to write in place of the first argument that another program would take.

    Args:
        command: The name of the command.
        arguments: As typed, without the command.
        options: The names of the command's options, ``--output`` and so on.
        takes_scenes: Whether rasters are arguments without an option.

    Returns:
        A message, or an empty text where all is known or nothing can be suggested.

    Example:
        >>> suggest_for_arguments("detect", ["--conf", "0.3"], ["--score-threshold"],
        ...                       takes_scenes=True)
        'no such option: --conf; write --score-threshold 0.3'
    """
    for place, argument in enumerate(arguments):
        if argument == "--":
            break
        after = arguments[place + 1] if place + 1 < len(arguments) else ""
        value = "" if after.startswith("-") else after
        if argument.startswith("--"):
            name, _, given = argument.partition("=")
            value = given or value
            if name in options:
                continue
            found = _instead(command, name[2:], value, options, takes_scenes=takes_scenes)
            if found:
                return f"no such option: {name}; write {found}"
        elif place and arguments[place - 1].startswith("-"):
            continue  # probably the value of an option
        elif found := _of_assignment(command, argument, options, takes_scenes=takes_scenes):
            return f"{argument} is not an option; write {found}"
    return ""


def _of_assignment(
    command: str, argument: str, options: Collection[str], *, takes_scenes: bool
) -> str:
    """Return what to write for ``conf=0.3``, as Ultralytics' program takes it."""
    key, equals, value = argument.partition("=")
    if not equals or not key.isidentifier() or Path(argument).exists():
        return ""
    name = key.replace("_", "-")
    if f"--{name}" in options:
        return f"--{name} {value}"
    return _instead(command, name, value, options, takes_scenes=takes_scenes)


def _instead(
    command: str, word: str, value: str, options: Collection[str], *, takes_scenes: bool
) -> str:
    word = word.replace("_", "-").lower()
    if takes_scenes and word in _INPUTS.split():
        return f"the scene without an option: geodet {command} {value or 'SCENE'}"
    for words, ways in _OPTIONS.items():
        if word in words.split():
            for way in ways:
                if way.partition(" ")[0] in options and _is_setting_of(way, command):
                    return _with_value(way, value)
    return f"--{word} {value}".rstrip() if f"--{word}" in options else ""


def _is_setting_of(way: str, command: str) -> bool:
    """Whether the command has the section of a setting such as ``--set train.seed=N``."""
    option, _, setting = way.partition(" ")
    if option != "--set":
        return True
    section = setting.partition(".")[0]
    return section == _SECTIONS.get(command) or (section == "data" and command in _SECTIONS)


def _with_value(way: str, value: str) -> str:
    if way == "--aoi":
        return f"--aoi {value}" if value else "--aoi FILE"
    if "=" in way:
        return f"{way.partition('=')[0]}={value}" if value else way
    return way if " " in way else f"{way} {value}".rstrip()
