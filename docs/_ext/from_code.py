"""Directives that write the reference from the code, so that it cannot go stale.

``geodet-command`` describes a command from the typer application, ``geodet-configuration`` every
key from the pydantic models, ``geodet-recipes`` the bundled recipes, ``geodet-errors`` the tree of
errors, and ``geodet-api`` the public names. The role ``{key}`` links to a key of the
configuration. A command without a page, an unknown key and an unknown command fail the build.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from importlib import resources
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
import typer
from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

import geodet
from geodet.config import Config
from geodet.config.recipes import iter_recipes
from geodet_cli.main import app as command_line

logger = logging.getLogger(__name__)

COMMANDS = typer.main.get_command(command_line).commands
CONFIGURATION_PAGE = "reference/configuration"
COMMAND_PAGES = "reference/commands/"


def text_nodes(text: str) -> list[nodes.Node]:
    """Turn plain text into nodes: ``x`` and `x` become literals, *x* emphasis."""
    found: list[nodes.Node] = []
    for part in re.split(r"(``[^`]+``|`[^`]+`|\*\w[^*]*\*)", text):
        if part.startswith("`"):
            found.append(nodes.literal(text=part.strip("`")))
        elif part.startswith("*") and part.endswith("*") and len(part) > 2:
            found.append(nodes.emphasis(text=part.strip("*")))
        elif part:
            found.append(nodes.Text(part))
    return found


def definition(term: list[nodes.Node], *lines: list[nodes.Node]) -> nodes.definition_list_item:
    """Make one entry of a definition list."""
    paragraphs = [nodes.paragraph("", "", *line) for line in lines if line]
    return nodes.definition_list_item(
        "", nodes.term("", "", *term), nodes.definition("", *paragraphs)
    )


def console(text: str) -> nodes.literal_block:
    """Make a block of shell commands."""
    return nodes.literal_block(text, text, language="console")


class Command(SphinxDirective):
    """Describe one command: usage, what it does, options by group, examples."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write the page's body from the typer application."""
        name = self.arguments[0]
        if name not in COMMANDS:
            raise self.error(f"geodet has no command {name!r}; it has {', '.join(COMMANDS)}")
        command = COMMANDS[name]
        context = command.make_context(name, [], resilient_parsing=True)
        usage = " ".join(["geodet", name, *command.collect_usage_pieces(context)])
        about = inspect.cleandoc(command.help or "").split("\n\n")
        made: list[nodes.Node] = [nodes.paragraph("", "", *text_nodes(part)) for part in about]
        made.append(console(usage))
        if command.epilog:
            made += [nodes.rubric("", "Examples"), *examples(command.epilog)]
        for title, parameters in groups(command, context):
            entries = [
                definition([nodes.literal(text=term)], text_nodes(text.replace("  [", " [")))
                for term, text in parameters
            ]
            listing = nodes.definition_list("", *entries, classes=["geodet-options"])
            made += [nodes.rubric("", title), listing]
        return made


