"""How often the scenes of a run are opened: each opening of a remote scene costs round trips."""

from collections import Counter

import pytest
from pretended_predictor import SMALL

from geodet.detection.detect import DetectionRun, DetectOptions, detect_to_files
from geodet.errors import ModelFileError, SceneError

ALONE = SMALL.model_copy(update={"workers": 1})
FAR = 100  # metres between scenes that show no common ground


def make_row(make_scene, count, **options):
    return [
        make_scene(f"{n:02}.tif", seed=n, origin=(500_000 + FAR * n, 4_500_000), **options)
        for n in range(count)
    ]


def openings(handles):
    return Counter(source.dataset.name.split("/")[-1] for source in handles)


def are_closed(handles):
    return all(source.dataset.closed for source in handles)


@pytest.mark.parametrize("kind", [{"pixel_size": 0.3}, {"bands": 4}, {"dtype": "uint16"}])
def test_a_scene_alone_is_opened_once_with_its_preview(
    make_scene, tiny_model, tmp_path, handles, kind
):
    options = DetectOptions(device="cpu", preview=tmp_path / "view.png")
    detect_to_files([make_scene(**kind)], [tmp_path / "out.gpkg"], tiny_model, ALONE, options)
    assert (tmp_path / "view.png").exists()
    assert openings(handles) == {"scene.tif": 1}
    assert are_closed(handles)


@pytest.mark.parametrize("workers", [2, 3])
def test_each_reader_thread_has_at_most_one_handle(make_scene, tiny_model, handles, workers):
    config = SMALL.model_copy(update={"workers": workers})
    path = make_scene(width=300, height=300, tiled=True)
    detect_to_files([path], [], tiny_model, config, DetectOptions(device="cpu"))
    assert 1 <= len(handles) <= workers
    assert are_closed(handles)


@pytest.mark.parametrize("dtypes", [("uint8",), ("uint8", "uint16")])
def test_scenes_are_opened_for_the_plan_and_at_most_once_more(
    make_scene, tiny_model, handles, monkeypatch, dtypes
):
    """The scenes that are sampled, 16 at most, stay open."""
    paths = [
        make_scene(f"{n:02}.tif", dtype=dtypes[n % len(dtypes)], origin=(500_000 + FAR * n, 4e6))
        for n in range(33)
    ]
    report = detect_to_files(paths, [], tiny_model, ALONE, DetectOptions(device="cpu"))
    assert len(report.detections) == 33
    assert max(openings(handles).values()) == 2
    assert sum(count == 1 for count in openings(handles).values()) == 11  # each third is sampled
    assert are_closed(handles)


def test_few_scenes_are_opened_once(make_scene, tiny_model, handles):
    detect_to_files(make_row(make_scene, 5), [], tiny_model, ALONE, DetectOptions(device="cpu"))
    assert set(openings(handles).values()) == {1}


def test_no_more_than_seventeen_scenes_are_open_at_a_time(make_scene, tiny_model, handles):
    run = DetectionRun(make_row(make_scene, 40), [], tiny_model, ALONE, DetectOptions(device="cpu"))
    most = [sum(not source.dataset.closed for source in handles)]
    for _ in run:
        most.append(sum(not source.dataset.closed for source in handles))
    assert 1 < max(most) <= 17


def test_a_plan_that_is_refused_leaves_nothing_open(make_scene, make_model, tiny_model, handles):
    paths = [*make_row(make_scene, 3), make_scene("grey.tif", bands=1)]
    with pytest.raises(ModelFileError, match=r"grey\.tif has 1 bands"):
        DetectionRun(paths, [], tiny_model, ALONE, DetectOptions(device="cpu"))
    assert len(handles) == 4
    assert are_closed(handles)


def test_a_run_that_is_given_up_leaves_nothing_open(make_scene, tiny_model, tmp_path, handles):
    out = tmp_path / "out.gpkg"
    paths = make_row(make_scene, 4)
    parts = iter(DetectionRun(paths, [out], tiny_model, ALONE, DetectOptions(device="cpu")))
    next(parts)
    parts.close()
    assert are_closed(handles)
    assert not out.exists()


def test_a_scene_that_is_gone_at_its_turn_is_left_out(make_scene, tiny_model, handles):
    paths = make_row(make_scene, 33)
    run = DetectionRun(paths, [], tiny_model, ALONE, DetectOptions(device="cpu"))
    paths[1].unlink()  # not among those that stay open
    with pytest.raises(SceneError, match="1 of 33 scenes could not be read") as caught:
        list(run)
    assert list(caught.value.failed) == ["01.tif"]
    assert are_closed(handles)
