"""The README and the pages of the documentation, read block by block.

A page's comments tell the runner what it cannot see in the blocks:

``<!-- needs: NAME ... -->``
    inputs that lie in the page's folder, see ``page_inputs.py``
``<!-- file: NAME -->``
    the next block is saved under this name
``<!-- not run: REASON -->``
    the next block cannot run here
"""

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
RUN = ("console", "python", "toml")
"""Languages of the blocks that are run, or for TOML checked."""


@dataclass(frozen=True)
class Block:
    """A block of a page, or its needs where ``language`` is needs."""

    line: int
    language: str
    text: str
    reason: str = ""
    """Why it is not run; empty where it is."""
    file: str = ""
    """The name under which it is saved; empty where it is not."""

    @property
    def commands(self):
        """List the commands of a console block, continued lines joined."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        return [line.strip() for line in joined.splitlines() if line.strip()]


def list_pages():
    """List the pages: the README first, then docs/ by name."""
    pages = [
        path for path in sorted((PROJECT / "docs").rglob("*.md")) if "_build" not in path.parts
    ]
    return [PROJECT / "README.md", *pages]


def page_name(path):
    """Name a page by its place in the project."""
    return path.relative_to(PROJECT).as_posix()


_COMMENT = re.compile(r"<!-- (needs|file|not run): (.*?) ?-->", re.DOTALL)
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def read_blocks(path):
    """Read the blocks of a page that are run, in order, and what its comments say of them."""
    text = path.read_text(encoding="utf-8")
    found, said = [], {}
    matches = [*_COMMENT.finditer(text), *_FENCE.finditer(text)]
    for match in sorted(matches, key=lambda one: one.start()):
        line = text.count("\n", 0, match.start()) + 1
        kind, content = match.groups()
        if match.re is _COMMENT:
            if kind == "needs":
                found.append(Block(line, "needs", content))
            else:
                said[kind] = " ".join(content.split())
        else:
            if kind in RUN:
                reason, file = said.get("not run", ""), said.get("file", "")
                found.append(Block(line, kind, content, reason, file))
            said = {}
    return found
