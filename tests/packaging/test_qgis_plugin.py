"""The QGIS plugin: its table is current, and it runs a command as QGIS needs it."""

import ast
import importlib.util
import json
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from geodet.files.version import __version__
from geodet_cli.options import parse_bounds

FOLDER = Path(__file__).parents[2] / "integrations" / "qgis"
PLUGIN = FOLDER / "geodet_provider"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


command = load(PLUGIN / "command.py")
outputs = load(PLUGIN / "outputs.py")
TABLE = json.loads((PLUGIN / "options.json").read_text(encoding="utf-8"))
DETECT = next(one for one in TABLE if one["name"] == "detect")


class Feedback:
    """Keeps what a command shows; cancels after a line."""

    def __init__(self, cancel_after=None):
        self.lines, self.shares, self.commands = [], [], []
        self.cancel_after = cancel_after

    def isCanceled(self):  # noqa: N802
        return self.cancel_after in self.lines

    def setProgress(self, share):  # noqa: N802
        self.shares.append(share)

    def pushInfo(self, text):  # noqa: N802
        self.lines.append(text)

    def pushCommandInfo(self, text):  # noqa: N802
        self.commands.append(text)


def run(code, feedback=None, **options):
    feedback = feedback or Feedback()
    command.run_command([sys.executable, "-c", code], feedback, **options)
    return feedback


def test_the_table_is_that_of_the_command_line():
    make = load(FOLDER / "make_options.py")
    written = (PLUGIN / "options.json").read_text(encoding="utf-8")
    assert written == make.to_text(make.read_commands()), "run integrations/qgis/make_options.py"


def test_the_plugin_imports_qgis_and_the_standard_library_alone():
    known = {*sys.stdlib_module_names, "qgis", "processing"}
    for path in PLUGIN.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= known
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] in known


def test_the_zip_holds_the_plugin_with_the_version_of_geodet(tmp_path):
    path = load(FOLDER / "make_plugin.py").write_zip(tmp_path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        about = archive.read("geodet_provider/metadata.txt").decode()
    assert {name.split("/")[0] for name in names} == {"geodet_provider"}
    assert {"geodet_provider/__init__.py", "geodet_provider/options.json"} <= set(names)
    assert f"\nversion={__version__}\n" in about


def test_values_become_words_of_the_command_line():
    values = {
        "scenes": ["/a b.tif", "-c.tif"],
        "output": "/x.gpkg",
        "tta": True,
        "iou_threshold": 0.4,
    }
    values |= {"model": "urban-trees", "bands": "", "chip_size": None, "skip_uniform": False}
    assert command.build_words(DETECT, values) == [
        *("detect", "--output=/x.gpkg", "--tta", "--iou-threshold=0.4", "--overwrite"),
        *("--", "/a b.tif", "-c.tif"),
    ]


@pytest.mark.parametrize("name", ["detect", "suggest", "tile", "evaluate", "train"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3,4", "1,2,3,4"),
        ("1,2,3,4,EPSG:4326", "1,2,3,4,EPSG:4326"),
        ("500000.5,500100,-7,8.25 [EPSG:32633]", "500000.5,-7,500100,8.25,EPSG:32633"),
        (" -1.5e-05 , 2 ,3,4[ USER:100001 ]", "-1.5e-05,3,2,4,USER:100001"),
        ("1,2,3 [EPSG:4326]", "1,2,3 [EPSG:4326]"),
    ],
)
def test_an_extent_as_qgis_writes_it_becomes_bounds(name, text, words):
    entry = next(one for one in TABLE if one["name"] == name)
    if not any(option["name"] == "bounds" for option in entry["options"]):
        pytest.skip("has no bounds")
    assert f"--bounds={words}" in command.build_words(entry, {"bounds": text})


def test_the_command_takes_the_bounds_of_an_extent():
    text = command.to_bounds("10.5,12,-3,4 [EPSG:4326]")
    assert parse_bounds(text) == ((10.5, -3, 12, 4), "EPSG:4326")


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("/a b/c.tif", "/a b/c.tif"),
        ("/a.tif|option:OVERVIEW_LEVEL=1", "/a.tif"),
        ("/a.tif|option:OVERVIEW_LEVEL=1|option:NUM_THREADS=2|credential:K=v", "/a.tif"),
        ("/vsicurl/https://x.org/a.tif?b=1|authcfg=abc1234", "/vsicurl/https://x.org/a.tif?b=1"),
        ("GPKG:/a.gpkg:ortho|option:ZOOM_LEVEL=3", "GPKG:/a.gpkg:ortho"),
        ("/odd|name.tif", "/odd|name.tif"),
    ],
)
def test_a_raster_is_named_without_what_qgis_adds_to_its_path(source, path):
    words = command.build_words(DETECT, {"scenes": [source], "output": "x.gpkg"})
    assert words[-1] == path


