"""One training of travel.py: data on the device, one loop, scores on held-out places."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batched_loss import batched_loss
from device_chips import DeviceChips
from travel_data import LabelledPixels

from geodet.config import Config
from geodet.config.recipes import resolve_config
from geodet.detection.predictor import build_predictor
from geodet.evaluation import evaluated_chips
from geodet.evaluation.average_precision import mean_ap, measure_ap
from geodet.evaluation.threshold_curves import Comparison, MatchCounts, best_counts, count_matches
from geodet.models.checkpoint import load_checkpoint, save_model
from geodet.models.description import ModelDescription
from geodet.models.inputs import standardise
from geodet.models.retinanet import RetinaNet
from geodet.training.objective import _choose_comparison, build_optimizer
from geodet.training.transfer import transfer_weights

__all__ = ["Task", "train_task"]

_LOWEST_SCORE = 0.05


@dataclass(frozen=True, slots=True)
class Task:
    """What to train, and what to score it on."""

    name: str
    """Variant and fold, which are its row."""
    recipe: str
    """A recipe of geodet's."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from the recipe's."""
    held_out: tuple[str, ...] = ()
    """Cities that do not train, and are scored; empty: the validation fold is scored."""
    years: tuple[str, ...] = ()
    """Years that train; empty: all."""
    few: int = 0
    """Chips of the held-out city that train instead; its other places are scored."""
    chips: int = 16_000
    """Chips to train on, unless seconds are given."""
    seconds: float = 0.0
    """Time to train, which then decides the learning rate; 0: the chips do."""
    batch_size: int = 16
    """Chips of a step."""
    seed: int = 0
    """Of weights and chips."""
    side: int = 256
    """Of a chip."""


def train_task(
    task: Task, sets: Mapping[str, LabelledPixels], *, device: str, output: Path
) -> dict[str, Any]:
    """Train, write the model file, and score it.

    Args:
        task: What to train.
        sets: Labelled images by name, see :func:`travel_data.read_labelled`.
        device: Where.
        output: The model file.
    """
    started = time.monotonic()
    config = resolve_config(task.recipe, settings={"train.seed": task.seed, **task.changes})
    data = sets[task.recipe if task.recipe in sets else "trees"]
    data = data.bands(4 if "nir" in task.recipe else 3)
    rest = data.where(lambda a: a["city"] not in task.held_out)
    train = rest.where(lambda a: a["fold"] == "train" and a["year"] in (task.years or a["year"]))
    val = rest.where(lambda a: a["fold"] == "val")
    if task.few:
        train, data = _share(data.where(lambda a: a["city"] in task.held_out), task)
    network, mean, std, steps, speed = _train(task, config, train, device)
    about = _describe(config, train, mean, std, chips=steps * task.batch_size)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_model(output, network, about)
    trained = time.monotonic()
    chosen = best_counts(_compare(output, val, config, device), lowest=_LOWEST_SCORE)
    figures: dict[str, Any] = {"chips_per_second": speed, "val": _numbers(chosen)}
    if config.match.by == "iou":
        results = _compare(output, val, config, device)
        average = mean_ap(measure_ap(results, len(val.classes), sides=config.match.size_bounds_px))
        figures |= {"ap": average.ap, "ap50": average.ap50}
    about = about.model_copy(update={"score_threshold": chosen.threshold})
    save_model(output, network, about.model_copy(update={"figures": _numbers(chosen)}))
    for city in task.held_out:
        part = data.where(lambda a, city=city: a["city"] == city)
        results = _compare(output, part, config, device)
        figures[city] = _numbers(count_matches(results, chosen.threshold))
        figures[f"{city}, own best"] = _numbers(best_counts(results, lowest=_LOWEST_SCORE))
    figures["seconds"] = {"train": trained - started, "score": time.monotonic() - trained}
    return {"task": asdict(task), "steps": steps, "images": len(train.images), **figures}


def _share(city: LabelledPixels, task: Task) -> tuple[LabelledPixels, LabelledPixels]:
    """Return a few chips of a city, and the chips of all its other places."""
    order = np.random.default_rng(task.seed).permutation(sorted({a["place"] for a in city.about}))
    chosen: set[str] = set()
    for place in order:
        chosen.add(str(place))
        train = city.where(lambda a: a["place"] in chosen)
        if len(train.images) >= task.few:
            break
    kept = (train.images[: task.few], train.pixels[: task.few], train.about[: task.few])
    return LabelledPixels(*kept, train.classes), city.where(lambda a: a["place"] not in chosen)


def _train(
    task: Task, config: Config, train: LabelledPixels, device: str
) -> tuple[RetinaNet, list[float], list[float], int, float]:
    settings = config.train
    torch.manual_seed(task.seed)
    network = RetinaNet(
        config.model,
        bands=len(train.pixels[0]),
        classes=len(train.classes),
        weights=settings.pretrained or None,
        prior=settings.prior,
    )
    if settings.init:
        transfer_weights(network, settings.init, classes=train.classes)
    network.to(device).to(memory_format=torch.channels_last).train()
    averaged = [t.detach().clone() for t in _averageable(network)]
    optimizer = build_optimizer(network, settings)
    compare = _choose_comparison(settings)
    chips = DeviceChips(
        train.images, train.pixels, config.augment, size=task.side, device=device, seed=task.seed
    )
    mean, std = _statistics(train)
    order = np.zeros(0, np.int64)
    begun, step = time.monotonic(), 0
    while (progress := _progress(task, step, begun)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(progress, settings.warmup)
        if len(order) < task.batch_size:
            order = np.concatenate([order, chips.order()])
        chosen, order = order[: task.batch_size], order[task.batch_size :]
        batch = chips.batch(chosen)
        images = standardise(batch.pixels, batch.valid, mean, std)
        with torch.autocast(device, torch.bfloat16):
            outputs = network(images)
        loss = batched_loss(outputs, batch, settings, compare)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        now = min(settings.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(averaged, _averageable(network), 1 - now)
        step += 1
    with torch.no_grad():
        for own, value in zip(_averageable(network), averaged, strict=True):
            own.copy_(value)
    speed = step * task.batch_size / (time.monotonic() - begun)
    return network.eval().cpu(), mean, std, step, speed


def _progress(task: Task, step: int, begun: float) -> float:
    """Return the share of the training that is done."""
    if task.seconds:
        return (time.monotonic() - begun) / task.seconds
    return step / max(2, round(task.chips / task.batch_size))


def _rate(progress: float, warmup: float) -> float:
    """Return the factor of the learning rate: a linear rise, then a cosine to zero."""
    if progress < warmup:
        return (progress + 1e-3) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def _averageable(network: RetinaNet) -> list[torch.Tensor]:
    return [t for t in network.state_dict().values() if t.is_floating_point()]


def _statistics(train: LabelledPixels) -> tuple[list[float], list[float]]:
    """Measure the bands of at most 500 images."""
    step = max(1, len(train.pixels) // 500)
    values = np.concatenate(
        [p.reshape(len(p), -1)[:, ::97] for p in train.pixels[::step]], axis=1
    ).astype(np.float64)
    return values.mean(axis=1).tolist(), values.std(axis=1).tolist()


def _compare(model: Path, data: LabelledPixels, config: Config, device: str) -> list[Comparison]:
    evaluated_chips.read_chip = data.reader()  # type: ignore[assignment]
    predictor = build_predictor(
        load_checkpoint(model), config.detect, device, score_threshold=_LOWEST_SCORE
    )
    found = evaluated_chips.predict_images(predictor, data.images, (), config.detect)
    return evaluated_chips.compare_images(found, data.images, config.match)


def _describe(
    config: Config, train: LabelledPixels, mean: list[float], std: list[float], *, chips: int
) -> ModelDescription:
    sides = np.concatenate([(i.boxes[:, 2:] - i.boxes[:, :2]).max(axis=1) for i in train.images])
    bands = len(mean)
    return ModelDescription(
        name=config.train.model_name,
        description=config.train.description,
        architecture=config.model,
        classes=train.classes if all(train.classes) else (_only_class(config),),
        bands=config.data.band_names or ("red", "green", "blue", "nir")[:bands],
        dtype="uint8",
        mean=tuple(mean),
        std=tuple(std),
        low=(0.0,) * bands,
        high=(255.0,) * bands,
        gsd=train.images[0].gsd,
        object_px=float(np.percentile(sides, 99)),
        score_threshold=0.3,
        iou_threshold=config.detect.iou_threshold or 0.5,
        training={
            "data": config.train.data_name,
            "train_images": len(train.images),
            "train_objects": sum(len(image.boxes) for image in train.images),
            "chips": chips,
            "seed": config.train.seed,
        },
    )


def _only_class(config: Config) -> str:
    return config.data.one_class or config.data.class_name


def _numbers(counts: MatchCounts) -> dict[str, float]:
    return {
        "f1": counts.f1,
        "precision": counts.precision,
        "recall": counts.recall,
        "score_threshold": counts.threshold,
    }
