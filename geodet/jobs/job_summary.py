"""The progress of a job: its bands, those that are computed, and scenes that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from geodet.jobs.job_folder import open_job
from geodet.jobs.planning import describe_plan

__all__ = ["JobSummary", "summarise_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """A job, as far as it has come.

    Example:
        >>> report = geodet.plan(scene, folder=folder / "job", sample_seconds=0)
        >>> about = geodet.info(folder / "job")
        >>> about.bands, about.computed, about.is_complete
        (1, 0, False)
    """

    folder: Path
    """The folder of the job."""
    scenes: int
    """Scenes to search."""
    megapixels: float
    """Pixels to search, each once, at the resolution of detection."""
    bands: int
    """Bands of windows in which the scenes are searched."""
    computed: int
    """Bands that are computed."""
    complete_scenes: int
    """Scenes that are completely computed."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why scenes could not be read to their end, by name."""
    model: str = ""
    """Name of the model."""
    device: str = ""
    """Kind of device that the job was started on, or planned for."""
    precision: str = ""
    """Numeric precision of the network; empty before the first shard."""
    crs: dict[str, int] = field(default_factory=dict)
    """Number of scenes by CRS."""

    @property
    def is_complete(self) -> bool:
        """Whether ``geodet merge`` finds all parts."""
        return self.computed == self.bands


def summarise_job(folder: str | Path) -> JobSummary:
    """Summarise how far a job is; neither its scenes nor a GPU are needed.

    Args:
        folder: The folder that ``geodet plan`` wrote.

    Raises:
        OutputError: It is not the folder of a job, or its plan is broken.
        ModelFileError: Its model is broken.
    """
    job = open_job(Path(folder))
    planned = describe_plan(job.plan)
    known = job.read_device() or {"device": job.plan.device, "precision": ""}
    missing = [len(job.list_missing(number)) for number in range(planned.scenes)]
    failures = {
        scene.planned.name: job.read_failure(number) for number, scene in enumerate(job.plan.scenes)
    }
    return JobSummary(
        folder=Path(folder),
        scenes=planned.scenes,
        megapixels=planned.megapixels,
        bands=planned.bands,
        computed=planned.bands - sum(missing),
        complete_scenes=missing.count(0),
        failed={name: reason for name, reason in failures.items() if reason},
        model=job.model.description.name,
        device=known["device"],
        precision=known["precision"],
        crs=planned.crs,
    )
