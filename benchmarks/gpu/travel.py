"""Train for places that no training saw: variants by leaving cities out, then the best on all.

Several trainings share the GPU as processes. First each variant is trained three times, each time
without two of the six cities, and scored on those. The changes that helped are joined, and what is
best is trained on all training places, with the validation fold for the threshold alone. Results
are written as they come; what the time does not allow is left out.

    python benchmarks/gpu/travel.py .gpu/data1.tar .gpu/data2.tar --site .gpu/site.tar.xz \
        --weights WEIGHTS.pth --results RESULTS --minutes 4.6

With the archive of thermal frames alone, variants of ``thermal`` are trained, with three seeds:

    python benchmarks/gpu/travel.py .gpu/thermal.tar --site .gpu/site.tar.xz \
        --weights WEIGHTS.pth --results RESULTS --minutes 4.6
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import queue
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from dataclasses import replace
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from run import _find_modules

PAIRS = (("chico", "palm_springs"), ("long_beach", "claremont"), ("riverside", "santa_monica"))
STRONG = {
    "augment.scale": 0.5,
    "augment.brightness": 0.4,
    "augment.contrast": 0.4,
    "augment.gamma": 0.4,
    "augment.tint": 0.25,
    "augment.blur": 0.4,
    "augment.noise": 0.3,
}
ENTROPY = {"train.classification_loss": "cross_entropy"}
SMOOTH = {"model.antialias": True}
PHOTOMETRY = {
    "haze": {"augment.haze": 0.4},
    "shading": {"augment.shading": 0.15},
    "coarsening": {"augment.coarsening": 0.3},
}
"""Variations of the pretrained network, joined where they help."""
LITE = {"model.backbone": "efficientnet_lite0"}
FRESH = {"train.init": None}
_TO_SCORE, _GRACE = 22.0, 15.0  # seconds
_LEAST_GAIN = 0.003  # of the mean F1 of the cities, for a change to be kept


def main() -> None:
    started = time.monotonic()
    options = _parse()
    options.results.mkdir(parents=True, exist_ok=True)
    _prepare(options.site)
    os.environ["OMP_NUM_THREADS"] = "2"
    from travel_data import read_labelled

    sets = read_labelled(options.archives)
    if options.tiny:
        sets = {name: one.every(9 if name == "vehicles" else 40) for name, one in sets.items()}
    counts = ", ".join(f"{len(one.images)} of {name}" for name, one in sets.items())
    print(f"images: {counts}; {time.monotonic() - started:.1f} s", flush=True)
    crew = Crew(options, sets, end=started + 60 * options.minutes)
    pretrained = FRESH | LITE | {"train.pretrained": str(options.weights)}
    if "thermal" in sets:
        _train_thermal(crew, pretrained)
    elif options.vehicles:
        _train_vehicles(crew, pretrained)
    else:
        _train_trees(crew, pretrained, options.variants)
    crew.stop()


def _train_thermal(crew: Crew, pretrained: dict[str, Any]) -> None:
    """Train thermal models on two sets of levels, with three seeds."""
    from travel_run import Task

    coarse = {
        "model.levels": [3, 4],
        "model.anchor_sizes": [12.0, 36.0],
        "model.anchor_scales": [1.0, 1.414, 2.0, 2.828],
    }
    variants = {"thermal": pretrained, "thermal, stride 8": pretrained | coarse}
    tasks = [
        Task(f"final {name}/seed {seed}", "thermal", changes, chips=60_000, seed=seed, side=192)
        for seed in range(3)
        for name, changes in variants.items()
    ]
    crew.run(tasks, until=1.0)


def _variants(pretrained: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the changes of each variant of the tree model."""
    random = {"base": {}, "strong": STRONG, "smooth": SMOOTH, "entropy": ENTROPY}
    found = {name: FRESH | changes for name, changes in (random | {"random weights": LITE}).items()}
    return found | {name: pretrained | one for name, one in ({"lite": {}} | PHOTOMETRY).items()}


