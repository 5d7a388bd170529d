"""One training at a time for each model file."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from geodet.files.locks import locked_output
from geodet.files.torchrun import is_first_process

__all__ = ["one_at_a_time"]

_Rest = ParamSpec("_Rest")
_Report = TypeVar("_Report")
_Train = Callable[Concatenate[Any, Path, _Rest], _Report]


def one_at_a_time(train: _Train[_Rest, _Report]) -> _Train[_Rest, _Report]:
    """Wrap a function that trains, to hold the lock of its output, its second argument.

    Two trainings would write one model and one log, and both end well. Of several processes that
    train together the first one holds it. Where the folder is missing, the function says so.
    """

    @functools.wraps(train)
    def alone(data: Any, output: Path, /, *rest: _Rest.args, **options: _Rest.kwargs) -> _Report:
        is_holder = is_first_process() and output.parent.is_dir()
        with locked_output(output) if is_holder else contextlib.nullcontext():
            return train(data, output, *rest, **options)

    return alone
