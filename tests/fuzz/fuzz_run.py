"""Fuzz every reader: ``python tests/fuzz/fuzz_run.py --cases 10000``.

``--case TARGET:SEED`` runs one case again, and ``--keep FOLDER`` leaves its files there.
"""

import argparse
import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).parent
SECONDS = 30
PER_CHILD = 250
TARGETS = (
    *("coco", "labelme", "via", "via_table", "xview", "data_yaml", "darknet", "image_sets", "yolo"),
    *("dota", "table", "voc", "cvat", "toml", "setting", "vector_labels", "vector_detections"),
    *("coordinates", "coco_results", "yolo_results", "description", "weights", "header", "onnx"),
    *("aoi", "list"),
)


@dataclass
class Found:
    """What became of some cases of a target."""

    codes: Counter
    """Exit codes."""
    wrong: list
    """Case and report of each outcome that is neither a result nor an error with a hint."""
    slowest: tuple
    """Seconds and name of the slowest case."""


def case_name(targets, case):
    """Return the target and the seed of a case, as ``--case`` takes it."""
    return f"{targets[case % len(targets)]}:{case // len(targets)}"


def run_cases(targets, first, last):
    """Run cases of some targets in turn, in a child; one that dies is followed by another."""
    found = Found(Counter(), [], (0.0, ""))
    while first < last:
        command = [sys.executable, str(HERE / "fuzz_child.py"), ",".join(targets)]
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, "1") | {"COLUMNS": "200", "TERM": "dumb"}
        with (
            tempfile.TemporaryFile("w+") as said,  # a pipe that nobody reads would fill
            subprocess.Popen(
                [*command, str(first), str(last)],
                stdout=subprocess.PIPE,
                stderr=said,
                stdin=subprocess.DEVNULL,
                text=True,
                env=environment,
            ) as child,
        ):
            first = _follow(child, said, targets, first, last, found)
    return found


def _read_lines(child, lines):
    for line in child.stdout:
        lines.put(line)
    lines.put("")


def _is_late(process, begun):
    """Whether a case has taken its processor time, or has waited for ten times as long."""
    processor, clock = begun
    with contextlib.suppress(psutil.Error):
        if sum(process.cpu_times()[:2]) - processor > SECONDS:
            return True
    return time.monotonic() - clock > 10 * SECONDS


def _clocks(process):
    processor = 0.0
    with contextlib.suppress(psutil.Error):  # it has ended, and its lines are still to be read
        processor = sum(process.cpu_times()[:2])
    return processor, time.monotonic()


def _follow(child, said, targets, first, last, found):
    """Read what a child says; return the first case that it did not run."""
    case, wrong, process, lines = first, None, psutil.Process(child.pid), queue.Queue()
    begun = _clocks(process)
    threading.Thread(target=_read_lines, args=(child, lines), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            if _is_late(process, begun):
                child.kill()
                child.wait()
                found.wrong.append([case_name(targets, case), f"took more than {SECONDS} s"])
                return case + 1
            continue
        if not line:
            break
        word, _, rest = line.partition(" ")
        if word == "|":
            wrong[1] += rest
            continue
        if word not in ("begin", "fine", "wrong"):
            continue
        fields = rest.split()
        case, begun = int(fields[0]), _clocks(process)
        if word != "begin":
            found.codes[fields[1]] += 1
            found.slowest = max(found.slowest, (float(fields[2]), case_name(targets, case)))
        if word == "wrong":
            wrong = [case_name(targets, case), ""]
            found.wrong.append(wrong)
    if child.wait():
        said.seek(0)
        report = f"died with {child.returncode}: {said.read()[-2000:]}"
        found.wrong.append([case_name(targets, case), report])
        return case + 1
    return last


def main():
    """Run the cases, and print the outcomes that are wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first case of each target")
    parser.add_argument("--targets", nargs="+", default=list(TARGETS))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no more cases after")
    parser.add_argument("--case", help="TARGET:SEED")
    parser.add_argument("--keep", type=Path, help="folder for the files of --case")
    options = parser.parse_args()
    if options.case:
        target, seed = options.case.split(":")
        if options.keep:
            sys.path[:0] = [str(HERE), str(HERE.parent)]
            from fuzz_child import write_case

            options.keep.mkdir(parents=True, exist_ok=True)
            print("geodet", *map(ascii, write_case(target, int(seed), options.keep)))
        jobs = [((target,), int(seed), int(seed) + 1)]
    else:
        first = options.seed * len(options.targets)
        last = first + options.cases
        starts = range(first, last, PER_CHILD)
        jobs = [(options.targets, n, min(n + PER_CHILD, last)) for n in starts]
    start, codes, wrong, slowest = time.monotonic(), Counter(), [], (0.0, "")
    end = start + 60 * options.minutes

    def run_one(job):
        return run_cases(*job) if time.monotonic() < end else None

    with ThreadPoolExecutor(options.workers) as pool:
        for found in pool.map(run_one, jobs):
            if found is None:
                continue
            codes += found.codes
            wrong += found.wrong
            slowest = max(slowest, found.slowest)
            for case, report in found.wrong:
                print(f"{case}\n{report}", flush=True)
    print(
        f"{codes.total():,} cases in {time.monotonic() - start:.0f} s: {codes['0']:,} results, "
        f"{codes['1']:,} errors with a hint, {len(wrong)} wrong; the slowest took "
        f"{slowest[0]:.1f} s ({slowest[1]})"
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
