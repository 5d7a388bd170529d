"""The comparison with other detectors on one scene: the scene, the processes, the arithmetic."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from factories_rasters import OBJECT
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator

import geodet
from geodet.config import DetectConfig, MatchConfig
from geodet.detection.predictor import build_predictor
from geodet.geometry.windows import Window
from geodet.models.checkpoint import load_checkpoint
from geodet.raster.scene import Scene
from geodet.tilesets.labels import LabelledImage

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


@pytest.fixture(autouse=True)
def _import_as_scripts_do(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def make_labelled(make_scene, count=3, side=32):
    """Return labelled chips, each with as many objects as its own number and one."""
    images = []
    for number in range(count):
        objects = [(4 + 9 * i, 6, 8 + 9 * i, 10 + number) for i in range(number + 1)]
        path = make_scene(f"{number}.tif", width=side, height=side, objects=objects, seed=number)
        boxes = np.array(objects, float)
        labels = np.full(len(boxes), number)
        ignored = np.array([[0.0, 0, 1, 1]])[: number % 2]
        images.append(
            LabelledImage(path, side, side, boxes, labels, ignored, "here", "val", 0.6 + 1e-4)
        )
    return images


def test_a_mosaic_repeats_chips_with_their_labels(make_scene):
    from mosaic import make_mosaic

    images = make_labelled(make_scene)
    scene = make_mosaic(images, (1, 2, 3), 64)
    for number, (x, y) in zip([0, 1, 2, 0], [(0, 0), (32, 0), (0, 32), (32, 32)], strict=True):
        with rasterio.open(images[number].path) as raster:
            np.testing.assert_array_equal(scene.pixels[:, y : y + 32, x : x + 32], raster.read())
    assert scene.labels.tolist() == [0, 1, 1, 2, 2, 2, 0]
    for x1, y1, x2, y2 in scene.boxes.astype(int):
        assert (scene.pixels[:, y1:y2, x1:x2] == OBJECT).all()
    assert scene.ignored.tolist() == [[32, 0, 33, 1]]
    assert scene.corner(32).boxes.tolist() == images[0].boxes.tolist()


def test_a_mosaic_is_written_at_its_resolution(make_scene, tmp_path):
    from mosaic import make_mosaic

    scene = make_mosaic(make_labelled(make_scene), (1, 2, 3), 64)
    with Scene(scene.write(tmp_path / "mosaic.tif")) as written:
        chip = written.read(Window(0, 0, 64, 64))
        assert written.geobox.gsd == pytest.approx(0.6, rel=1e-3)
    np.testing.assert_array_equal(chip.pixels, scene.pixels)


@pytest.mark.parametrize(
    ("changes", "side", "message"),
    [
        ({"width": 16}, 64, "not squares of one size"),
        ({"gsd": 0.7}, 64, "not of one resolution"),
        ({}, 48, "48 px is not a multiple of the chips' 32 px"),
    ],
)
def test_a_mosaic_refuses_chips_that_do_not_fit(make_scene, changes, side, message):
    from mosaic import make_mosaic

    first, second, _ = make_labelled(make_scene)
    with pytest.raises(ValueError, match=message):
        make_mosaic([first, dataclasses.replace(second, **changes)], (1, 2, 3), side)


def make_runs(name, seconds):
    from others.contest import Run

    peak = {"peak_mib": 100.0 + len(name), "objects": 3}
    return [Run(name, i, time, **peak) for i, time in enumerate(seconds)]


def test_a_row_is_summarised_by_hand_computed_ratios():
    from others.contest import Run, summarise

    base = make_runs("geodet", [2.0, 4.0, 1.0])
    row = summarise(make_runs("peer", [6.0, 8.0, 5.0]), base, 12_000_000)
    assert (row.seconds, row.megapixels, row.peak_mib) == (6.0, 2.0, 104.0)
    assert row.times_slower == (3.0, 2.0, 5.0)  # 3, 2 and 5 of the same rounds
    once = summarise(make_runs("slow", [7.0]), base, 12_000_000)
    assert once.times_slower == (3.5, 3.5, 3.5)
    failed = [Run("peer", 0, failure="no memory")]
    assert summarise(failed, base, 12_000_000) is None
    assert summarise(make_runs("peer", [6.0]), failed, 12_000_000) is None


STUB = """
import sys
sys.path.insert(0, {folder!r})
from timed import measure, read_order
order = read_order()
{body}
"""
FOUND = "rows = [[*{box}, 0.9, 0]]\n"
FOUND += (
    "measure(order, lambda path: path, lambda path: rows if 'scene' in path else [], ['numpy'])"
)


@pytest.fixture
def make_contest(make_scene, tmp_path):
    """Return a contest on a scene with one object at 4, 6, 8, 10, and rows of scripts for it."""
    from mosaic import make_mosaic
    from others.contest import Contest, Entrant

    def make_entrant(name, body, **settings):
        script = tmp_path / f"{name}.py"
        script.write_text(STUB.format(folder=str(FOLDER / "others"), body=body))
        return Entrant(name, script, Path(sys.executable), **settings)

    scene = make_mosaic(make_labelled(make_scene, count=1), (1, 2, 3), 32)
    sizes = {"threads": 1, "memory_gib": 1.0, "warm_side": 16}
    return Contest(scene, MatchConfig(), tmp_path, **sizes), make_entrant


def test_detectors_are_scored_and_compared_with_the_first(make_contest):
    contest, make_entrant = make_contest
    first = contest.run(make_entrant("first", FOUND.format(box=[4, 6, 8, 10])), 0)
    shifted = contest.run(make_entrant("shifted", FOUND.format(box=[14, 6, 18, 10])), 0)
    body = FOUND.format(box=[4, 6, 8, 10])
    untrained = contest.run(make_entrant("untrained", body, is_trained=False), 0)
    assert (first.objects, first.f1, first.agreement) == (1, 1.0, 1.0)
    assert (shifted.objects, shifted.f1, shifted.agreement) == (1, 0.0, 0.0)
    assert (untrained.objects, untrained.f1, untrained.agreement) == (1, None, None)
    assert first.versions == {"numpy": np.__version__}
    assert 0 <= first.seconds < 60


def test_a_detector_that_fails_is_a_row(make_contest):
    contest, make_entrant = make_contest
    run = contest.run(make_entrant("failing", "raise RuntimeError('no such tile')"), 0)
    assert run.failure == "exit status 1: RuntimeError: no such tile"
    greedy = contest.run(make_entrant("greedy", "bytearray(2**31)"), 0)
    assert greedy.failure == "exit status 1: MemoryError"
    assert (greedy.seconds, greedy.peak_mib, greedy.f1) == (None, None, None)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="elsewhere getrusage is asked")
def test_the_peak_of_a_process_is_its_own():
    sys.path.insert(0, str(FOLDER / "others"))
    import timed

    sys.path.pop(0)
    code = "import timed; before = timed.peak_mib(); some = bytearray(b'1') * 2**26\n"
    code += "print(before, timed.peak_mib())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER / "others", capture_output=True, check=True
    )
    before, after = map(float, done.stdout.split())
    assert 64 <= after - before < 72
    assert before < 64 < timed.peak_mib()  # this process, which has torch


def test_a_network_like_torchvisions_finds_what_geodet_finds(make_model, make_scene):
    from others.as_torchvision import Plain, Tuned

    path, scene = make_model(), make_scene(width=64, height=64, objects=[(20, 20, 30, 30)])
    config = DetectConfig(precision="float32")
    with Scene(scene) as opened:
        chip = opened.read(Window(0, 0, 64, 64))
    (wanted,) = build_predictor(load_checkpoint(path), config, "cpu")([chip])
    image = torch.from_numpy(chip.pixels) / 255
    assert len(wanted.detections) > 5
    for network in (Plain(load_checkpoint(path)), Tuned(load_checkpoint(path), config)):
        (found,) = network([image])
        np.testing.assert_allclose(found["boxes"].numpy(), wanted.detections.boxes, atol=1e-3)
        np.testing.assert_allclose(found["scores"].numpy(), wanted.detections.scores, atol=1e-5)


class Backbone(torch.nn.Module):
    out_channels = 8

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 8, 3, stride=16)

    def forward(self, pixels):
        return {"0": self.layer(pixels)}


def test_an_untrained_network_gets_as_many_candidates_as_it_is_asked_for():
    from others.untrained import shift_scores

    torch.manual_seed(0)
    anchors = AnchorGenerator(((16,),), ((1.0,),))
    sizes = {"min_size": 64, "max_size": 64}
    network = RetinaNet(Backbone(), 2, anchor_generator=anchors, **sizes).eval()
    image = torch.rand(3, 64, 64)
    shift_scores(network, image, candidates=5, threshold=0.3)
    pixels, _ = network.transform([image])
    with torch.no_grad():
        logits = network.head([*network.backbone(pixels.tensors).values()])["cls_logits"]
    best = logits.sigmoid().amax(dim=2)
    assert int((best >= 0.3 - 1e-5).sum()) == int((best >= 0.3 - 1e-3).sum()) == 5


def test_rows_are_chosen_by_name_beside_the_first():
    from others.entrants import Setting, choose, list_entrants

    pythons = dict.fromkeys(("sahi", "deepforest"), Path("python"))
    setting = Setting(Path("model"), 512, 64)
    rows = list(list_entrants(setting, pythons, Path()))
    assert len({row.name for row in rows}) == len(rows) == 9
    assert all(row.script.is_file() for row in rows)
    chosen = choose(rows, ["deepforest", "BATCHES"])
    assert [row.name for row in chosen] == [
        "geodet",
        "SAHI, same network, batches of 8",
        *("DeepForest, single", "DeepForest, batch", "DeepForest, window"),
    ]
    assert choose(rows, []) == rows
