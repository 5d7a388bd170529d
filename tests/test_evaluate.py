import pytest
from factories_models import architecture, detections, paint_chip, seeded_network, write_coco

import geodet.evaluate
from geodet.boxes import Detections
from geodet.config import Config
from geodet.errors import ModelFileError, TilesetError
from geodet.evaluate import evaluate
from geodet.metrics import Scores
from geodet.models.checkpoint import Model, ModelDescription

BOXES = {
    "a.png": [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]],
    "b.png": [[0, 30, 10, 40]],
    "c.png": [],
}
LABELS = {"a.png": [0, 1, 0], "b.png": [1], "c.png": []}


def model(classes=("car", "bus"), **changes):
    description = ModelDescription(
        name="painted",
        architecture=architecture(),
        classes=classes,
        bands=("red", "green", "blue"),
        dtype="uint8",
        mean=(50.0,) * 3,
        std=(20.0,) * 3,
        low=(0.0,) * 3,
        high=(255.0,) * 3,
        gsd=None,
        **{"score_threshold": 0.5} | changes,
    )
    return Model(seeded_network(classes=len(classes)), description, "0" * 64)


@pytest.fixture
def data(tmp_path):
    for name in (*BOXES, "t.png"):
        paint_chip(tmp_path / name)
    write_coco(tmp_path / "train.json", {"t.png": [[1, 1, 9, 9]]}, ("car", "bus"))
    write_coco(tmp_path / "val.json", BOXES, ("car", "bus"), labels=LABELS)
    return tmp_path


@pytest.fixture
def detect(monkeypatch):
    """Let the network find known boxes: {image: (boxes, scores, labels)}; gives its thresholds."""
    seen = []

    def pretend(found):
        def predict(predictor, images, _bands):
            seen.append(predictor.score_threshold)
            nothing = ([], [], [])
            return [detections(*found.get(image.path.name, nothing)) for image in images]

        monkeypatch.setattr(geodet.evaluate, "predict_images", predict)
        return seen

    return pretend


FOUND = {
    "a.png": (
        # a car; a bus; a bus where a car is; a car on nothing, too weak to count
        [[0, 0, 10, 10], [21, 0, 31, 10], [40, 0, 50, 10], [50, 50, 60, 60]],
        [0.9, 0.8, 0.7, 0.4],
        [0, 1, 1, 0],
    ),
    "b.png": ([[0, 30, 10, 40]], [0.45], [1]),
    "c.png": ([[5, 5, 15, 15]], [0.6], [0]),
}


def test_figures_by_hand(data, detect):
    detect(FOUND)
    report = evaluate(model(), data, Config(), device="cpu")
    assert (report.split, report.images, report.rule) == ("val", 3, Config().match)
    assert report.overall == Scores(0.5, 2, 4, 4)
    assert (report.overall.precision, report.overall.recall) == (0.5, 0.5)
    assert report.overall.f1 == 0.5
    assert report.by_class == {"car": Scores(0.5, 1, 2, 2), "bus": Scores(0.5, 1, 2, 2)}
    # From 0.42 on the false car is out and the second bus is in: 3 of 5, and 4 objects.
    assert report.best == Scores(0.42, 3, 5, 4)


def test_classes_add_up_to_the_whole(data, detect):
    detect(FOUND)
    report = evaluate(model(), data, Config(), device="cpu")
    for count in ("matched", "detected", "labelled"):
        parts = [getattr(scores, count) for scores in report.by_class.values()]
        assert sum(parts) == getattr(report.overall, count)


def test_the_configuration_may_set_the_threshold(data, detect):
    seen = detect(FOUND)
    config = Config.model_validate({"detect": {"score_threshold": 0.65}})
    assert evaluate(model(), data, config, device="cpu").overall == Scores(0.65, 2, 3, 4)
    zero = Config.model_validate({"detect": {"score_threshold": 0.0}})
    assert evaluate(model(), data, zero, device="cpu").overall == Scores(0.0, 3, 6, 4)
    assert seen[1] == 0.0


