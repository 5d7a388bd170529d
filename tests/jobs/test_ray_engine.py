"""Actors of Ray write what one process writes; needs the package ray."""

import importlib.util
import signal

import pytest
from pretended_predictor import SMALL

from geodet.detection.detect import DetectOptions, detect_to_files
from geodet.errors import ConfigError, SceneError
from geodet.jobs import ray_actor
from geodet.jobs.pooled_run import begin_detection
from geodet.jobs.ray_actor import _check_reachable, import_ray
from geodet.jobs.ray_engine import RayEngine, RayPool, _join, _share_cores
from geodet.jobs.worker_process import Done, Failed, Ready
from geodet.onnx.backend import load_model

CONFIG = SMALL.model_copy(update={"batch_size": 3, "workers": 1})
CPU = DetectOptions(device="cpu")
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the package ray is not installed"
)


@pytest.fixture
def cluster():
    import ray

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield ray
    ray.shutdown()


@needs_ray
@pytest.mark.filterwarnings("default")
def test_actors_write_the_file_of_one_process_also_when_one_dies(
    cluster, make_scene, make_model, tmp_path, bands_of_one_row, monkeypatch, caplog
):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    scenes = [
        make_scene("west.tif", width=200, height=420, seed=1),
        make_scene("east.tif", width=200, height=420, seed=2, origin=(500_060.0, 4_500_000.0)),
    ]
    model = load_model(make_model())
    detect_to_files(scenes, [tmp_path / "whole.gpkg"], model, CONFIG, CPU)
    engine = RayEngine(make_model(), device="cpu", actors=2)
    run = begin_detection(scenes, [tmp_path / "ray.gpkg"], model, CONFIG, CPU, engine)
    killed = []
    receive = RayPool._receive

    def kill_once(self, call):
        actor, _ = self._calls[call]
        for event in receive(self, call):
            if not killed and isinstance(event, Done):
                killed.append(actor)
                cluster.kill(actor)
            yield event

    monkeypatch.setattr(RayPool, "_receive", kill_once)
    for _ in run:
        pass
    assert len(killed) == 1
    assert "a worker has died and is replaced" in caplog.text
    assert (tmp_path / "ray.gpkg").read_bytes() == (tmp_path / "whole.gpkg").read_bytes()
    assert sum(run.report.labels.values()) > 100


def test_ray_leaves_the_handler_of_sigterm_as_it_is():
    class Ray:
        def init(self, **_):
            signal.signal(signal.SIGTERM, lambda *_: None)

    def ours(*_):
        pass

    before = signal.signal(signal.SIGTERM, ours)
    try:
        _join(Ray(), None)
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_cluster_that_is_not_there_is_an_error_with_its_address():
    class Ray:
        def init(self, **_):
            raise ConnectionError("Could not find any running Ray instance.\nPlease specify one.")

    with pytest.raises(ConfigError, match=r"reached at auto: Could not find .* specify one") as no:
        _join(Ray(), "auto")
    assert "--ray-address" in no.value.hint


def test_without_ray_the_error_names_the_package(monkeypatch):
    monkeypatch.setattr(ray_actor.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="needs the package ray") as refused:
        import_ray()
    assert "geodet[ray]" in refused.value.hint


def test_a_machine_that_does_not_reach_the_scenes_says_so(make_scene):
    class Scene:
        def __init__(self, path):
            self.planned = self
            self.path = str(path)

    class Plan:
        def __init__(self, path):
            self.scenes = [Scene(path)]

    _check_reachable(Plan(make_scene()), "10.0.0.7")
    _check_reachable(Plan("/vsis3/bucket/scene.tif"), "10.0.0.7")
    with pytest.raises(SceneError, match=r"the machine 10\.0\.0\.7 cannot access /nowhere/a\.tif"):
        _check_reachable(Plan("/nowhere/a.tif"), "10.0.0.7")


class PretendedCall:
    """Answers at once."""

    def __init__(self, result):
        self.result = result


class PretendedActor:
    """Cannot read some tasks."""

    def __init__(self, number, broken):
        self.number, self.broken = number, broken
        self.start = self.search = self

    def remote(self, *task):
        if not task:
            return PretendedCall(Ready("cpu", {}))
        if task[0] in self.broken:
            return PretendedCall(Failed(task[0][0], f"actor {self.number} cannot read it", ""))
        return PretendedCall({})


class PretendedRay:
    """Starts actors, each with the tasks that it cannot read."""

    def __init__(self, broken):
        self.left = list(enumerate(broken))

    def remote(self, _):
        return self

    def options(self, **_):
        return PretendedFactory(self.left)

    def wait(self, calls, num_returns):
        return calls[:num_returns], calls[num_returns:]

    def get(self, call):
        return call.result


class PretendedFactory:
    """What Ray makes of a class: starts actors."""

    def __init__(self, left):
        self.left = left

    def remote(self, _):
        return PretendedActor(*self.left.pop(0))


@pytest.fixture
def run_tasks(monkeypatch):
    """Return a function that has two actors do tasks, and returns what became of them."""

    def run(broken, tasks):
        monkeypatch.setattr("geodet.jobs.ray_engine.import_ray", lambda: PretendedRay(broken))
        pool = RayPool(None, len(broken), {}, lambda _: None, leaves=False)
        pool.add(tasks)
        return [event for event in pool if not isinstance(event, Ready)]

    return run


def test_what_one_actor_cannot_read_another_tries(run_tasks):
    first, second = (0, [0, 1]), (1, [0])
    events = run_tasks([[first, second], []], [first, second])
    assert sorted(event.number for event in events if isinstance(event, Done)) == [0, 1]
    assert not any(isinstance(event, Failed) for event in events)


def test_a_scene_that_two_actors_cannot_read_is_left_out_once(run_tasks):
    tasks = [(0, [0]), (0, [1]), (0, [2]), (0, [3]), (0, [4]), (1, [0])]
    events = run_tasks([tasks[:5], tasks[:5]], tasks)
    assert [event for event in events if isinstance(event, Done)] == [Done(1, [0], 0)]
    assert {event.number for event in events if isinstance(event, Failed)} == {0}


def test_one_actor_alone_does_not_try_again(run_tasks):
    (event,) = run_tasks([[(0, [0])]], [(0, [0])])
    assert isinstance(event, Failed)


@pytest.mark.parametrize(
    ("cores", "most", "expected"),
    [
        ([16, 16], 2, (2, 16)),
        ([2], 2, (2, 1)),
        ([1, 8, 8, 8], 4, (3, 8)),  # a head of one core
        ([0, 8, 8], 3, (2, 8)),
        ([4, 64], 2, (2, 32)),
        ([0], 1, (1, 1)),
    ],
)
def test_actors_have_room_and_keep_most_cores_busy(cores, most, expected):
    assert _share_cores([{"Resources": {"CPU": float(one)}} for one in cores], most) == expected
