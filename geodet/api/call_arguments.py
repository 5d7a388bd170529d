"""Arguments that several public functions take: paths, settings of a detection, progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from numbers import Integral, Real
from pathlib import Path
from typing import Any, cast, overload

from geodet.api.progress_bars import detect_bars
from geodet.config import Config, DetectConfig
from geodet.config.recipes import Settings, resolve_config
from geodet.detection.progress import DetectProgress
from geodet.errors import ConfigError

__all__ = [
    "Paths",
    "ProgressChoice",
    "check_bounds",
    "check_choice",
    "check_numbers",
    "check_path",
    "check_range",
    "list_paths",
    "resolve_search",
    "showing_progress",
    "to_path",
]

Paths = str | Path | Sequence[str | Path]
"""One path or several."""
ProgressChoice = bool | Callable[[DetectProgress], None]
"""True shows a bar; a function is called with a :class:`DetectProgress` after each batch."""


@overload
def to_path(name: str, path: str | Path) -> Path: ...
@overload
def to_path(name: str, path: str | Path | None) -> Path | None: ...
def to_path(name: str, path: str | Path | None) -> Path | None:
    """Return the path that an argument names; None for None.

    Raises:
        ConfigError: The argument is not a path, but a frame, for example.
    """
    if path is None:
        return None
    try:
        return Path(path)
    except TypeError as error:
        raise ConfigError(
            f"{name} is a {type(path).__name__}, not the path of a file",
            hint="write it to a file, such as with frame.to_file, and pass the path"
            if hasattr(path, "to_file")
            else "pass a str or a pathlib.Path",
        ) from error


def check_path(name: str, path: Any) -> Path:
    """Return the path that a required argument names.

    Raises:
        ConfigError: The argument is None, or not a path.
    """
    if path is None:
        raise ConfigError(f"{name} is None", hint="pass a str or a pathlib.Path")
    return to_path(name, cast("str | Path", path))


def list_paths(paths: Paths | None, name: str = "scenes") -> list[str | Path]:
    """Return the paths of an argument that takes one or several, as a list; none for None.

    Raises:
        ConfigError: One of them is not a path, but a frame, for example.
    """
    if paths is None:
        return []
    # Iterating over a frame yields the names of its columns.
    is_frame = hasattr(paths, "columns") or hasattr(paths, "to_file")
    is_one = is_frame or isinstance(paths, str) or not isinstance(paths, Iterable)
    several: list[Any] = [paths] if is_one else list(cast("Iterable[Any]", paths))
    for one in several:
        check_path(name, one)  # only checked: a Path would spoil an address
    return several


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Check that the value of an argument is one of its choices.

    Raises:
        ConfigError: It is not.
    """
    if value not in choices:
        words = " or ".join(map(repr, choices))
        raise ConfigError(f"{name} is {value!r}", hint=f"pass {words}")


def check_range(name: str, value: Any, least: float, most: float = math.inf) -> None:
    """Check that the value of an argument is a number in its range.

    Raises:
        ConfigError: It is out of range, NaN, or not a number.
    """
    is_number = isinstance(value, Real)
    if not (is_number and least <= value <= most):
        limits = f"{least} or more" if most == math.inf else f"a number from {least} to {most}"
        raise ConfigError(f"{name} is {value!r}", hint=f"pass {limits}")


def check_numbers(name: str, values: Any, parts: Sequence[str], kind: type = Real) -> list[Any]:
    """Return the numbers of an argument that takes a fixed number of them.

    Args:
        name: Name of the argument.
        values: The value of the argument.
        parts: Names of the numbers, such as ``xmin``, for messages.
        kind: ``numbers.Integral`` for whole numbers.

    Raises:
        ConfigError: There are more or fewer numbers, or one is not a number of this kind.
    """
    hint = f"pass ({', '.join(parts)})"
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ConfigError(f"{name} is {values!r}", hint=hint)
    numbers = list(values)
    if len(numbers) != len(parts):
        raise ConfigError(f"{name} has {len(numbers)} numbers", hint=hint)
    if wrong := [one for one in numbers if not isinstance(one, kind)]:
        what = "whole number" if kind is Integral else "number"
        raise ConfigError(f"{name} has {wrong[0]!r}, which is not a {what}", hint=hint)
    return numbers


def check_bounds(bounds: Sequence[float] | None) -> tuple[float, float, float, float] | None:
    """Return bounds as four numbers.

    Raises:
        ConfigError: They are not four numbers.
    """
    if bounds is None:
        return None
    x1, y1, x2, y2 = check_numbers("bounds", bounds, ("xmin", "ymin", "xmax", "ymax"))
    return x1, y1, x2, y2


def resolve_search(
    config: Config | str | Path | None, settings: Settings, flags: Mapping[str, Any]
) -> DetectConfig:
    """Return the settings of a detection.

    Args:
        config: A configuration, a recipe's name or a TOML file.
        settings: Other keys.
        flags: Keywords of the function, by the name of their setting; None: not given.

    Raises:
        ConfigError: A setting does not exist or does not fit.
    """
    return resolve_config(config, flags={"detect": dict(flags)}, settings=settings).detect


def showing_progress(
    progress: ProgressChoice,
) -> AbstractContextManager[Callable[[DetectProgress], None]]:
    """Return a context manager that yields the function to call after each batch."""
    return nullcontext(progress) if callable(progress) else detect_bars(is_shown=progress)
