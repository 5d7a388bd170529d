"""Several worker processes: the file of one process, whatever becomes of the workers."""

import pytest
from pretended_predictor import SMALL

from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.detection.journal import journal_folder
from geodet.errors import ConfigError, DeviceError, SceneError
from geodet.jobs import worker_pool
from geodet.jobs.device_lists import list_devices
from geodet.jobs.pool_engines import ProcessEngine
from geodet.jobs.pooled_run import PooledRun
from geodet.jobs.worker_pool import WorkerPool, divide_tasks
from geodet.jobs.worker_process import share_of_machine
from geodet.onnx.backend import load_model

CONFIG = SMALL.model_copy(update={"batch_size": 3, "workers": 1})
CPU = DetectOptions(device="cpu")


@pytest.fixture(autouse=True)
def _bands_of_one_date(bands_of_one_row, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def scenes(make_scene):
    return [
        make_scene("west.tif", width=200, height=420, seed=1),
        make_scene("east.tif", width=200, height=420, seed=2, origin=(500_060.0, 4_500_000.0)),
    ]


@pytest.fixture
def model(make_model):
    return load_model(make_model())


def run_pooled(
    scenes, output, model, *, each=lambda _run, _part: None, progress=lambda _: None, **options
):
    run = PooledRun(
        scenes,
        [output],
        model,
        CONFIG,
        DetectOptions(device="cpu", **options),
        ProcessEngine(["cpu", "cpu"]),
        progress=progress,
    )
    for part in run:
        each(run, part)
    return run.report


@pytest.fixture
def pools(monkeypatch):
    """List the pools that are started."""
    started = []

    class Noted(WorkerPool):
        def __init__(self, setups):
            super().__init__(setups)
            started.append(self)

    monkeypatch.setattr("geodet.jobs.pool_engines.WorkerPool", Noted)
    return started


def test_two_processes_write_the_file_of_one_also_when_one_is_killed(
    scenes, model, tmp_path, pools, monkeypatch, caplog
):
    detect_to_files(scenes, [tmp_path / "whole.gpkg"], model, CONFIG, CPU)
    killed = []
    receive = WorkerPool._receive

    def kill_once(self, worker):
        for event in receive(self, worker):
            if not killed and type(event).__name__ == "Done":
                killed.append(worker.process.pid)
                worker.process.kill()
            yield event

    monkeypatch.setattr(WorkerPool, "_receive", kill_once)
    steps = []
    report = run_pooled(scenes, tmp_path / "two.gpkg", model, progress=steps.append)
    assert [step.share for step in steps] == sorted(step.share for step in steps)
    assert steps[-1].parts == steps[-1].all_parts == sum(step.chips for step in steps)
    assert (steps[-1].share, steps[-1].failures) == (1.0, 0)
    assert (tmp_path / "two.gpkg").read_bytes() == (tmp_path / "whole.gpkg").read_bytes()
    assert sum(report.labels.values()) > 100
    assert len(killed) == 1
    assert "exit code -9: it is replaced" in caplog.text
    assert not journal_folder(tmp_path / "two.gpkg").exists()
    assert pools[0].processes == []


def test_an_interrupted_run_goes_on_with_any_number_of_processes(scenes, model, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    output = tmp_path / "out.gpkg"
    with pytest.raises(KeyboardInterrupt):
        run_pooled(scenes[:1], output, model, each=stop)
    assert list(journal_folder(output).rglob("*.part"))
    detect_to_files(scenes[:1], [output], model, CONFIG, CPU)
    detect_to_files(scenes[:1], [tmp_path / "whole.gpkg"], model, CONFIG, CPU)
    assert output.read_bytes() == (tmp_path / "whole.gpkg").read_bytes()


def test_a_scene_that_cannot_be_read_is_left_out(make_scene, scenes, model, tmp_path, monkeypatch):
    broken = make_scene("broken.tif", width=200, height=420, compress=None)
    steps = []
    plan = PooledRun._open_source

    def break_it(self, journal, stack):
        source = plan(self, journal, stack)
        broken.write_bytes(broken.read_bytes()[:2000])
        return source

    monkeypatch.setattr(PooledRun, "_open_source", break_it)
    with pytest.raises(SceneError, match="1 of 2 scenes could not be read") as failed:
        run_pooled([broken, scenes[0]], tmp_path / "out.gpkg", model, progress=steps.append)
    assert (steps[-1].share, steps[-1].failures) == (1.0, 1)
    assert failed.value.report.detections["west.tif"] > 0


def test_workers_that_die_again_and_again_end_the_run(scenes, model, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "_MOST_DEATHS", 1)
    hand = worker_pool._Worker.hand

    def hand_and_kill(self, task):
        self.process.kill()
        hand(self, task)

    monkeypatch.setattr(worker_pool._Worker, "hand", hand_and_kill)
    with pytest.raises(DeviceError, match="ended with the exit code -9"):
        run_pooled(scenes, tmp_path / "out.gpkg", model)
    assert not (tmp_path / "out.gpkg").exists()


def test_tasks_are_neighbouring_bands_of_one_scene():
    assert divide_tasks([(0, [1, 2, 4])], 2) == [(0, [1]), (0, [2]), (0, [4])]
    tasks = divide_tasks([(3, list(range(100))), (7, list(range(9)))], 2)
    assert [len(bands) for _, bands in tasks] == [*[6] * 16, 4, 6, 3]
    assert divide_tasks([], 4) == []


def test_devices_are_listed_by_name_and_by_process():
    assert list_devices("cuda:0,2", 2) == ["cuda:0", "cuda:0", "cuda:2", "cuda:2"]
    assert list_devices("auto") == ["auto"]
    with pytest.raises(DeviceError, match="unknown device 'cuda:x'"):
        list_devices("cuda:0,x")
    with pytest.raises(DeviceError, match="unknown device None"):
        list_devices(None)
    with pytest.raises(ConfigError, match="0 processes"):
        list_devices("cpu", 0)
    assert share_of_machine("cpu", 1000, None) == (1, None)
    assert share_of_machine("cuda:0", 1000, None) == (1, 2)
    assert share_of_machine("cuda:0", 4, 3)[1] == 3
