"""Parse YAML within limits of size, depth and what its aliases stand for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml  # type: ignore[import-untyped]

from geodet.documents.text import DocumentError
from geodet.documents.values import check_plain_values

__all__ = ["parse_yaml"]

_LONGEST = 16 << 20  # characters; the names of 100,000 images have 6 million
_DEEPEST = 50
_MOST_NODES = 2_000_000  # with a copy for each alias
_HINT = "correct the file"
# In C where PyYAML has it, ten times faster.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """Parse the first document of YAML.

    A few bytes of aliases may stand for billions of values, so what they stand for is counted
    before it is built.

    Raises:
        DocumentError: It is broken, too long, nested too deeply, or beyond the limit of aliases.
    """
    if len(text) > _LONGEST:
        raise DocumentError(
            f"it has {len(text):,} characters of YAML, and at most {_LONGEST:,} are read",
            hint="check that it is the right file",
        )
    with _raising_document_errors():
        _check_events(text)
        content = yaml.load(text, _Loader)  # a safe loader
    check_plain_values(content, deepest=_DEEPEST)
    return content


@contextmanager
def _raising_document_errors() -> Iterator[None]:
    try:
        yield
    except yaml.YAMLError as error:
        raise DocumentError(f"broken YAML: {error}", hint=_HINT) from error
    except DocumentError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        # PyYAML raises these for scalars such as 2001-99-99, !!int x and !!timestamp x.
        raise DocumentError(f"broken YAML: a value cannot be read: {error}", hint=_HINT) from error


def _check_events(text: str) -> None:
    """Count levels and nodes; the parser of events does not recurse."""
    sizes: dict[str, int] = {}  # nodes that each anchor stands for
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in [anchor for anchor, _ in open_nodes]:
                raise DocumentError(f"broken YAML: {event.anchor} contains itself", hint=_HINT)
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        _check_counts(len(open_nodes), total)


def _check_counts(depth: int, nodes: int) -> None:
    if depth > _DEEPEST:
        raise DocumentError(
            f"broken YAML: it is nested more than {_DEEPEST} levels deep", hint=_HINT
        )
    if nodes > _MOST_NODES:
        raise DocumentError(
            f"broken YAML: its aliases stand for more than {_MOST_NODES:,} values", hint=_HINT
        )