def _train_vehicles(crew: Crew, pretrained: dict[str, Any]) -> None:
    """Train vehicles on one street, with two seeds."""
    from travel_run import Task

    variants = {"lite": pretrained, "base": {}, "lite strong": pretrained | STRONG}
    tasks = [
        Task(f"final vehicles, {name}/seed {seed}", "vehicles", changes, chips=8_000, seed=seed)
        for name, changes in variants.items()
        for seed in (0, 1)
    ]
    crew.run(tasks, until=1.0)


def _train_trees(crew: Crew, pretrained: dict[str, Any], names: list[str]) -> None:
    """Compare variants by leaving cities out, and train the best one on all places."""
    from travel_run import Task

    known = _variants(pretrained)
    variants = {name: known[name] for name in names}
    folds = [
        Task(f"{name}/{'+'.join(pair)}", "urban-trees", changes, held_out=pair)
        for name, changes in variants.items()
        for pair in PAIRS
    ]
    crew.run(folds, until=0.5)
    means = crew.means()
    least = means.get("lite", 1) + _LEAST_GAIN
    helped = [name for name in PHOTOMETRY if means.get(name, 0) > least]
    joined = pretrained | {k: v for name in helped for k, v in PHOTOMETRY[name].items()}
    print(f"{means}; kept: {helped}", flush=True)
    if len(helped) > 1:
        variants["joined"] = joined
        crew.run(
            [
                Task(f"joined/{'+'.join(pair)}", "urban-trees", joined, held_out=pair)
                for pair in PAIRS
            ],
            until=0.62,
        )
        means = crew.means()
    best = max((n for n in means if n in variants), key=means.__getitem__, default=names[0])
    crew.run(
        [
            Task(f"final {recipe}, {best}", recipe, variants[best], seconds=crew.seconds_left())
            for recipe in ("urban-trees", "urban-trees-nir")
        ]
        + _few_shots(Task, variants, best),
        until=1.0,
    )


def _prepare(site: Path | None) -> None:
    """Make geodet and the archive importable; the archive is unpacked once."""
    unpacked = Path(tempfile.gettempdir(), "geodet-site")
    names = Path(tempfile.mkdtemp(prefix="geodet-names-")) / "names"
    is_new = site is not None and not unpacked.is_dir()
    _find_modules(site if is_new else None, names, unpacked)
    if unpacked.is_dir() and str(unpacked) not in sys.path:
        sys.path.append(str(unpacked))


def _few_shots(make: Any, variants: dict[str, Any], best: str) -> list[Any]:
    """Return trainings on few chips of a city, from the model that has not seen it or from none."""
    tasks = []
    for pair, city in ((PAIRS[0], "chico"), (PAIRS[2], "santa_monica")):
        trained = _file(f"{best}/{'+'.join(pair)}")
        changes = {k: v for k, v in variants[best].items() if k != "train.pretrained"}
        changes |= {"train.ema_decay": 0.99}
        from_model = {"train.init": str(trained), "train.learning_rate": 3e-4}
        ways = (("adapted", changes | from_model), ("from nothing", changes))
        tasks += [
            make(
                f"few {city} {few} {way}",
                "urban-trees",
                settings,
                held_out=(city,),
                few=few,
                chips=4_000,
            )
            for few in (25, 100, 10, 50)
            for way, settings in ways
            if way != "adapted" or trained.is_file()
        ]
    return tasks


def _file(name: str) -> Path:
    """Return the place of a model that is not handed back."""
    plain = name.replace("/", "_").replace(" ", "_").replace(",", "")
    return Path(tempfile.gettempdir(), "geodet-travel", f"{plain}.safetensors")


