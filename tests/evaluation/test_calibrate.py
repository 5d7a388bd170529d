"""Calibrating models: the file that is written, and what is expected of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from factories_models import architecture, describe, paint_chip, seeded_network, write_coco
from scipy.special import expit, logit

import geodet.evaluation.calibrate
import geodet.evaluation.evaluate
from geodet.config import Config
from geodet.config.recipes import resolve_config
from geodet.detection.detect import detect_to_files
from geodet.errors import ConfigError, ModelFileError, OutputError, TilesetError
from geodet.evaluation.calibrate import calibrate_on_chips, calibrate_on_scene
from geodet.evaluation.evaluate import evaluate_model, evaluate_vectors
from geodet.evaluation.measures import EvaluatedImage
from geodet.geometry.boxes import Detections
from geodet.models.checkpoint import load_checkpoint, save_model
from geodet.models.model import Model
from geodet.onnx.backend import load_model

CLASSES = ("car", "tree")


def model(classes=CLASSES):
    about = describe(architecture((2, 3), head_convs=1)).model_copy(update={"classes": classes})
    network = seeded_network(about.architecture, classes=len(classes))
    torch.nn.init.normal_(network.classifier.last.weight, std=0.3)
    return Model(lambda: network, about, "0" * 64)


@pytest.fixture
def data(tmp_path):
    boxes = {f"{i}.png": [[0, 0, 10, 10]] for i in range(10)}
    for name in boxes:
        paint_chip(tmp_path / name)
    write_coco(tmp_path / "labels.json", boxes, CLASSES)
    return tmp_path


def pretend(monkeypatch, *, scale=(0.5, 0.5), shift=(-1.0, -1.0), images=10, count=200):
    """Replace detection: objects in a row, each detected if its probability says so."""
    random = np.random.default_rng(2)
    found = []
    for number in range(images):
        left = 20.0 * np.arange(count)
        boxes = np.stack([left, left * 0, left + 10, left * 0 + 10], axis=1)
        scores = random.uniform(0.03, 0.97, count)
        labels = np.arange(count) % len(scale)
        probability = expit(np.array(scale)[labels] * logit(scores) + np.array(shift)[labels])
        is_right = random.random(count) < probability
        found.append(
            EvaluatedImage(
                name=f"{number}.png",
                detections=Detections(boxes, scores.astype(np.float32), labels),
                boxes=boxes[is_right],
                labels=labels[is_right],
                ignored=np.zeros((0, 4)),
                gsd=None,
            )
        )
    monkeypatch.setattr(geodet.evaluation.calibrate, "detect_images", lambda *_: found)
    return found


def logits(network, images):
    with torch.inference_mode():
        return network.eval()(images).logits


def test_the_written_model_has_calibrated_scores(tmp_path, data, monkeypatch):
    pretend(monkeypatch, scale=(0.5, 1.5), shift=(-1.0, 0.5))
    given = model()
    report = calibrate_on_chips(given, tmp_path / "here.safetensors", data, Config())
    car, tree = report.scales["car"], report.scales["tree"]
    assert (car.scale, car.shift) == pytest.approx((0.5, -1.0), abs=0.2)
    assert (tree.scale, tree.shift) == pytest.approx((1.5, 0.5), abs=0.3)
    images = torch.randn(1, 3, 64, 64)
    before = logits(given.network, images)
    after = logits(load_checkpoint(report.output).network, images)
    scale, shift = (torch.tensor([getattr(s, k) for s in (car, tree)]) for k in ("scale", "shift"))
    torch.testing.assert_close(after, before * scale + shift, atol=0.02, rtol=0.02)  # float16


def test_the_report_says_what_to_expect(tmp_path, data, monkeypatch):
    pretend(monkeypatch)
    report = calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())
    assert report.is_held_out
    assert report.error_after < 0.05 < report.error_before
    assert report.expected.f1 >= report.before.f1
    low, high = report.expected.precision_interval
    assert low < report.expected.precision < high
    about = load_checkpoint(report.output).description
    assert about.score_threshold == report.threshold
    assert about.figures["precision"] == report.expected.precision
    assert about.training["calibrated_objects"] == report.before.labelled
    assert about.score_thresholds == report.thresholds
    assert set(report.thresholds) == set(CLASSES)


def test_scores_that_are_right_already_stay(tmp_path, data, monkeypatch):
    pretend(monkeypatch, scale=(1.0, 1.0), shift=(0.0, 0.0))
    report = calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())
    for scale in report.scales.values():
        assert (scale.scale, scale.shift) == pytest.approx((1.0, 0.0), abs=0.2)


def test_one_image_gives_counts_of_its_own_labels(tmp_path, data, monkeypatch):
    pretend(monkeypatch, images=1)
    report = calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())
    assert not report.is_held_out
    assert report.expected.threshold == report.threshold


def shares(counts):
    return counts.precision, counts.recall, counts.labelled


def pretend_as(monkeypatch, found, scales=None):
    """Make calibrate and evaluate find these detections, rescored if scales are given."""
    for number, scale in enumerate((scales or {}).values()):
        rescored = []
        for image in found:
            scores, here = image.detections.scores.copy(), image.detections.labels == number
            scores[here] = scale(scores[here].astype(np.float64))
            detections = replace(image.detections, scores=scores)
            rescored.append(replace(image, detections=detections))
        found = rescored
    monkeypatch.setattr(geodet.evaluation.calibrate, "detect_images", lambda *_, **__: found)
    monkeypatch.setattr(geodet.evaluation.evaluate, "detect_images", lambda *_, **__: found)


@pytest.mark.parametrize("given", [None, 0.6, {"tree": 0.45}])
def test_what_is_expected_is_what_evaluate_counts(tmp_path, data, monkeypatch, given):
    """Classes whose best thresholds are far apart, of one image, which chose everything."""
    config = Config.model_validate({"detect": {"score_threshold": given}} if given else {})
    found = pretend(monkeypatch, scale=(0.6, 2.5), shift=(-1.5, 1.5), images=1, count=600)
    stored = {"score_threshold": 0.3, "score_thresholds": {"car": 0.8}}
    first = tmp_path / "first.safetensors"
    about = model().description.model_copy(update=stored)
    save_model(first, model().network, about)

    def evaluate(path):
        split = {"split": "all", "device": "cpu"}
        report = evaluate_model(load_checkpoint(path), data, config, **split)
        return report.evaluation.overall.scores

    pretend_as(monkeypatch, found)
    report = calibrate_on_chips(load_checkpoint(first), tmp_path / "a.safetensors", data, config)
    assert abs(report.thresholds["car"] - report.thresholds["tree"]) > 0.05
    assert shares(report.before) == shares(evaluate(first))
    pretend_as(monkeypatch, found, report.scales)
    assert shares(report.expected) == shares(evaluate(report.output))
    again = calibrate_on_chips(
        load_checkpoint(report.output), tmp_path / "b.safetensors", data, config
    )
    assert again.before == report.expected


def test_the_stored_figures_are_of_the_stored_thresholds(tmp_path, data, monkeypatch):
    found = pretend(monkeypatch, scale=(0.6, 2.5), shift=(-1.5, 1.5), images=1, count=600)
    config = Config.model_validate({"detect": {"score_threshold": 0.9}})
    report = calibrate_on_chips(model(), tmp_path / "here.safetensors", data, config)
    written = load_checkpoint(report.output)
    pretend_as(monkeypatch, found, report.scales)
    figures = written.description.figures
    counts = evaluate_model(written, data, Config(), split="all").evaluation.overall.scores
    assert (figures["precision"], figures["recall"], figures["f1"]) == (
        counts.precision,
        counts.recall,
        counts.f1,
    )
    assert figures["score_threshold"] == min(report.thresholds.values())
    assert report.expected.threshold == 0.9


def test_no_threshold_is_stored_below_which_nothing_was_searched(tmp_path, data, monkeypatch):
    """Nearly all detections are right: any threshold down to the lowest score is as good."""
    pretend(monkeypatch, scale=(0.3, 0.5), shift=(2.0, 6.0))
    report = calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())
    searched = {name: float(scale(np.array([0.02]))[0]) for name, scale in report.scales.items()}
    assert report.threshold >= max(searched.values())
    for name, threshold in report.thresholds.items():
        assert threshold >= searched[name]


def test_held_out_counts_are_of_thresholds_by_class(tmp_path, data, monkeypatch):
    found = pretend(monkeypatch, scale=(0.6, 2.5), shift=(-1.5, 1.5), images=10, count=400)
    report = calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())
    assert report.is_held_out
    written = load_checkpoint(report.output)
    pretend_as(monkeypatch, found, report.scales)
    same = evaluate_model(written, data, Config(), split="all").evaluation.overall.scores
    assert report.expected.threshold == same.threshold == min(report.thresholds.values())
    assert report.expected.f1 == pytest.approx(same.f1, abs=0.01)
    assert report.expected.detected == pytest.approx(same.detected, rel=0.05)


def test_a_threshold_of_another_class_is_refused(tmp_path, data):
    config = Config.model_validate({"detect": {"score_threshold": {"boat": 0.5}}})
    with pytest.raises(ConfigError, match="has no class 'boat'"):
        calibrate_on_chips(model(), tmp_path / "here.safetensors", data, config)


def test_a_class_with_few_labels_shares_the_scale_of_all(tmp_path, data, monkeypatch):
    pretend(monkeypatch, images=2, count=20)
    report = calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())
    assert report.scales["car"] == report.scales["tree"]
    assert report.thresholds == {}


def test_labels_without_objects_are_refused(tmp_path, data, monkeypatch):
    pretend(monkeypatch, count=0)
    with pytest.raises(TilesetError, match="has no labelled objects") as caught:
        calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())
    assert "label more" in caught.value.hint
    assert not (tmp_path / "here.safetensors").exists()


def test_few_labels_are_warned_of(tmp_path, data, monkeypatch, caplog):
    """Detections of objects that nobody labelled count as wrong, and lower all scores."""
    pretend(monkeypatch, images=2, count=20)
    report = calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())
    few = report.before.labelled
    assert few < 30
    assert f"only {few} labelled objects: " in caplog.text
    assert "not labelled count as wrong" in caplog.text
    caplog.clear()
    pretend(monkeypatch)
    calibrate_on_chips(model(), tmp_path / "many.safetensors", data, Config())
    assert "labelled objects" not in caplog.text


def test_scores_that_mean_the_opposite_are_refused(tmp_path, data, monkeypatch):
    pretend(monkeypatch, scale=(-1.0, -1.0), shift=(0.0, 0.0))
    with pytest.raises(ModelFileError, match="do not score higher than wrong ones"):
        calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())


def test_an_existing_file_is_kept(tmp_path, data):
    output = tmp_path / "here.safetensors"
    output.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        calibrate_on_chips(model(), output, data, Config())
    assert output.read_text() == "mine"


def test_the_model_itself_is_never_replaced(tmp_path, data):
    path = tmp_path / "own.safetensors"
    save_model(path, model().network, model().description)
    before = path.read_bytes()
    for read in (load_checkpoint, load_model):
        with pytest.raises(OutputError, match=r"own\.safetensors is an input and would be"):
            calibrate_on_chips(read(path), path, data, Config(), overwrite=True)
    assert path.read_bytes() == before


def test_a_bundled_model_is_calibrated_on_a_labelled_scene(example_files, tmp_path):
    """The whole path: detect, compare with vector labels, write, and count as expected."""
    scene, labels = example_files / "scene.tif", example_files / "labels.gpkg"
    config = resolve_config(settings={"match.by": "distance", "match.distance_m": 6})
    model = load_checkpoint("urban-trees")
    output = tmp_path / "here.safetensors"
    report = calibrate_on_scene(model, output, scene, labels, config, device="cpu")
    assert not report.is_held_out
    assert report.error_after < report.error_before
    assert report.expected.f1 >= report.before.f1 - 0.01
    found = tmp_path / "found.gpkg"
    detect_to_files([scene], [found], load_checkpoint(output), config.detect)
    counts = evaluate_vectors(found, labels, config, scene=scene).evaluation.overall.scores
    assert counts.precision == pytest.approx(report.expected.precision, abs=0.03)
    assert counts.recall == pytest.approx(report.expected.recall, abs=0.03)


def test_an_eight_bit_file_that_is_there_is_not_replaced_unasked(tmp_path, data, monkeypatch):
    pretend(monkeypatch)
    theirs = tmp_path / "here.int8.onnx"
    theirs.write_text("mine")
    with pytest.raises(OutputError, match=r"here\.int8\.onnx exists already"):
        calibrate_on_chips(model(), tmp_path / "here.safetensors", data, Config())
    assert theirs.read_text() == "mine"
    assert not (tmp_path / "here.safetensors").exists()