def groups(command: Any, context: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Collect the records of a command's help by panel, arguments first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        general = "Arguments" if parameter.param_type_name == "argument" else "Options"
        panel = getattr(parameter, "rich_help_panel", None) or general
        found.setdefault(panel, []).append(record)
    yield from found.items()


def examples(epilog: str) -> Iterator[nodes.Node]:
    """Separate the commands in an epilog from the words around them."""
    commands: list[str] = []
    for line in [*inspect.cleandoc(epilog).replace("\b", "").splitlines(), ""]:
        if line.strip().lstrip("$ ").startswith(("geodet ", "torchrun ")) or (
            commands and line.startswith(" ") and commands[-1].endswith("\\")
        ):
            commands.append(line.strip().removeprefix("$ "))
            continue
        words = line.strip()
        if commands and words:
            yield console("\n".join(commands))
            commands = []
        if words and words.lower().rstrip(":") != "examples":
            yield nodes.paragraph("", "", *text_nodes(words))
    if commands:
        yield console("\n".join(commands))


class Commands(SphinxDirective):
    """List all commands with their first sentence, each linked to its page."""

    def run(self) -> list[nodes.Node]:
        """Write the list from the typer application."""
        entries = []
        for name, command in COMMANDS.items():
            link = addnodes.pending_xref(
                "",
                nodes.literal(text=f"geodet {name}"),
                refdomain="std",
                reftype="doc",
                reftarget=f"/{COMMAND_PAGES}{name}",
                refexplicit=True,
                refdoc=self.env.docname,
            )
            first = inspect.cleandoc(command.help or "").split("\n\n")[0]
            entries.append(definition([link], text_nodes(first.replace("\n", " "))))
        return [nodes.definition_list("", *entries, classes=["geodet-options"])]


class Configuration(SphinxDirective):
    """List every key of one section of the configuration."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write the list from the pydantic model."""
        section = self.arguments[0]
        if section not in Config.model_fields:
            raise self.error(f"no section {section!r}; they are {', '.join(Config.model_fields)}")
        model = Config.model_fields[section].annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        entries = [self._entry(section, key, field) for key, field in model.model_fields.items()]
        return [nodes.definition_list("", *entries, classes=["geodet-options"])]

    def _entry(self, section: str, key: str, field: FieldInfo) -> nodes.Node:
        label = key_label(section, key)
        term = nodes.literal(text=f"{section}.{key}", ids=[label], names=[label])
        self.state.document.note_explicit_target(term)
        about = field.description or ""
        is_unset = field.default is None
        facts: list[nodes.Node] = [
            nodes.emphasis(
                text=type_name(field) + ("; unset by default" if is_unset else "; default ")
            )
        ]
        facts += [] if is_unset else [nodes.literal(text=toml_value(field.default))]
        return definition([term], text_nodes(about[:1].upper() + about[1:] + "."), facts)


def key_label(section: str, key: str) -> str:
    """Name the place of a key on the configuration page."""
    return f"{section}-{key}".replace("_", "-")


def toml_value(value: Any) -> str:
    """Write a default as TOML would."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else f"{value:.6g}"


_WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def type_name(field: FieldInfo) -> str:
    """Return in words which values a key takes."""
    return annotation_name(field.annotation) + limits(field)


def annotation_name(annotation: Any) -> str:
    """Return in words which values an annotation admits."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (Union, types.UnionType):
        return " or ".join(annotation_name(part) for part in inner if part is not type(None))
    if origin is tuple and inner[-1] is Ellipsis:
        return f"list of {annotation_name(inner[0])} values"
    if origin is dict:
        return f"map of {annotation_name(inner[0])} to {annotation_name(inner[1])}"
    if origin is tuple:
        return f"{len(inner)} {annotation_name(inner[0])}s"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def limits(field: FieldInfo) -> str:
    """Return the bounds of a number in words."""
    found = []
    for limit in field.metadata:
        for kind, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if isinstance(limit, getattr(annotated_types, kind.capitalize())):
                found.append(f"{sign} {getattr(limit, kind):g}")
    return f", {' and '.join(found)}" if found else ""


class Recipes(SphinxDirective):
    """Show the bundled recipes, each as its file is written."""

    def run(self) -> list[nodes.Node]:
        """Write the list from the installed recipes."""
        made: list[nodes.Node] = []
        for name, _ in iter_recipes():
            text = (resources.files("geodet_configs") / f"{name}.toml").read_text(encoding="utf-8")
            made += [
                nodes.rubric("", "", nodes.literal(text=name), ids=[f"recipe-{name}"]),
                nodes.literal_block(text, text.rstrip(), language="toml"),
            ]
        return made


class Api(SphinxDirective):
    """Describe public names through autodoc: those given, or with ``rest`` all others."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Write the directives of autodoc for names of ``geodet.__all__``."""
        described: set[str] = self.env.metadata[self.env.docname].setdefault("_described", set())
        names = " ".join(self.content).split()
        if names[:1] == ["rest"]:
            names = [name for name in public_names() if name not in described]
        unknown = set(names) - set(public_names())
        if unknown:
            raise self.error(f"not in geodet.__all__: {', '.join(sorted(unknown))}")
        described.update(names)
        lines: list[str] = []
        for name in names:
            lines += self._autodoc(name)
        text = "\n".join(["```{eval-rst}", *lines, "```"])
        return self.parse_text_to_nodes(text)

    @staticmethod
    def _autodoc(name: str) -> list[str]:
        value = getattr(geodet, name)
        if not inspect.isclass(value):
            return [f".. autofunction:: geodet.{name}", ""]
        if issubclass(value, BaseModel):
            return [f".. autoclass:: geodet.{name}()", "   :no-members:", ""]
        if issubclass(value, Exception):
            return [f".. autoexception:: geodet.{name}", "   :show-inheritance:", ""]
        return [f".. autoclass:: geodet.{name}()", "   :members:", ""]


def public_names() -> list[str]:
    """List what ``geodet`` promises, in order."""
    return [name for name in geodet.__all__ if not name.startswith("__")]


class Key(SphinxRole):
    """Link to a key of the configuration, which must exist: ``{key}`detect.chip_size```."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Make the link, or fail."""
        section, _, key = self.text.partition(".")
        model = Config.model_fields[section].annotation if section in Config.model_fields else None
        if model is None or key not in model.model_fields:  # type: ignore[union-attr]
            message = self.inliner.reporter.error(f"no configuration key {self.text!r}")
            return [], [message]
        link = addnodes.pending_xref(
            "",
            nodes.literal(text=self.text),
            refdomain="std",
            reftype="ref",
            reftarget=key_label(section, key),
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )
        return [link], []


def check_pages(app: Sphinx, env: BuildEnvironment) -> None:
    """Fail the build where a command or a public name is not described, or is not there."""
    if not app.config.geodet_check_pages:
        return
    pages = {
        name.removeprefix(COMMAND_PAGES)
        for name in env.found_docs
        if name.startswith(COMMAND_PAGES) and not name.endswith("/index")
    }
    if pages != set(COMMANDS):
        raise SphinxError(f"commands and pages differ: {sorted(pages ^ set(COMMANDS))}")
    described = set().union(*(env.metadata[page].get("_described", ()) for page in env.found_docs))
    if described != set(public_names()):
        raise SphinxError(f"not described: {sorted(set(public_names()) - described)}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives and the role."""
    app.add_directive("geodet-command", Command)
    app.add_directive("geodet-commands", Commands)
    app.add_directive("geodet-configuration", Configuration)
    app.add_directive("geodet-recipes", Recipes)
    app.add_directive("geodet-api", Api)
    app.add_role("key", Key())
    app.add_config_value("geodet_check_pages", True, "env", bool)
    app.connect("env-check-consistency", check_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
