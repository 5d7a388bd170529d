"""Beside the peers: one scene of real chips, each detector in its own process and environment.

The rows are run in turn. The time is from the file to the result, after a small scene to warm up:
a GeoPackage for geodet, boxes in memory for the others. It leaves out starting Python, imports and
loading the model; the peak of the memory includes them. All get the same cores and threads.

SAHI and GeoDeep run geodet's bundled network with its own weights, as it is for SAHI and as an
ONNX file for GeoDeep, on windows of one size and with the model's thresholds. Nothing is
downloaded, so the rows of the peers' own networks have random weights: their speed counts and what
they find does not. They are slow, and run in the first round only.

Each peer has an environment of its own, and is left out where its python is not given:

    python -m venv ENV1; ENV1/bin/pip install sahi torch torchvision 'THIS_REPOSITORY[onnx]'
    python -m venv ENV2; ENV2/bin/pip install deepforest
    python -m venv ENV3; ENV3/bin/pip install geodeep
    python benchmarks/peers.py --sahi-python ENV1/bin/python --deepforest-python ENV2/bin/python \
        --geodeep-python ENV3/bin/python [--side 2048] [--repeats 3] [--results FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import print_machine
from mosaic import make_mosaic
from others.chips import read_dataset
from others.contest import Contest, Entrant, Run, summarise
from others.entrants import PEERS, Setting, choose, list_entrants
from rich.console import Console
from rich.table import Table

from geodet.models.description import find_model, load_description

DATA = Path(__file__).parents[2] / "shared" / "data" / "urban-trees"
WARM_SIDE = 512
_BANDS = (1, 2, 3)


def main() -> None:
    parser = _parser()
    options = parser.parse_args()
    model = find_model(options.model).resolve()
    if (bands := len(load_description(model).bands)) != len(_BANDS):
        parser.error(f"{model.name} wants {bands} bands, and the peers take red, green and blue")
    setting = Setting(model, options.chip_size, options.overlap)
    dataset = read_dataset(options.data, "urban-trees")
    try:
        scene = make_mosaic(dataset.val, _BANDS, options.side)
    except ValueError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = list(list_entrants(setting, _pythons(options), folder))
        entrants = choose(rows, options.only)
        contest = Contest(
            scene,
            dataset.config.match,
            folder,
            threads=options.threads,
            memory_gib=options.memory,
            warm_side=WARM_SIDE,
        )
        runs = list(_run_all(contest, entrants, options))
    _print(options, len(scene.boxes), entrants, runs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="the tileset urban-trees")
    parser.add_argument("--side", type=int, default=2048, help="of the scene, in pixels")
    parser.add_argument("--model", default="urban-trees", help="of red, green and blue")
    parser.add_argument("--chip-size", type=int, default=512, help="of rows on equal windows")
    parser.add_argument("--overlap", type=int, default=64, help="of rows on equal windows")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", type=float, default=12.0, help="GiB that a process may take")
    parser.add_argument("--only", action="append", default=[], help="part of a row's name")
    parser.add_argument("--results", type=Path, help="JSON-lines file to add the runs to")
    for peer in PEERS:
        parser.add_argument(f"--{peer}-python", type=Path, help=f"of an environment with {peer}")
    return parser


def _pythons(options: argparse.Namespace) -> dict[str, Path]:
    """Return the environments that exist, and print which do not."""
    found = {}
    for peer in PEERS:
        python: Path | None = getattr(options, f"{peer}_python")
        if python is not None and python.is_file():
            found[peer] = python.absolute()  # a link is what makes it the environment's
        else:
            print(f"{peer}: skipped, give --{peer}-python of an environment that has it")
    return found


def _run_all(
    contest: Contest, entrants: Sequence[Entrant], options: argparse.Namespace
) -> Iterator[Run]:
    for round_ in range(options.repeats):
        for entrant in entrants:
            if round_ and entrant.is_slow:
                continue
            run = contest.run(entrant, round_)
            row = _settings(options) | run.to_dict()
            print(json.dumps(row), flush=True)
            if options.results:
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            yield run


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    names = ("model", "side", "threads", "chip_size", "overlap")
    return {name: getattr(options, name) for name in names}


def _print(
    options: argparse.Namespace, labelled: int, entrants: Sequence[Entrant], runs: Sequence[Run]
) -> None:
    print_machine()
    table = Table(
        title=f"{options.side} x {options.side} px, {labelled} labelled objects, "
        f"{Path(options.model).stem}, {options.threads} threads, median of {options.repeats}"
    )
    columns = ("", "version", "seconds", "Mpx/s", "time relative to geodet", "peak MiB")
    for column in (*columns, "objects", "F1", "F1 against geodet's detections"):
        table.add_column(column)
    of_row = {one.name: [run for run in runs if run.name == one.name] for one in entrants}
    base = of_row[entrants[0].name]
    for name, own in of_row.items():
        table.add_row(name, *_cells(own, base, options.side**2))
    Console(width=150).print(table)
    for failed in (run for run in runs if run.failure):
        print(f"{failed.name}: {failed.failure}")


def _cells(runs: Sequence[Run], base: Sequence[Run], pixels: int) -> tuple[str, ...]:
    figures = summarise(runs, base, pixels)
    if figures is None:
        return ("-", "failed")
    median, least, most = figures.times_slower
    spread = f" ({least:.2f} to {most:.2f})" if len(runs) > 1 else ""
    last = runs[-1]
    return (
        next(iter(last.versions.values())),
        f"{figures.seconds:.2f}",
        f"{figures.megapixels:.2f}",
        f"{median:.2f}{spread}",
        f"{figures.peak_mib:.0f}",
        str(last.objects),
        *("-" if value is None else f"{value:.3f}" for value in (last.f1, last.agreement)),
    )


if __name__ == "__main__":
    main()
