"""Pages that only include a file: GitHub shows one line of them, so links lead to the file."""

import re

import pytest
from doc_pages import PROJECT, list_pages, page_name

DOCS = PROJECT / "docs"


@pytest.mark.parametrize(
    ("page", "link", "led"),
    [
        ("howto/gpu", "../../benchmarks/speed.md#on-a-gpu", "../benchmarks/speed.md#on-a-gpu"),
        ("coming-from", "../benchmarks/README.md", "benchmarks/index.md"),
        ("models/index", "../../geodet/models/bundled/thermal.md", "thermal.md"),
        ("architecture", "../CONTRIBUTING.md", "contributing.md"),
        ("howto/gpu", "../start/install.md", "../start/install.md"),
        ("howto/gpu", "../../benchmarks/speed.py", "../../benchmarks/speed.py"),
    ],
)
def test_a_link_to_an_included_file_leads_to_its_page(page, link, led, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    from included_files import find_included, lead_to_pages

    folder, included = (DOCS / page).parent, find_included(DOCS)
    assert lead_to_pages(f"See [this]({link}).", folder, included) == f"See [this]({led})."


def test_no_link_leads_to_a_page_that_only_includes_a_file():
    for path in list_pages():
        for link in re.findall(r"\]\(([^)#:]+\.md)", path.read_text(encoding="utf-8")):
            text = (path.parent / link).read_text(encoding="utf-8")
            assert not text.startswith("```{include}"), f"{page_name(path)}: {link}"
