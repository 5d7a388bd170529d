"""The files of the page: whole, short, licensed, and without anything from elsewhere."""

import hashlib
import re
from pathlib import Path

import pytest

import geodet.viewer

PAGE = Path(geodet.viewer.__file__).parent / "page"
OWN = sorted(path for path in PAGE.iterdir() if path.is_file())
VENDORED = PAGE / "maplibre"


def test_maplibre_is_as_it_was_published():
    listed = dict(
        reversed(line.split()) for line in (VENDORED / "SHA256SUMS").read_text().splitlines()
    )
    assert listed.keys() == {path.name for path in VENDORED.iterdir()} - {"SHA256SUMS"}
    for name, digest in listed.items():
        assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == digest, name


def test_the_licence_of_maplibre_lies_beside_it():
    assert "MapLibre contributors" in (VENDORED / "LICENSE.txt").read_text()


def test_the_version_of_maplibre_is_the_one_that_make_fetches():
    makefile = (PAGE.parents[2] / "Makefile").read_text()
    (version,) = re.findall(r"^MAPLIBRE := (\S+)$", makefile, re.MULTILINE)
    with (VENDORED / "maplibre-gl.mjs").open() as file:
        assert f"v{version}/LICENSE.txt" in file.read(500)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_own_files_are_short_and_name_no_other_host(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 350
    hosts = set(re.findall(r"https?://([\w.-]+)", text))
    assert hosts <= {"www.w3.org"}


def test_the_page_has_no_scripts_or_styles_in_its_html():
    html = (PAGE / "index.html").read_text()
    assert re.findall(r"<script[^>]*>([^<]+)</script>", html) == []
    assert "<style" not in html
    assert not re.search(r"\s(style|on\w+)=", html)


@pytest.mark.parametrize("path", [p for p in OWN if p.suffix == ".js"], ids=lambda path: path.name)
def test_modules_import_files_that_are_there(path):
    for name in re.findall(r'from "\./([^"]+)"', path.read_text()):
        assert (PAGE / name).is_file()
