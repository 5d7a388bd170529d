"""The tables that the benchmarks run by, and the arithmetic that only they have."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import nms

import geodet
from geodet.config import Config
from geodet.geometry.boxes import Detections

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


@pytest.fixture(autouse=True)
def _import_as_scripts_do(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def make_boxes(count, seed=0):
    source = np.random.default_rng(seed)
    corners = source.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corners, corners + source.uniform(8, 16, (count, 2))], axis=1)
    return Detections(boxes, source.random(count), np.zeros(count)).ranked()


def cases():
    sys.path.insert(0, str(FOLDER))
    from variants import GROUPS, iter_variants

    sys.path.pop(0)
    return [(group, *variant) for group in GROUPS for variant in iter_variants(group)]


@pytest.mark.parametrize(("group", "task", "name", "settings"), cases())
def test_every_variant_is_a_valid_configuration(group, task, name, settings):
    from variants import Run

    config = Run(task, settings, seed=2, chips=100, init="urban-trees").resolve()
    assert isinstance(config, Config)
    assert (config.train.seed, config.train.init) == (2, "urban-trees")
    assert Run(task, settings, seed=2, chips=100).resolve().train.init is None


@pytest.mark.parametrize(("task", "group"), sorted({(t, g) for g, t, _, _ in cases()}))
def test_the_variants_of_a_table_differ(group, task):
    from variants import Run, iter_variants

    of_table = [settings for t, _, settings in iter_variants(group) if t == task]
    configs = {Run(task, s, 0, 100).resolve().model_dump_json() for s in of_table}
    assert len(configs) == len(of_table) > 1


def test_a_plan_holds_each_run_once_and_the_first_seed_first():
    from variants import GROUPS, plan_runs

    runs = plan_runs(list(GROUPS), seeds=3, chips=100)
    assert len(runs) == len({run.key for run in runs})
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    assert {run.seed for run in runs} == {0, 1, 2}
    assert len([run for run in runs if not run.settings]) == 3 * 2  # shared by all groups


def test_the_parent_of_the_runs_does_not_load_torch():
    code = "import ablations, sys; sys.exit('torch' in sys.modules or 'rasterio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=FOLDER, check=False).returncode == 0


def test_results_survive_a_line_that_was_cut_short(tmp_path):
    from lanes import append_result, read_results

    path = tmp_path / "results.jsonl"
    assert read_results(path) == {}
    append_result(path, {"key": "a", "outcome": "failed"})
    append_result(path, {"key": "a", "outcome": "trained"})
    append_result(path, {"key": "b", "outcome": "diverged"})
    path.write_text(path.read_text() + json.dumps({"key": "c"})[:-3])
    outcomes = {key: result["outcome"] for key, result in read_results(path).items()}
    assert outcomes == {"a": "trained", "b": "diverged"}


@pytest.mark.parametrize("iou", [0.2, 0.5])
def test_suppression_agrees_with_torchvision(iou):
    from fusing import suppress

    found = make_boxes(80)
    boxes, scores = torch.from_numpy(found.boxes), torch.from_numpy(found.scores)
    wanted = found.select(nms(boxes, scores.double(), iou).numpy())
    np.testing.assert_array_equal(suppress(found, iou=iou).boxes, wanted.boxes)


def test_soft_suppression_lowers_by_hand_computed_factors():
    from fusing import soft_nms

    # IoU 1/3 of the first two; the third is apart.
    boxes = [[0, 0, 2, 2], [1, 0, 3, 2], [9, 9, 10, 10]]
    found = Detections(np.array(boxes, float), np.array([0.9, 0.6, 0.3]), np.zeros(3))
    linear = soft_nms(found, iou=0.3, lowest=0.0)
    np.testing.assert_allclose(linear.scores, [0.9, 0.4, 0.3], rtol=1e-6)
    gaussian = soft_nms(found, sigma=0.5, lowest=0.0)
    np.testing.assert_allclose(gaussian.scores, [0.9, 0.6 * np.exp(-2 / 9), 0.3], rtol=1e-6)
    assert len(soft_nms(found, iou=0.3, lowest=0.35)) == 2


def test_fusion_weighs_boxes_by_their_scores():
    from fusing import fuse_boxes

    boxes = [[0, 0, 10, 10], [2, 0, 12, 10], [50, 50, 60, 60]]
    found = Detections(np.array(boxes, float), np.array([0.75, 0.25, 0.5]), np.zeros(3))
    merged = fuse_boxes(found, iou=0.5)
    np.testing.assert_allclose(merged.boxes, [[0.5, 0, 10.5, 10], [50, 50, 60, 60]])
    np.testing.assert_allclose(merged.scores, [0.5, 0.5])
    np.testing.assert_allclose(fuse_boxes(found, iou=0.5, keeps_best=True).scores, [0.75, 0.5])


@pytest.mark.parametrize("name", ["suppress", "soft_nms", "fuse_boxes"])
def test_merging_nothing_gives_nothing(name):
    import fusing

    options = {"iou": 0.5} | ({"lowest": 0.1} if name == "soft_nms" else {})
    assert len(getattr(fusing, name)(Detections.empty(), **options)) == 0


def test_the_ways_to_suppress_that_are_timed_agree():
    import merge_speed

    for found in (merge_speed._scatter(600), merge_speed._bad_cases(300)["one over all"]):
        kept = merge_speed._suppress(found)
        ways = (merge_speed._rows, merge_speed._strtree, merge_speed._torchvision)
        assert [way(found) for way in ways] == [kept] * 3


def test_writing_compares_both_ways(capsys, monkeypatch):
    import writing

    arguments = ["writing.py", "--count", "200", "--part", "60", "--runs", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    writing.main()
    printed = capsys.readouterr().out
    for line in ("geodet, streamed", "pyogrio, Arrow", "ratio of seconds", "ratio of CPU s"):
        assert line in printed


def test_a_mosaic_of_chips_shows_each_of_them_again_and_again(tmp_path):
    import rasterio
    from factories_tilesets import paint_geotiff
    from long_run import list_chips, make_mosaic

    for number in range(5):
        path = paint_geotiff(tmp_path / "chips" / f"{number}.tif", width=16, height=16, bands=3)
        with rasterio.open(path, "r+") as chip:
            chip.write(np.full((3, 16, 16), 10 + number, np.uint8))
    paint_geotiff(tmp_path / "chips" / "other.tif", width=8, height=8, bands=3)
    chips = list_chips(tmp_path / "chips")
    assert [chip.stem for chip in chips] == ["0", "1", "2", "3", "4"]
    with rasterio.open(make_mosaic(tmp_path, chips, 80)) as scene:
        assert (scene.width, scene.height, scene.count) == (80, 80, 3)
        values = scene.read(2)[8::16, 8::16]
    block = np.array([[10, 11], [12, 13]])  # two by two of five
    np.testing.assert_array_equal(values, np.tile(block, (3, 3))[:5, :5])


def test_a_part_of_a_tileset_has_the_lines_of_its_images(tmp_path):
    from factories_tilesets import paint_image, write
    from long_run import copy_part

    for name in "abcdef":
        paint_image(tmp_path / "set" / "images" / f"{name}.png")
    lines = "".join(f"{name}.png,1,2\n" for name in "abcdef")
    write(tmp_path / "set" / "trees.csv", f"image,x,y\n{lines}")
    part = copy_part(tmp_path / "set", tmp_path / "part", 3)
    assert sorted(file.name for file in (part / "images").iterdir()) == ["a.png", "c.png", "e.png"]
    assert (part / "trees.csv").read_text() == "image,x,y\na.png,1,2\nc.png,1,2\ne.png,1,2\n"


def test_every_table_is_made_once_and_a_failure_is_said(tmp_path, monkeypatch, capsys):
    import every_table

    (tmp_path / "fails.py").write_text("raise SystemExit(3)")
    (tmp_path / "works.py").write_text("import sys; print('a table', *sys.argv[1:])")
    monkeypatch.setattr(every_table, "HERE", tmp_path)
    monkeypatch.setattr(every_table, "TABLES", {"a": ("fails.py",), "b": ("works.py", "--side")})
    monkeypatch.setattr(sys, "argv", ["every_table.py", "--folder", str(tmp_path / "out")])
    for said in ("done, ", "is there"):
        with pytest.raises(SystemExit, match="True"):
            every_table.main()
        why, *lines = capsys.readouterr().out.splitlines()
        assert why.endswith("returned non-zero exit status 3.")
        assert lines[0].startswith("a: failed, ")
        assert lines[1].startswith(f"b: {said}")
        assert lines[2] == "failed: a"
    assert (tmp_path / "out" / "b.txt").read_text() == "a table --side\n"
    assert not (tmp_path / "out" / "a.txt").exists()


def test_every_table_is_of_a_benchmark_that_is_there():
    import every_table

    assert all((FOLDER / words[0]).is_file() for words in every_table.TABLES.values())


WORDS = {
    ("active-learning", "active_learning"): [
        "chosen by",
        "F1, mean and standard deviation",
        "gain over the base on the same test set",
        "F1 at the best threshold of the test set",
    ],
    ("agreement", "agreement"): ["columns and rows left out"],
    ("choices", "second_boxes"): ["suppression", "precision", "recall", "second boxes"],
    ("eight-bits", "precisions"): ["relative to its bare forward pass"],
    ("jobs", "jobs"): ["overhead", "CPU per detection"],
    ("jobs", "opening"): ["ms per scene", "CPU ms per scene"],
    ("many-scenes", "joining"): ["order of scenes", "us per object", "MB at the peak"],
    ("many-scenes", "geoparquet"): ["us per object", "MB before", "MB at the peak"],
    ("memory", "memory"): ["relative to the first row", "above the loaded model"],
    ("peers", "peers"): ["time relative to geodet", "F1", "F1 against geodet's detections"],
    ("speed", "evaluation"): ["px per tree"],
    ("speed", "gpu/step_whole"): ["relative to the network alone", "GPU busy, %"],
    ("speed", "looking"): ["step", "CPU seconds"],
    ("speed", "looking_in_browser"): ["objects drawn"],
    ("speed", "merge_speed"): ["distribution", "method", "µs per box"],
}
"""Page and script to the headers of columns that both have."""


@pytest.mark.parametrize("names", WORDS, ids=lambda names: names[1])
def test_a_script_heads_its_columns_as_its_page_does(names):
    page, script = (FOLDER / f"{names[0]}.md", FOLDER / f"{names[1]}.py")
    lines = page.read_text("utf-8").splitlines()
    heads = [line for line, below in pairwise(lines) if below.startswith(("|-", "| -"))]
    cells = {cell.strip() for line in heads for cell in line.split("|")}
    text = script.read_text("utf-8")
    for word in WORDS[names]:
        assert word in cells
        assert f'"{word}"' in text
