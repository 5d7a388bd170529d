"""Every command and every piece of Python in the README and the documentation is run.

Each page is run from top to bottom in a folder of its own. What takes minutes at full size is made
smaller: ``geodet demo`` paints 640 px, and a training is one epoch of a small network.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import chain, pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from cli_runner import Runner
from doc_pages import PROJECT, list_pages, page_name, read_blocks
from page_inputs import INPUTS

import geodet
from geodet.demo.run_demo import run_demo
from geodet_cli.main import app

SIDE = 640
"""Of the painted scene, in pixels."""
SIDES = {"docs/images/README.md": 1024}
"""Of the scenes of pages that look at windows farther to the right."""
SMALLER = {
    "model.backbone_level": 3,
    "model.levels": [2, 2],
    "model.channels": 16,
    "model.head_convs": 1,
    "model.anchor_sizes": [12.0],
    "train.chip_size": 96,
    "train.batch_size": 8,
}
"""Settings of a training."""
TRAINING = ["--epochs", "1", *(f"--set={key}={value}" for key, value in SMALLER.items())]
"""Options that are appended to a training; the last one of a kind counts."""
NOT_RUN = {
    "README.md": 1,
    "docs/howto/gpu.md": 2,
    "docs/howto/jobs.md": 2,
    "docs/howto/kubernetes.md": 2,
    "docs/howto/labelling.md": 3,
    "docs/howto/looking.md": 3,
    "docs/howto/many-scenes.md": 1,
    "docs/howto/onnx.md": 3,
    "docs/howto/oriented-boxes.md": 2,
    "docs/howto/qgis.md": 1,
    "docs/howto/remote.md": 2,
    "docs/howto/slurm.md": 1,
    "docs/images/README.md": 1,
    "docs/howto/runs.md": 1,
    "docs/start/install.md": 8,
}
"""Blocks that cannot run here, by page; each says why."""
PAGES = [page for page in list_pages() if any(b.language != "needs" for b in read_blocks(page))]


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Paint the scene of the demonstration once."""
    folder = tmp_path_factory.mktemp("painted")
    run_demo(folder, geodet.load_model("urban-trees"), size=SIDE)
    return folder


@pytest.fixture
def small_trainings(monkeypatch):
    """Make the trainings of Python blocks as small as those of the command line."""
    train = geodet.train

    def smaller(*arguments, settings=None, epochs=None, **others):
        return train(*arguments, settings={**(settings or {}), **SMALLER}, epochs=1, **others)

    monkeypatch.setattr(geodet, "train", smaller)


class Page:
    """A page that is being run in its folder."""

    def __init__(self, path, folder, painted, invoke):
        self.path, self.folder, self.painted, self.invoke = path, folder, painted, invoke
        self.names = {"__name__": "__main__"}

    def run(self, block):
        {
            "needs": self._fill,
            "console": self._run_commands,
            "python": self._run_python,
            "toml": self._check_toml,
        }[block.language](block)

    def _fill(self, block):
        for name in block.text.split():
            INPUTS[name](self.folder, self.painted)

    def _run_commands(self, block):
        for command in block.commands:
            words = shlex.split(command)
            if words[0] == "geodet" and not re.search(r"[|<>;&]", command):
                self.invoke(*words[1:], *self._more(words[1]))
            else:
                self._run_in_shell(command)

    def _more(self, command):
        """List the options that make a command small."""
        demo = ["--size", str(SIDES.get(page_name(self.path), SIDE))]
        return {"demo": demo, "train": TRAINING}.get(command, [])

    def _run_in_shell(self, command):
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def _run_python(self, block):
        source = "\n" * block.line + block.text  # errors name the page's own lines
        exec(compile(source, str(self.path), "exec"), self.names)

    def _check_toml(self, block):
        name = block.file or "unnamed.toml"
        (self.folder / name).write_text(block.text, encoding="utf-8")
        geodet.resolve_config(self.folder / name)


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("small_trainings")
@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_a_page_runs_from_top_to_bottom(path, painted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    page = Page(path, tmp_path, painted, Runner(tmp_path, monkeypatch, capsys))
    for block in read_blocks(path):
        if not block.reason:
            page.run(block)


def test_blocks_that_are_not_run_are_few_and_say_why():
    marked = Counter()
    for path in PAGES:
        for block in read_blocks(path):
            if block.reason:
                marked[page_name(path)] += 1
                print(f"{page_name(path)}:{block.line}: {block.reason}")
    assert marked == NOT_RUN


def test_every_block_has_a_language():
    for path in list_pages():
        fences = re.findall(r"^```(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert "" not in fences[::2], page_name(path)


def commands_of(path):
    return [
        shlex.split(command)
        for block in read_blocks(path)
        if block.language == "console"
        for command in block.commands
        if command.startswith("geodet ")
    ]


def test_pages_that_write_the_same_file_begin_in_a_new_folder():
    """Read in their order, the second page would stop: the file exists already."""
    writers = defaultdict(set)
    for path in PAGES:
        run = [b.commands for b in read_blocks(path) if b.language == "console" and not b.reason]
        for command in chain(*run):
            for option, name in pairwise(shlex.split(command)):
                if option in ("-o", "--preview", "--counts", "--report"):
                    writers[name].add(path)
    texts = {path: " ".join(path.read_text(encoding="utf-8").split()) for path in PAGES}
    for name, paths in writers.items():
        silent = [page_name(path) for path in paths if "new folder" not in texts[path]]
        assert len(silent) <= 1, f"{name}: {silent}"


def test_the_documentation_shows_every_command():
    shown = {words[1] for path in list_pages() for words in commands_of(path)}
    assert {
        command.name or command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
    } <= shown


def test_the_readme_is_short_and_begins_with_a_picture_and_two_commands():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 150
    picture = re.search(r"!\[[^]]+\]\((docs/images/[^)]+)\)", readme)
    assert (PROJECT / picture.group(1)).stat().st_size < 200_000
    assert read_blocks(PROJECT / "README.md")[0].commands == ["make demo", "make test"]
    assert picture.start() < readme.index("make demo")


def test_the_links_of_the_readme_lead_somewhere():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)", readme):
        assert link.startswith("https://") or (PROJECT / link).exists(), link


@pytest.mark.parametrize(
    "card", sorted((PROJECT / "geodet/models/bundled").glob("*.md")), ids=lambda path: path.stem
)
def test_the_command_of_a_card_is_understood(card):
    group = geodet_command_line()
    for words in (w for line in commands_of(card) for w in split_at_and(line)):
        context = group.commands[words[1]].make_context(words[1], list(words[2:]))
        chosen = context.params
        geodet.resolve_config(chosen["recipe"], settings=chosen["settings"] or ())


def geodet_command_line():
    from typer.main import get_command

    return get_command(app)


def split_at_and(words):
    text = shlex.join(words).replace("'&&'", "&&")
    return [shlex.split(part) for part in text.split(" && ")]


def test_the_cells_of_the_notebook_run_in_their_order(painted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    INPUTS["demo"](tmp_path, painted)
    notebook = json.loads((PROJECT / "docs" / "howto" / "notebook.ipynb").read_text("utf-8"))
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    plt.close("all")
