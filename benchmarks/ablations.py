"""What each choice of the detector is worth: variants trained alike, several seeds, one table.

Every run sees the same number of chips. Its figures are added to a file at once, so a series that
was stopped goes on where it was, and the table holds what is there.

    python benchmarks/ablations.py [--group losses] [--seeds 3] [--chips 2000] [--data DIR]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lanes import Result, append_result, read_results, run_lanes, spread
from rich.console import Console
from rich.table import Table
from variants import GROUPS, TASKS, Run, iter_variants, plan_runs

DATA = Path(__file__).parents[2] / "shared" / "data"


def main() -> None:
    options = _parse()
    # Before torch is loaded, in the processes that inherit it.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    groups = options.group or list(GROUPS)
    runs = plan_runs(groups, seeds=options.seeds, chips=options.chips, init=options.init)
    runs = [run for run in runs if not options.task or run.task in options.task]
    known = read_results(options.results)
    left = [run for run in runs if known.get(run.key, {}).get("outcome") not in _FINAL]
    print(f"{len(runs)} runs, {len(runs) - len(left)} of them done before", flush=True)
    if not options.table:
        _train(left, options)
    _print(groups, runs, read_results(options.results))


_FINAL = ("trained", "diverged")  # a run that failed otherwise is tried again


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--group", action="append", choices=list(GROUPS))
    parser.add_argument("--task", action="append", choices=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--chips", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--init", default="", help="model whose backbone all runs start from")
    parser.add_argument("--results", type=Path, default=Path("ablations.jsonl"))
    parser.add_argument("--table", action="store_true", help="print what is there, train nothing")
    return parser.parse_args()


def _train(runs: Sequence[Run], options: argparse.Namespace) -> None:
    if not runs:
        return
    from train_variant import train_variant  # torch comes with it

    started = time.monotonic()

    def done(run: Run, result: Result) -> None:
        append_result(options.results, {"key": run.key, **run.to_dict(), **result})
        text = result.get("figures") or result.get("why", "")
        minutes = (time.monotonic() - started) / 60
        print(f"{minutes:6.1f} min  {run.key}: {result['outcome']} {text}", flush=True)

    work = partial(train_variant, data=str(options.data), threads=options.threads)
    run_lanes(runs, work, done, lanes=options.jobs)


def _print(groups: Sequence[str], runs: Sequence[Run], results: dict[str, Result]) -> None:
    from common import print_machine

    print_machine()
    console = Console(width=150)
    for group in groups:
        for task in GROUPS[group][0]:
            rows = [(name, s) for t, name, s in iter_variants(group) if t == task]
            if any(run.task == task for run in runs):
                console.print(_table(group, task, rows, runs, results))


def _table(
    group: str,
    task: str,
    rows: Sequence[tuple[str, tuple[str, ...]]],
    runs: Sequence[Run],
    results: dict[str, Result],
) -> Table:
    chips = runs[0].chips
    title = f"{group} on {task}: mean and standard deviation of the seeds, {chips} chips per run"
    table = Table(title=title)
    columns = TASKS[task].columns
    for column in ("", *columns, "seeds", "s per run"):
        table.add_column(column)
    for name, settings in rows:
        own = [run for run in runs if (run.task, run.settings) == (task, settings)]
        found = [results[run.key] for run in own if run.key in results]
        trained = [one for one in found if one["outcome"] == "trained"]
        cells = [spread([one["figures"].get(column) for one in trained]) for column in columns]
        seconds = spread([one["seconds"] for one in trained], digits=0)
        table.add_row(name, *cells, _count(found), seconds)
    return table


def _count(found: Sequence[Result]) -> str:
    """Count the outcomes: a run that diverged is a result as well."""
    outcomes = [one["outcome"] for one in found]
    return ", ".join(f"{outcomes.count(o)} {o}" for o in dict.fromkeys(outcomes)) or "none"


if __name__ == "__main__":
    main()
