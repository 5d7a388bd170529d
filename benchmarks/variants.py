"""What the ablations compare: a table of variants, and the runs that it makes, seed by seed.

Nothing here loads torch: the table is read by the parent of the training processes, and by a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from geodet.config import Config
from geodet.config.recipes import resolve_config

CONFIGS = Path(__file__).parents[1] / "configs"

# A network and a run so small that some sixty of them fit into an evening. Chips of 128 px: of the
# same pixels they make four times the steps, and at this length steps are what a run lacks.
LIGHT = (
    "model.channels=64",
    "model.head_convs=2",
    "model.backbone_level=4",
    "train.chip_size=128",
    "train.batch_size=8",
    "train.learning_rate=1e-3",
    "train.ema_decay=0.99",
)


@dataclass(frozen=True, slots=True)
class Task:
    """A data set and what is measured on it."""

    recipe: str
    """File in ``configs/``, whose settings hold where ``LIGHT`` does not change them."""
    columns: tuple[str, ...]
    """Figures of its table, the first one decides."""
    settings: tuple[str, ...] = ()
    """What else is changed for all variants."""


TASKS = {
    "urban-trees": Task("urban-trees.toml", ("F", "precision", "recall")),
    "thermal": Task("thermal.toml", ("AP", "AP50", "AP small", "AP medium", "AP large", "F")),
}
"""By the name of the folder in the data root."""

_NO_PRIOR = "train.prior=0.5"
_LOSS = "train.classification_loss="
# Section 4.1 and 5 of arXiv:1708.02002, for batches of 8 instead of 16: no clipping, no norms.
_PAPER_SGD = (
    "train.optimizer=sgd",
    "train.learning_rate=5e-3",
    "train.weight_decay=1e-4",
    "train.schedule=step",
    "train.clip_norm=1e9",
    "train.ema_decay=0.0",
    "model.head_norm=none",
)
_PAPER_LEVELS = (
    "model.backbone_level=5",
    "model.levels=[3, 7]",
    "model.anchor_sizes=[32.0, 64.0, 128.0, 256.0, 512.0]",
    "model.anchor_scales=[1.0, 1.2599, 1.5874]",
    "model.anchor_ratios=[0.5, 1.0, 2.0]",
)

GROUPS: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "losses": (
        ("thermal", "urban-trees"),
        {
            "focal loss": (f"{_LOSS}focal",),
            "cross entropy, no prior": (f"{_LOSS}cross_entropy", _NO_PRIOR),
            "cross entropy": (f"{_LOSS}cross_entropy",),
            "balanced cross entropy": (f"{_LOSS}balanced_cross_entropy",),
            "FL*": (f"{_LOSS}focal_star",),
            "OHEM": (f"{_LOSS}ohem",),
        },
    ),
    "levels": (
        ("thermal", "urban-trees"),
        {"P2 and up, small anchors": (), "P3 to P7, 32 to 512 px": _PAPER_LEVELS},
    ),
    "anchors": (
        ("thermal", "urban-trees"),
        {"of the recipe": (), "fitted": ("model.anchors=fit",)},
    ),
    "assigners": (
        ("thermal", "urban-trees"),
        {"IoU": (), "ATSS": ("train.assigner=atss",), "NWD": ("train.assigner=nwd",)},
    ),
    "boxes": (
        ("thermal", "urban-trees"),
        {"smooth L1": (), "L1": ("train.box_loss=l1",), "GIoU": ("train.box_loss=giou",)},
    ),
    "crops": (
        ("thermal",),
        {"80 % placed on an object": (), "30 % placed on an object": ("augment.object_share=0.3",)},
    ),
    "prior": (
        ("thermal",),
        {
            "SGD, focal loss": (*_PAPER_SGD, f"{_LOSS}focal"),
            "SGD, cross entropy, no prior": (*_PAPER_SGD, f"{_LOSS}cross_entropy", _NO_PRIOR),
            "SGD, cross entropy": (*_PAPER_SGD, f"{_LOSS}cross_entropy"),
        },
    ),
}
"""Group to (data sets, variant to settings); a variant without settings is the same run in all."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training: a variant, a seed and a budget."""

    task: str
    settings: tuple[str, ...]
    seed: int
    chips: int
    init: str = ""

    @property
    def key(self) -> str:
        """Name the run in the file of results; equal runs of two groups are one."""
        return " | ".join(
            [self.task, *self.settings, f"seed {self.seed}", f"{self.chips} chips", self.init]
        )

    def to_dict(self) -> dict[str, object]:
        """Return its entry in the file of results."""
        return asdict(self)

    def resolve(self) -> Config:
        """Make the configuration of the run; its epochs follow from the data."""
        task = TASKS[self.task]
        settings = [*LIGHT, *task.settings, *self.settings, f"train.seed={self.seed}"]
        config = resolve_config(CONFIGS / task.recipe, settings=settings)
        # The recipe's own start would favour what is like the model that it names.
        start = {"init": self.init or None}
        return config.model_copy(update={"train": config.train.model_copy(update=start)})


def iter_variants(group: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """List (data set, variant, settings) of a group."""
    tasks, variants = GROUPS[group]
    for task in tasks:
        for name, settings in variants.items():
            yield task, name, settings


def plan_runs(groups: Sequence[str], *, seeds: int, chips: int, init: str = "") -> list[Run]:
    """List the runs of some groups, each once, the first seed of all of them first.

    So a series that is stopped early still has complete rows of fewer seeds.
    """
    runs = [
        Run(task, settings, seed, chips, init)
        for seed in range(seeds)
        for group in groups
        for task, _, settings in iter_variants(group)
    ]
    return list(dict.fromkeys(runs))