def test_no_threshold_is_tried_below_which_nothing_was_detected(data, detect):
    seen = detect(FOUND)
    report = evaluate(model(), data, Config(), device="cpu")
    detect({"a.png": (BOXES["a.png"], [0.9] * 3, LABELS["a.png"])})
    perfect = evaluate(model(), data, Config(), device="cpu")
    assert min(report.best.threshold, perfect.best.threshold) >= max(seen)


def test_labels_are_matched_by_name(data, detect):
    swapped = {name: (b, s, [1 - label for label in ls]) for name, (b, s, ls) in FOUND.items()}
    detect(swapped)
    report = evaluate(model(classes=("bus", "car")), data, Config(), device="cpu")
    assert report.by_class == {"car": Scores(0.5, 1, 2, 2), "bus": Scores(0.5, 1, 2, 2)}


def test_classes_that_are_not_labelled_do_not_count(data, detect):
    found = {"c.png": ([[5, 5, 15, 15], [5, 5, 15, 15]], [0.9, 0.9], [2, 0])}
    detect(found)
    report = evaluate(model(classes=("car", "bus", "boat")), data, Config(), device="cpu")
    assert report.overall == Scores(0.5, 0, 1, 4)
    assert list(report.by_class) == ["car", "bus"]


def test_the_only_class_needs_no_name(data, detect):
    for split in ("train", "val"):
        scenes = {"t.png": [[1, 1, 9, 9]]} if split == "train" else BOXES
        write_coco(data / f"{split}.json", scenes, ("tree",))
    detect({"b.png": ([[0, 30, 10, 40]], [0.9], [0])})
    report = evaluate(model(classes=("palm",)), data, Config(), device="cpu")
    assert report.by_class == {"tree": Scores(0.5, 1, 1, 4)}


def test_a_class_that_the_model_lacks_is_an_error(data, detect):
    detect(FOUND)
    with pytest.raises(ModelFileError, match="has the class 'bus', which painted lacks") as caught:
        evaluate(model(classes=("car", "boat")), data, Config(), device="cpu")
    assert "car, boat" in caught.value.hint
    assert "data.ignore_classes" in caught.value.hint


def test_ignored_classes_do_not_count(data, detect):
    detect(FOUND)
    config = Config.model_validate({"data": {"ignore_classes": ["bus"]}})
    report = evaluate(model(), data, config, device="cpu")
    assert report.by_class == {"car": Scores(0.5, 1, 2, 2)}
    assert report.overall == report.by_class["car"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_split_is_chosen(data, detect, split):
    detect({})
    assert evaluate(model(), data, Config(), split=split, device="cpu").images == (
        3 if split == "val" else 1
    )


def test_an_empty_split_is_an_error(data, detect):
    detect({})
    write_coco(data / "val.json", {}, ("car", "bus"))
    with pytest.raises(TilesetError, match="has no val images") as caught:
        evaluate(model(), data, Config(), device="cpu")
    assert "--split" in caught.value.hint


def test_distances_follow_the_gsd(data, detect):
    away = {"a.png": ([[8, 0, 18, 10]], [0.9], [0])}
    detect(away)
    rule = {"by": "distance", "distance_m": 4.0}
    for gsd, matched in ((0.4, 1), (0.6, 0)):
        config = Config.model_validate({"match": rule, "data": {"gsd": gsd}})
        assert evaluate(model(), data, config, device="cpu").overall == Scores(0.5, matched, 1, 4)
    with pytest.raises(TilesetError, match="needs the metres per pixel"):
        evaluate(model(), data, Config.model_validate({"match": rule}), device="cpu")


def test_a_real_network_runs(data):
    report = evaluate(model(score_threshold=0.99), data, Config(), device="cpu")
    assert report.overall == Scores(0.99, 0, 0, 4)
    assert report.images == 3


def test_nothing_found_scores_zero(data, detect):
    detect({})
    report = evaluate(model(), data, Config(), device="cpu")
    assert report.overall == Scores(0.5, 0, 0, 4)
    assert (report.overall.f1, report.best.f1) == (0.0, 0.0)
    assert len(Detections.empty()) == 0


def test_an_image_with_other_bands_is_an_error(data):
    paint_chip(data / "b.png", bands=1)
    with pytest.raises(ModelFileError, match=r"b\.png has 1 bands, and the model needs 3"):
        evaluate(model(), data, Config(), device="cpu")
