"""The command ``geodet detect``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from . import options as opt
from . import search_options as search
from .count_by import CountBy
from .found_report import print_detections, reporting
from .process import command_line, prepare_process
from .report import log_nothing, print_stages, set_up_logging
from .shard_search import choose_devices, choose_engine, refuse_with_job, require_scenes, search_job
from .standard_output import lines_on_stdout, split_outputs

if TYPE_CHECKING:
    from geodet.config import DetectConfig
    from geodet.detection.detect import DetectReport
    from geodet.detection.detect_options import DetectOptions
    from geodet.detection.layer_run import LayerRun
    from geodet.geometry.scene_detections import SceneDetections
    from geodet.jobs.pool_engines import PoolEngine

__all__ = ["EXAMPLES", "detect"]

EXAMPLES = """\
Examples:

  geodet detect scene.tif -o trees.gpkg
  geodet detect scene.tif -o trees.gpkg --preview trees.png
  geodet detect 'flights/*.tif' -m vehicles -o cars.gpkg --skip-uniform
  geodet detect scene.tif -o trees.geojson --aoi city.gpkg --geometry centroid
  geodet detect 'flights/*.tif' -m vehicles -o cars/
  geodet detect 16bit.tif -o trees.gpkg --bands 4,3,2 --score-threshold 0.4
  geodet detect photos/ -m animals.onnx -o animals.gpkg --preview looks/
  geodet detect scene.tif -o - | jq .properties.score
  geodet detect --job job/ --shard 3/64
