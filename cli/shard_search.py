"""The option ``--job`` of ``geodet detect``: compute a shard of a job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from geodet.errors import SceneError

from .process import prepare_process
from .report import print_json

if TYPE_CHECKING:
    from geodet.jobs.pool_engines import PoolEngine
    from geodet.jobs.shard_run import ShardReport

__all__ = ["choose_devices", "choose_engine", "refuse_with_job", "require_scenes", "search_job"]

_WITH_JOB = {
    *("job", "typed_shard", "allow_mixed", "device", "workers", "processes"),
    *("engine", "ray_address"),
    *("as_json", "verbose", "quiet"),
}
"""Options allowed with ``--job``; all others are in the plan of the job."""
_OF_JOB = {"typed_shard": "--shard", "allow_mixed": "--allow-mixed"}


def refuse_with_job(ctx: typer.Context) -> None:
    """Refuse scenes and options that the plan of a job has fixed, or that merging takes."""
    for param in ctx.command.params:
        name = str(param.name)
        if name in ctx.params and name not in _WITH_JOB and _is_given(ctx, name):
            shown = "SCENES" if param.param_type_name == "argument" else param.opts[0]
            raise typer.BadParameter(
                f"cannot be used with --job: {_place_with_job(name)}", param_hint=shown
            )


def _place_with_job(name: str) -> str:
    """Return where an option of detect belongs when a job is searched."""
    from .merge import merge
    from .plan import plan

    if name in signature(merge).parameters:  # also --overwrite, since it is the output's
        return "give it to geodet merge"
    if name in signature(plan).parameters:
        return "give it to geodet plan"
    return "a job always continues where it stopped, and geodet merge writes its detections"


def require_scenes(
    ctx: typer.Context, scenes: Sequence[str] | None, outputs: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return scenes and outputs, which must be given unless a job is searched."""
    for name, option in _OF_JOB.items():
        if _is_given(ctx, name):
            raise typer.BadParameter("needs --job", param_hint=option)
    if not scenes:
        ctx.fail("Missing argument 'SCENES...'.")
    if not outputs:
        ctx.fail("Missing option '--output' / '-o'.")
    assert scenes
    assert outputs
    return list(scenes), list(outputs)


def choose_devices(name: str, processes: int, *, profile: bool = False) -> list[str]:
    """List the device of each process; the stages of several cannot be shown."""
    from geodet.jobs.device_lists import list_devices

    devices = list_devices(name, processes)
    if profile and len(devices) > 1:
        raise typer.BadParameter("cannot be used with several processes", param_hint="--profile")
    return devices


def choose_engine(
    name: str,
    address: str | None,
    devices: Sequence[str],
    *,
    model: Path,
    readers: int | None = None,
) -> PoolEngine | None:
    """Return what starts workers; None where this process searches."""
    if address is not None and name != "ray":
        raise typer.BadParameter("needs --engine ray", param_hint="--ray-address")
    from geodet.jobs.pool_engines import several_processes

    if name == "process":
        return several_processes(devices, prepare=prepare_process, readers=readers)
    from geodet.jobs.ray_actor import import_ray
    from geodet.jobs.ray_engine import RayEngine
    from geodet.models.device import choose_device

    import_ray()  # before any scene is opened
    actors = len(devices) if len(devices) > 1 else None
    return RayEngine(model, address, choose_device(devices[0]), actors)


def search_job(
    folder: Path,
    typed_shard: str | None,
    *,
    device: str,
    processes: int,
    engine: str,
    ray_address: str | None,
    readers: int | None,
    allow_mixed: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compute what is left of a shard of a job, and print what was done."""
    from geodet.jobs.shards import parse_shard, shard_from_environment

    shard = shard_from_environment(os.environ) if typed_shard is None else parse_shard(typed_shard)
    devices = choose_devices(device, processes)
    prepare_process(devices[0])
    from geodet.api.progress_bars import detect_bars
    from geodet.jobs.job_folder import open_job
    from geodet.jobs.pooled_shard import search_shard

    job = open_job(folder)
    workers = choose_engine(engine, ray_address, devices, model=job.model_path, readers=readers)
    try:
        with detect_bars(is_shown=not quiet) as progress:
            report = search_shard(
                job,
                shard,
                device=devices[0],
                engine=workers,
                readers=readers,
                allow_mixed=allow_mixed,
                progress=progress,
            )
    except SceneError as error:
        if error.report is not None:
            _print_shard(error.report, as_json=as_json, quiet=quiet)
        raise
    _print_shard(report, as_json=as_json, quiet=quiet)


def _print_shard(report: ShardReport, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(report)
        return
    from geodet.documents.values import counted

    left = report.bands - report.computed
    was = "was" if left == 1 else "were"
    known = f"; {left:,} of its bands {was} already computed, or cannot be read" if left else ""
    typer.echo(f"shard {report.shard}: {counted(report.computed, 'band')} computed{known}")
    if not quiet and report.computed:
        rate = report.megapixels / report.seconds
        typer.echo(f"{report.seconds:.1f} s, {rate:.2f} Mpx/s on {report.device}", err=True)


def _is_given(ctx: typer.Context, name: str) -> Any:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")
