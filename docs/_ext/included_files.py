"""Links to files that a page includes: GitHub shows the file, the site the page.

A model card, for example, has a page on the site that only includes it. On GitHub such a page is
one line, so other pages link to the card itself.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

_INCLUDE = re.compile(r"```\{include\} (\S+\.md)")
_LINK = re.compile(r"\]\(([^)#:\s]+\.md)")


def find_included(docs: Path) -> dict[Path, Path]:
    """Find the pages that begin with an included file.

    Returns:
        File to page.
    """
    found = {}
    for page in docs.rglob("*.md"):
        if match := _INCLUDE.match(page.read_text(encoding="utf-8")):
            found[(page.parent / match[1]).resolve()] = page
    return found


def lead_to_pages(text: str, folder: Path, included: dict[Path, Path]) -> str:
    """Replace links to included files by links to their pages.

    Args:
        text: A page.
        folder: Its folder.
        included: File to page.
    """

    def lead(link: re.Match[str]) -> str:
        page = included.get((folder / link[1]).resolve())
        return f"]({os.path.relpath(page, folder)}" if page else link[0]

    return _LINK.sub(lead, text)


def _read(app: Sphinx, docname: str, content: list[str]) -> None:
    docs = Path(app.srcdir).resolve()
    folder = (docs / docname).parent
    content[0] = lead_to_pages(content[0], folder, find_included(docs))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the reader of pages."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