class Crew:
    """Processes that train one task after another.

    Args:
        options: Of the command line.
        sets: Labelled images by name.
        end: When all must be done, by the monotonic clock.
    """

    def __init__(self, options: argparse.Namespace, sets: dict[str, Any], *, end: float) -> None:
        self._options, self._start, self._end = options, time.monotonic(), end
        context = multiprocessing.get_context("fork")
        self._tasks: Queue[Any] = context.Queue()
        self._results: Queue[Any] = context.Queue()
        self.rows: list[dict[str, Any]] = []
        given = (self._tasks, self._results, sets, options)
        self._workers = [
            context.Process(target=_work, args=given, daemon=True) for _ in range(options.workers)
        ]
        for worker in self._workers:
            worker.start()

    def run(self, tasks: list[Any], *, until: float) -> None:
        """Train tasks until all are done or a share of the time has passed."""
        limit = self._start + until * (self._end - self._start)
        if self._options.tiny:
            small = {"chips": 8, "batch_size": 2, "side": 64}
            tasks = [replace(t, seconds=min(t.seconds, 3.0), **small) for t in tasks]
        waiting, running = list(tasks), 0
        while waiting or running:
            while waiting and running < len(self._workers) and time.monotonic() < limit:
                self._tasks.put(waiting.pop(0))
                running += 1
            if not running or time.monotonic() > self._end + _GRACE:
                break
            try:
                row = self._results.get(timeout=1.0)
            except queue.Empty:
                continue
            running -= 1
            self._write(row)
        if waiting:
            print(f"left out: {[task.name for task in waiting]}", flush=True)

    def _write(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        with (self._options.results / "rows.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        shown = row.get("error") or _line(row)
        print(
            f"{time.monotonic() - self._start:6.1f} s  {row['task']['name']}: {shown}", flush=True
        )

    def means(self) -> dict[str, float]:
        """Return the mean F1 over all six cities of each variant whose folds are all done."""
        cities: dict[str, list[float]] = defaultdict(list)
        for row in self.rows:
            held_out = row["task"]["held_out"]
            if held_out and "error" not in row and not row["task"]["few"]:
                name = row["task"]["name"].partition("/")[0]
                cities[name] += [row[city]["f1"] for city in held_out]
        return {name: sum(f1) / 6 for name, f1 in cities.items() if len(f1) == 6}

    def seconds_left(self) -> float:
        """Return the time left to train, without that to score."""
        return max(self._end - time.monotonic() - _TO_SCORE, 10.0)

    def stop(self) -> None:
        """End the processes, even those that still train."""
        for worker in self._workers:
            worker.terminate()


def _line(row: dict[str, Any]) -> str:
    parts = [f"val {row['val']['f1']:.3f} at {row['val']['score_threshold']:.2f}"]
    if "ap50" in row:
        parts.append(f"AP50 {row['ap50']:.3f}, AP {row['ap']:.3f}")
    for city in row["task"]["held_out"]:
        own = row[f"{city}, own best"]["f1"]
        parts.append(f"{city} {row[city]['f1']:.3f} (own best {own:.3f})")
    speed, seconds = row["chips_per_second"], row["seconds"]
    return ", ".join(parts) + (
        f"; {speed:.0f} chips/s, {seconds['train']:.1f} + {seconds['score']:.1f} s"
    )


def _work(
    tasks: Queue[Any], results: Queue[Any], sets: dict[str, Any], options: argparse.Namespace
) -> None:
    import torch
    from travel_run import train_task

    torch.set_num_threads(2)
    while True:
        task = tasks.get()
        output = _file(task.name)
        if "final" in output.name:
            output = options.results / output.name
        try:
            row = train_task(task, sets, device=options.device, output=output)
            results.put(row)
        except Exception as error:  # the other tasks go on
            traceback.print_exc()
            told = f"{type(error).__name__}: {error}"
            results.put({"task": {"name": task.name, "held_out": ()}, "error": told})


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path, nargs="+")
    parser.add_argument("--site", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="of EfficientNet-Lite0")
    parser.add_argument("--results", type=Path, required=True)
    new = ["lite", "random weights", *PHOTOMETRY]
    parser.add_argument("--variants", nargs="+", choices=list(_variants({})), default=new)
    parser.add_argument("--vehicles", action="store_true", help="train these instead of trees")
    parser.add_argument("--minutes", type=float, default=4.6)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
