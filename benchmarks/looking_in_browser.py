"""How fast the page of `geodet view` is with a million objects, in Chromium.

The files are those of `looking.py`. The command and the browser run on the same cores, and without
a graphics card the browser draws in software. Shown are the seconds from the start of the command
to the address, the picture of the scene's objects, and the overview; then the milliseconds from a
move of the slider to the next frame of the map, and to the whole picture, at three zooms.

    python benchmarks/looking_in_browser.py [--count 1000000] [--side 20480] [--moves 20]
"""

from __future__ import annotations

import argparse
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import print_machine
from looking import paint_scene, scatter_boxes
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SLOW_MS = 300_000
MOVE = """(score) => new Promise((done) => {
  const slider = document.getElementById('objects-score');
  const start = performance.now();
  let frame = null;
  geodetMap.once('render', () => { frame = performance.now() - start; });
  slider.value = score;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
  const handled = performance.now() - start;
  geodetMap.once('idle', () => done([handled, frame, performance.now() - start]));
})"""
ZOOM = """(steps) => new Promise((done) => {
  const start = performance.now();
  geodetMap.jumpTo({zoom: geodetMap.getZoom() + steps});
  geodetMap.once('idle', () => done(performance.now() - start));
})"""
DRAWN = """() => geodetMap.queryRenderedFeatures(
  {layers: ['objects-cells', 'objects-dots', 'objects-hits']}).length"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--side", type=int, default=20_480)
    parser.add_argument("--moves", type=int, default=20)
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paint_scene(folder / "scene.tif", options.side)
        scatter_boxes(folder / "found.gpkg", options.side, options.count)
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=list(FLAGS)
            )
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(SLOW_MS)
            began = time.perf_counter()
            with _viewing(folder) as address:
                rows = [("the address is printed", time.perf_counter() - began)]
                page.goto(address)
                page.wait_for_selector("body.ready")
                rows.append(("the objects are drawn", time.perf_counter() - began))
                page.wait_for_selector("#busy", state="hidden")
                rows.append(("the overview is read", time.perf_counter() - began))
                _print_start(rows, options.count)
                _print_moves(page, options.moves)
            chromium.close()


@contextmanager
def _viewing(folder: Path) -> Iterator[str]:
    """Start the command; yield the address of its page."""
    command = ["-m", "geodet", "view", "scene.tif", "found.gpkg", "--no-open"]
    with subprocess.Popen(
        [sys.executable, *command], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)


def _print_start(rows: list[tuple[str, float]], count: int) -> None:
    table = Table(title=f"{count:,} objects, from the start of the command")
    table.add_column("until")
    table.add_column("seconds", justify="right")
    for what, seconds in rows:
        table.add_row(what, f"{seconds:.1f}")
    Console(width=100).print(table)


def _print_moves(page: Any, moves: int) -> None:
    columns = ("zoom", "objects drawn", "zooming, ms", "handled", "next frame", "whole picture")
    table = Table(title=f"{moves} moves of the slider, ms, median and maximum")
    for column in columns:
        table.add_column(column, justify="right")
    for steps in (0, 3, 3):
        zooming = page.evaluate(ZOOM, steps) if steps else 0.0
        drawn, zoom = page.evaluate(DRAWN), page.evaluate("() => geodetMap.getZoom()")
        found = [page.evaluate(MOVE, 0.1 + 0.8 * move / moves) for move in range(moves)]
        cells = (
            f"{statistics.median(one):.0f}, {max(one):.0f}" for one in zip(*found, strict=True)
        )
        table.add_row(f"{zoom:.1f}", f"{drawn:,}", f"{zooming:.0f}", *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
