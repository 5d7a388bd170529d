"""What the documentation takes from the code: all of it, and nothing that is not there."""

import re
import subprocess
import sys

import pytest
from doc_pages import PROJECT

from geodet.config import Config

EXTENSION = PROJECT / "docs" / "_ext"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Return a function that builds pages with the extension: their HTML and warnings."""

    def make(text):
        folder = tmp_path_factory.mktemp("site")
        (folder / "conf.py").write_text(
            f"import sys\nsys.path.insert(0, {str(EXTENSION)!r})\n"
            "extensions = ['myst_parser', 'sphinx.ext.autodoc', 'from_code']\n"
            "html_theme = 'basic'\n"
        )
        (folder / "index.md").write_text(text)
        command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", ".", "out"]
        command += ["-D", "geodet_check_pages=0"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        page = folder / "out" / "index.html"
        return page.read_text(encoding="utf-8") if page.exists() else "", done.stderr

    return make


def test_a_command_is_described_with_all_its_options(build):
    html, said = build("# detect\n\n```{geodet-command} detect\n```\n")
    assert said == ""
    help_text = subprocess.run(
        [sys.executable, "-m", "geodet_cli.main", "detect", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"},
    ).stdout
    options = set(re.findall(r"--[a-z][a-z-]+", help_text))
    assert len(options) > 20
    assert options <= set(re.findall(r"--[a-z][a-z-]+", html))


def test_every_key_of_a_section_is_described(build):
    sections = "\n".join(
        f"## {name}\n\n```{{geodet-configuration}} {name}\n```\n" for name in Config.model_fields
    )
    html, said = build(f"# Keys\n\n{sections}")
    assert said == ""
    for section, field in Config.model_fields.items():
        for key in field.annotation.model_fields:
            assert f"{section}.{key}" in html


def test_what_is_not_in_the_code_fails_the_build(build):
    wrong = {
        "{key}`detect.nonsense`": "no configuration key",
        "```{geodet-command} nonsense\n```": "has no command",
        "```{geodet-configuration} nonsense\n```": "no section",
        "```{geodet-api}\nnonsense\n```": "not in geodet.__all__",
    }
    _, said = build("# Page\n\n" + "\n\n".join(wrong) + "\n")
    for message in wrong.values():
        assert message in said
