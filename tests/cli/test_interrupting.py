"""Ctrl-C while a server stalls or fails: a real process ends at once."""

import os
import signal
import subprocess
import sys
import time

import pytest
import rasterio.shutil
from cli_runner import tiny_path_fixture  # noqa: F401 - a fixture
from remote_server import Fault

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")

SMALL = ("--device", "cpu", "--chip-size", "64", "--overlap", "16")
WAITING = ("--set", "detect.stall_timeout=60", "--set", "detect.retry_delay=60")
PROGRAM = """
import sys
import geodet

try:
    geodet.detect(sys.argv[1], sys.argv[2], settings={"detect.stall_timeout": 60}, device="cpu")
except KeyboardInterrupt:
    print("back", flush=True)
"""


@pytest.fixture
def cog(make_scene):
    """Write a COG whose header is shorter than 100,000 bytes."""
    path = make_scene(width=600, height=500)
    rasterio.shutil.copy(path, path.with_name("cog.tif"), driver="COG", blocksize=256)
    path.unlink()
    return path.with_name("cog.tif")


def start(command, server, folder):
    """Start a process, and wait until the server fails it."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.is_struck.wait(120)
    time.sleep(0.3)  # GDAL waits for the rest
    return process


@pytest.mark.parametrize(
    ("kind", "first_byte"),
    [("stall", 0), ("stall-body", 100_000), ("503", 100_000)],
)
def test_ctrl_c_ends_a_run_that_waits_for_a_server(server, cog, tiny_path, kind, first_byte):
    before = set(cog.parent.iterdir())
    server.fault = Fault(kind, first_byte=first_byte)
    command = ["-m", "geodet", "detect", f"{server.url}/cog.tif", "-o", "out.gpkg"]
    process = start([*command, "-m", tiny_path, *SMALL, *WAITING], server, cog.parent)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert process.returncode == 130, errors
    assert errors.endswith("interrupted: no incomplete output is left\n")
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    assert set(cog.parent.iterdir()) == before


def test_ctrl_c_comes_back_to_a_program_that_calls_the_library(server, cog, tiny_path):
    server.fault = Fault("stall", first_byte=100_000)
    command = ["-c", PROGRAM, f"{server.url}/cog.tif", tiny_path]
    process = start(command, server, cog.parent)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "back\n"
    assert time.monotonic() - began < 20
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors == ""


HELD_UP = """
import time
from geodet_cli import process

with process.leaving_on_signals():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("cleaning up", flush=True)
        time.sleep(60)
"""


def test_a_second_ctrl_c_ends_the_process_at_once():
    command = [sys.executable, "-c", HELD_UP]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "cleaning up\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
        assert time.monotonic() - began < 20


def test_ctrl_c_ends_a_page_whose_scene_is_still_being_read(server, cog):
    server.fault = Fault("stall", first_byte=100_000)
    command = ["-m", "geodet", "view", f"{server.url}/cog.tif", "--no-open"]
    process = start(command, server, cog.parent)
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    time.sleep(0.5)  # the page is served
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