def test_a_file_whose_name_looks_like_an_option_is_kept(tmp_path):
    path = tmp_path / "a.tif|option:X=1"
    try:
        path.touch()
    except OSError:
        pytest.skip("needs a drive that takes | in names")
    assert command.to_path(str(path)) == str(path)


@pytest.mark.parametrize(
    ("path", "given", "name"),
    [
        ("/a/loaded trees.gpkg", "Detections", "loaded trees"),
        ("/a/trees.v2.fgb", "", "trees.v2"),
        ("/tmp/x/output.gpkg", "Detections", "Detections"),
        ("/a/trees.gpkg", "Chosen in a model", "Chosen in a model"),
    ],
)
def test_a_layer_is_named_after_its_file_unless_someone_chose_a_name(path, given, name):
    option = next(one for one in DETECT["options"] if one["name"] == "output")
    assert outputs.name_layer(path, option, given) == name


def test_the_layers_of_errors_are_read_where_there_are_errors(tmp_path):
    folder = tmp_path / "50 % #1?"
    assert outputs.error_layers(folder)[1] == []
    folder.mkdir()
    with closing(sqlite3.connect(folder / "errors.gpkg")) as package, package:
        package.execute("CREATE TABLE gpkg_contents (table_name TEXT, data_type TEXT)")
        rows = [("misses", "features"), ("styles", "attributes"), ("extra", "features")]
        package.executemany("INSERT INTO gpkg_contents VALUES (?, ?)", rows)
    assert outputs.error_layers(folder) == (folder / "errors.gpkg", ["misses", "extra"])


def test_a_missing_program_is_said_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(command.CommandError, match=r"no program geodet.*pipx install geodet"):
        command.find_program("")
    assert command.find_program(sys.executable) == [sys.executable]


def test_bars_become_progress_and_lines_are_shown():
    code = (
        "import sys; w = sys.stderr.write; "
        r"w('\x1b[32mscene.tif ━━━╸ 12.5 %  3.1 Mpx/s\x1b[0m\r\x1b[2K━━━━ 5/10 steps\n'); "
        "print('24 x tree')"
    )
    feedback = run(code)
    assert sorted(feedback.shares) == [12.5, 50.0, 100]
    assert feedback.lines == ["24 x tree"]


def test_the_text_of_a_failure_is_shown():
    with pytest.raises(command.CommandError, match="error: no such file\nhint: look again"):
        run("print('error: no such file'); print('hint: look again'); raise SystemExit(1)")


def test_a_cancelled_command_may_clean_up(tmp_path):
    trace = tmp_path / "cleaned"
    code = (
        "import pathlib, time\n"
        "try:\n    print('begun', flush=True); time.sleep(30)\n"
        f"except KeyboardInterrupt:\n    pathlib.Path({str(trace)!r}).touch()"
    )
    # Under a shell's & Python ignores SIGINT; the command restores what people have.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + code
    with pytest.raises(command.CommandError, match="cancelled"):
        run(code, Feedback(cancel_after="begun"))
    assert trace.exists()


def test_a_command_that_does_not_end_is_killed():
    code = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "print('begun', flush=True); time.sleep(30)"
    )
    with pytest.raises(command.CommandError, match="cancelled"):
        run(code, Feedback(cancel_after="begun"), patience=0.3)


def test_a_command_that_no_signal_reaches_is_killed_at_once(monkeypatch):
    send = subprocess.Popen.send_signal

    def send_some(process, number):
        if number == signal.SIGINT:
            raise OSError(6, "The handle is invalid")
        send(process, number)

    monkeypatch.setattr(subprocess.Popen, "send_signal", send_some)
    began = time.monotonic()
    with pytest.raises(command.CommandError, match="cancelled"):
        run("import time; print('begun', flush=True); time.sleep(60)", Feedback("begun"))
    assert time.monotonic() - began < 30


def test_the_command_gets_nothing_of_the_python_of_qgis(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/usr")
    monkeypatch.setenv("PROJ_LIB", "/usr/share/proj")
    kept = command.environment()
    assert not {"PYTHONHOME", "PROJ_LIB"} & kept.keys()
    assert kept["PATH"]