"""


def detect(
    ctx: typer.Context,
    scenes: search.ScenesOrJob = None,
    typed_outputs: search.TypedOutputs = None,
    job: search.Job = None,
    typed_shard: search.ShardName = None,
    allow_mixed: search.AllowMixed = False,
    model: opt.ModelName = "urban-trees",
    device: search.Devices = "auto",
    processes: search.Processes = 1,
    engine: search.EngineName = "process",
    ray_address: search.RayAddress = None,
    preview: search.Preview = None,
    preview_format: search.PreviewFormat = "jpeg",
    page: search.Report = None,
    only_with_objects: search.OnlyWithObjects = False,
    counts: search.Counts = None,
    count_by: search.CountBy = None,
    aoi: opt.Aoi = None,
    bounds: opt.Bounds = None,
    bands: opt.Bands = None,
    format: opt.Format = None,
    geometry: opt.GeometryKind = "box",
    append: opt.Append = False,
    replace_scenes: opt.ReplaceScenes = False,
    style: opt.Style = False,
    tta: search.Tta = False,
    skip_uniform: search.SkipUniform = False,
    on_error: opt.OnError = None,
    require_crs: search.RequireCrs = False,
    gsd: search.SceneGsd = None,
    ground_altitude: search.GroundAltitude = None,
    asset: search.Asset = None,
    overwrite: opt.Overwrite = False,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart",
            help="Start from scratch instead of continuing an interrupted run.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
    discard: Annotated[
        bool,
        typer.Option(
            "--discard",
            help="Remove the files of an interrupted run beside the output, and exit.",
            rich_help_panel=opt.RUN,
        ),
    ] = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Print the time of each stage in seconds.",
            rich_help_panel=opt.MESSAGES,
        ),
    ] = False,
    recipe: opt.ConfigRecipe = None,
    settings: opt.Settings = None,
    score_threshold: opt.ScoreThreshold = None,
    iou_threshold: opt.IouThreshold = None,
    chip_size: opt.ChipSize = None,
    overlap: opt.Overlap = None,
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    as_json: opt.Json = False,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
) -> None:
    """Detect objects in scenes and write them to a GIS file.

    All scenes go to one layer, in the CRS of the first, with a polygon for each object, unless the
    output is a folder. An object where scenes overlap is written once to a layer. After an
    interruption, the same command continues the run.

    With --job it searches a shard of a job of `geodet plan`; `geodet merge` writes the detections.
    """
    set_up_logging(verbose=verbose, quiet=quiet)
    if job is not None:
        refuse_with_job(ctx)
        search_job(
            job,
            typed_shard,
            device=device,
            processes=processes,
            engine=engine,
            ray_address=ray_address,
            readers=workers,
            allow_mixed=allow_mixed,
            as_json=as_json,
            quiet=quiet,
        )
        return
    scenes, typed_outputs = require_scenes(ctx, scenes, typed_outputs)
    need_file = {
        "--json": as_json,
        "--append": append,
        "--style": style,
        "--discard": discard,
        "--count-by": count_by,
    }
    outputs, stream = split_outputs(typed_outputs, format=format, need_file=need_file)
    if discard:
        _discard(outputs[0], quiet=quiet)
        return
    config = search.resolve_search(
        recipe,
        settings,
        score_threshold,
        bands,
        iou_threshold=iou_threshold,
        chip_size=chip_size,
        overlap=overlap,
        batch_size=batch_size,
        workers=workers,
        tta=tta,
        skip_uniform=skip_uniform,
        on_error=on_error,
        require_crs=require_crs,
        gsd=gsd,
        ground_altitude=ground_altitude,
    )
    corners, crs = opt.parse_bounds(bounds)
    from geodet.detection.detect_options import DetectOptions

    devices = choose_devices(device, processes, profile=profile)
    options = DetectOptions(
        device=devices[0],
        aoi=aoi,
        bounds=corners,
        bounds_crs=crs,
        format=format,
        geometry=geometry,
        append=append,
        replace_scenes=replace_scenes,
        style=style,
        preview=preview,
        preview_format=preview_format,
        report=page,
        command=command_line(),
        only_with_objects=only_with_objects,
        image_counts=counts,
        overwrite=overwrite,
        restart=restart,
        profile=profile,
        asset=asset,
    )
    choose = partial(choose_engine, engine, ray_address, devices)
    run = _Run(scenes, outputs, stream, model, config, options)
    counting = run.check(count_by, as_json=as_json)
    report = run.search(choose, counting, as_json=as_json, quiet=quiet)
    to_stderr = stream is not None
    print_detections(report, counting, as_json=as_json, quiet=quiet, to_stderr=to_stderr)
    if profile:
        print_stages(report.stages, report.seconds)


@dataclass(frozen=True, slots=True)
class _Run:
    """Scenes to search, how, and where what is found goes."""

    scenes: list[str]
    """Scenes as they are typed."""
    outputs: list[Path]
    """Files to write."""
    stream: TextIO | None
    """Standard output, if it gets lines; a progress bar takes its place meanwhile."""
    model: str
    """Name or path of the model."""
    config: DetectConfig
    """Settings of the search."""
    options: DetectOptions
    """All that is not a setting."""

    def check(self, count_by: Path | None, *, as_json: bool) -> CountBy:
        """Check all paths and the model before anything slow is imported."""
        from geodet.detection.detect_options import check_paths
        from geodet.models.description import check_model

        # The same checks come again, with their warnings.
        with reporting(as_json), log_nothing():
            check_paths(self.scenes, self.outputs, self.options, self.config)
            check_model(self.model)
            return CountBy(count_by, self.outputs, self.options)

    def search(
        self,
        choose: Callable[..., PoolEngine | None],
        counting: CountBy,
        *,
        as_json: bool,
        quiet: bool,
    ) -> DetectReport:
        """Search the scenes, in the engine that ``choose`` returns for the file of the model."""
        prepare_process(self.options.device)
        from geodet.api.progress_bars import detect_bars
        from geodet.jobs.pooled_run import begin_detection
        from geodet.models.description import find_model
        from geodet.onnx.backend import load_model

        is_shown = not quiet and not (self.stream is not None and self.stream.isatty())
        with detect_bars(is_shown=is_shown) as progress, reporting(as_json) as report_to:
            model = load_model(self.model)
            engine = choose(model=find_model(self.model))
            where = self.scenes, self.outputs, model
            run = begin_detection(*where, self.config, self.options, engine, progress=progress)
            report_to(run.report)
            counting.follow(run)
            write = self._to_lines(run)
            try:
                with closing(iter(run)) as parts:
                    for part in parts:
                        write(part)
            finally:
                progress.finish(sum(run.report.labels.values()))
        return run.report

    def _to_lines(self, run: LayerRun) -> Callable[[SceneDetections], None]:
        if self.stream is None:
            return _write_nothing
        return lines_on_stdout(run, self.stream)


def _discard(output: Path, *, quiet: bool) -> None:
    """Remove what an interrupted run has left."""
    from geodet.detection.journal import discard_journal

    was_there = discard_journal(output)
    if not quiet and not was_there:
        typer.echo(f"{output} has no unfinished run", err=True)


def _write_nothing(_: SceneDetections) -> None:
    """Leave detections to the files."""
