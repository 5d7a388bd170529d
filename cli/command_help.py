"""The form of the help: options in named groups, examples, and suggestions."""

from __future__ import annotations

import inspect
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from . import options as opt
from .typed_words import suggest_command, suggest_for_arguments

__all__ = ["DocumentedCommand", "DocumentedGroup"]

_LAST = (opt.OUTPUT, opt.AREA, opt.SETTINGS, opt.RUN, opt.MESSAGES)
"""The groups that follow those of the input, in their order."""

_GLOBAL = ("--offline", "--restricted")
"""Options of the program."""


_NOT_ADDED = {
    "data": "keep one",
    "labels": "keep one",
    "reviews": "keep one",
    "recipe": "keep one, and set other keys with --set SECTION.KEY=VALUE",
    "score_threshold": "join them, such as car=0.3,van=0.5",
}
"""What to do where an option is repeated whose values users may expect to add up, by parameter. Of
any other, the last value counts, so that scripts can override one."""

_FILES_AS_TEXT = ("path", "scene", "typed_outputs", "model")
"""Parameters whose files may have other names than those of a file system."""


class DocumentedCommand(TyperCommand):
    """A command whose help ends with examples, printed line by line as they are written."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters in the order of their groups, with ``--help`` in one too."""
        return sorted(_grouped(super().get_params(ctx), opt.MESSAGES), key=_place)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; for the options of other programs, say what geodet calls them.

        An option of one value that looks as if it took several is refused if it is repeated.
        """
        for name in _GLOBAL:
            if name in args:
                ctx.fail(f"{name} goes before the command: geodet {name} {self.name} ...")
        params = self.get_params(ctx)
        options = {name for param in params for name in param.opts if param.opts[0][0] == "-"}
        takes_scenes = any(param.name in ("scene", "scenes") for param in params) and (
            "--scene" not in options
        )
        if message := suggest_for_arguments(
            str(self.name), args, options, takes_scenes=takes_scenes
        ):
            ctx.fail(message)
        typed, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for param in params:
            instead, times = _NOT_ADDED.get(str(param.name)), order.count(param)
            if instead and times > 1 and not param.multiple:
                # The parser would drop all but the last, such as the first of two tilesets.
                ctx.fail(f"{param.opts[0]} takes one value and is given {times} times: {instead}")
            takes_file = "Path" in str(param.bare_type()) or param.name in _FILES_AS_TEXT
            if takes_file and _has_empty(typed.get(param.name)):
                # It would be the current folder; as a rule a variable of the shell is not set.
                name = param.opts[0] if param.opts[0][0] == "-" else str(param.name).upper()
                ctx.fail(f"{name} is empty: name a file, or omit the option")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, then the examples."""
        _print_help(self, super().format_help, ctx, formatter)


class DocumentedGroup(TyperGroup):
    """The program itself: its help lists the commands, then examples and exit codes."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, with ``--help`` in a group too."""
        return _grouped(super().get_params(ctx), "General")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; for the name that another program gives it, suggest it."""
        known = suggest_command(args[0])
        if known and args[0] not in self.commands:
            ctx.fail(f"no such command: {args[0]}; write geodet {known}")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, then the examples."""
        _print_help(self, super().format_help, ctx, formatter)


def _has_empty(typed: Any) -> bool:
    """Whether an option was given an empty text, once or as one of several."""
    return typed == "" or (isinstance(typed, list | tuple) and "" in typed)


def _grouped(params: list[Any], group: str) -> list[Any]:
    """Put the options that typer adds into a group, and show no type for those without a value."""
    for param in params:
        if param.param_type_name != "option":
            continue
        param.rich_help_panel = getattr(param, "rich_help_panel", None) or group
        if param.is_flag or getattr(param, "count", False):
            param.metavar = ""
    return params


def _place(param: Any) -> int:
    group = getattr(param, "rich_help_panel", None)
    return _LAST.index(group) if group in _LAST else -1


def _print_help(command: Any, print_rest: Any, ctx: Any, formatter: Any) -> None:
    # Rich would read brackets in the examples as markup, some versions of typer join their lines,
    # and others keep the line breaks of the docstring.
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    epilog, about = command.epilog, command.help
    command.epilog, command.help = None, "\n\n".join(p.replace("\n", " ") for p in paragraphs)
    try:
        print_rest(ctx, formatter)
    finally:
        command.epilog, command.help = epilog, about
    if epilog:
        typer.echo(epilog.rstrip())
