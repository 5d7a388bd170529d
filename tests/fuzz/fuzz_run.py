"""Fuzz every reader: ``python tests/fuzz/fuzz_run.py --cases 10000``.

``--case TARGET:SEED`` runs one case again, and ``--keep FOLDER`` leaves its files there.
"""

import argparse
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

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
        child = subprocess.Popen(
            [*command, str(first), str(last)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        first = _follow(child, targets, first, last, found)
    return found


def _follow(child, targets, first, last, found):
    """Read what a child says; return the first case that it did not run."""
    begun, wrong = first, None
    deadline = time.monotonic() + 4 * SECONDS  # on a busy machine it takes long to start
    lines = selectors.DefaultSelector()
    lines.register(child.stdout, selectors.EVENT_READ)
    while True:
        if not lines.select(max(0.0, deadline - time.monotonic())):
            child.kill()
            child.communicate()
            found.wrong.append((case_name(targets, begun), f"took more than {SECONDS} s"))
            return begun + 1
        line = child.stdout.readline()
        if not line:
            break
        word, _, rest = line.partition(" ")
        if word == "|":
            wrong[1] += rest
            continue
        if word not in ("begin", "fine", "wrong"):
            continue
        fields = rest.split()
        begun, deadline = int(fields[0]), time.monotonic() + SECONDS
        if word != "begin":
            found.codes[fields[1]] += 1
            found.slowest = max(found.slowest, (float(fields[2]), case_name(targets, begun)))
        if word == "wrong":
            wrong = [case_name(targets, begun), ""]
            found.wrong.append(wrong)
    _, said = child.communicate()
    if child.returncode:
        found.wrong.append(
            (case_name(targets, begun), f"died with {child.returncode}: {said[-2000:]}")
        )
        return begun + 1
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
