import csv
import json
import warnings

import geopandas
import pyogrio
import pytest
import shapely
from factories_models import architecture, detections, paint_chip, seeded_network, write_coco

import geodet.evaluation.model_on_chips
from geodet.config import Config
from geodet.errors import ConfigError, ModelFileError, OutputError, TilesetError
from geodet.evaluation.evaluate import evaluate_model, evaluate_vectors
from geodet.evaluation.threshold_curves import MatchCounts
from geodet.files.output_folders import EVALUATION_FILES
from geodet.models.description import ModelDescription
from geodet.models.model import Model

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
    network = seeded_network(classes=len(classes))
    return Model(lambda: network, description, "0" * 64)


@pytest.fixture
def data(tmp_path):
    for name in (*BOXES, "t.png"):
        paint_chip(tmp_path / name)
    write_coco(tmp_path / "train.json", {"t.png": [[1, 1, 9, 9]]}, ("car", "bus"))
    write_coco(tmp_path / "val.json", BOXES, ("car", "bus"), labels=LABELS)
    return tmp_path


@pytest.fixture
def detect(monkeypatch):
    """Replace the network by known boxes {image: (boxes, scores, labels)}; record thresholds."""
    seen = []

    def pretend(found):
        def predict(predictor, images, _bands, _config, **_):
            seen.append(predictor.score_threshold)
            nothing = ([], [], [])
            return [detections(*found.get(image.path.name, nothing)) for image in images]

        monkeypatch.setattr(geodet.evaluation.model_on_chips, "predict_images", predict)
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


def overall(report):
    return report.evaluation.overall.scores


def best(report):
    return report.evaluation.overall.best


def by_class(report):
    return {name: figures.scores for name, figures in report.evaluation.by_class.items()}


def test_measures_equal_those_computed_by_hand(data, detect):
    detect(FOUND)
    report = evaluate_model(model(), data, Config(), device="cpu")
    assert (report.split, report.images, report.evaluation.rule) == ("val", 3, Config().match)
    assert overall(report) == MatchCounts(0.5, 2, 4, 4)
    assert (overall(report).precision, overall(report).recall) == (0.5, 0.5)
    assert overall(report).f1 == 0.5
    assert by_class(report) == {"car": MatchCounts(0.5, 1, 2, 2), "bus": MatchCounts(0.5, 1, 2, 2)}
    # From 0.42 on the false car is out and the second bus is in: 3 of 5, and 4 objects.
    assert best(report) == MatchCounts(0.42, 3, 5, 4)
    # A car at full precision, then nothing more: recall 1/2, so 51 of COCO's 101 places.
    figures = report.evaluation.by_class
    assert figures["car"].ap.ap50 == pytest.approx(51 / 101)
    assert figures["car"].best == MatchCounts(0.75, 1, 1, 2)


def test_counts_of_the_classes_add_up_to_those_of_all(data, detect):
    detect(FOUND)
    report = evaluate_model(model(), data, Config(), device="cpu")
    for count in ("matched", "detected", "labelled"):
        parts = [getattr(scores, count) for scores in by_class(report).values()]
        assert sum(parts) == getattr(overall(report), count)


def test_the_score_threshold_of_the_configuration_is_used(data, detect):
    seen = detect(FOUND)
    config = Config.model_validate({"detect": {"score_threshold": 0.65}})
    assert overall(evaluate_model(model(), data, config, device="cpu")) == MatchCounts(
        0.65, 2, 3, 4
    )
    zero = Config.model_validate({"detect": {"score_threshold": 0.0}})
    assert overall(evaluate_model(model(), data, zero, device="cpu")) == MatchCounts(0.0, 3, 6, 4)
    assert seen[1] == 0.0


def test_the_best_threshold_is_not_below_that_of_the_detections(data, detect):
    seen = detect(FOUND)
    report = evaluate_model(model(), data, Config(), device="cpu")
    detect({"a.png": (BOXES["a.png"], [0.9] * 3, LABELS["a.png"])})
    perfect = evaluate_model(model(), data, Config(), device="cpu")
    assert min(best(report).threshold, best(perfect).threshold) >= max(seen)


def test_classes_are_matched_by_name(data, detect):
    swapped = {name: (b, s, [1 - label for label in ls]) for name, (b, s, ls) in FOUND.items()}
    detect(swapped)
    report = evaluate_model(model(classes=("bus", "car")), data, Config(), device="cpu")
    assert by_class(report) == {"car": MatchCounts(0.5, 1, 2, 2), "bus": MatchCounts(0.5, 1, 2, 2)}


def test_detections_of_classes_without_labels_do_not_count(data, detect, caplog):
    found = {"c.png": ([[5, 5, 15, 15], [5, 5, 15, 15]], [0.9, 0.9], [2, 0])}
    detect(found)
    report = evaluate_model(model(classes=("car", "bus", "boat")), data, Config(), device="cpu")
    assert overall(report) == MatchCounts(0.5, 0, 1, 4)
    assert list(by_class(report)) == ["car", "bus"]
    assert "detections of the class 'boat' do not count: no label has this class" in caplog.text


def test_single_classes_match_whatever_their_names(data, detect):
    for split in ("train", "val"):
        scenes = {"t.png": [[1, 1, 9, 9]]} if split == "train" else BOXES
        write_coco(data / f"{split}.json", scenes, ("tree",))
    detect({"b.png": ([[0, 30, 10, 40]], [0.9], [0])})
    report = evaluate_model(model(classes=("palm",)), data, Config(), device="cpu")
    assert by_class(report) == {"tree": MatchCounts(0.5, 1, 1, 4)}


def test_a_class_that_the_model_lacks_is_refused(data, detect):
    detect(FOUND)
    with pytest.raises(ModelFileError, match="has the class 'bus', which painted lacks") as caught:
        evaluate_model(model(classes=("car", "boat")), data, Config(), device="cpu")
    assert "car, boat" in caught.value.hint
    assert "data.ignore_classes" in caught.value.hint


def test_ignored_classes_do_not_count(data, detect, caplog):
    detect(FOUND)
    config = Config.model_validate({"data": {"ignore_classes": ["bus"]}})
    report = evaluate_model(model(), data, config, device="cpu")
    assert by_class(report) == {"car": MatchCounts(0.5, 1, 2, 2)}
    assert overall(report) == by_class(report)["car"]
    assert "do not count" not in caplog.text


@pytest.mark.parametrize(("split", "count"), [("train", 1), ("val", 3), ("test", 2), ("all", 6)])
def test_the_chosen_part_of_the_split_is_evaluated(data, detect, split, count):
    detect({})
    for name in ("x.png", "y.png"):
        paint_chip(data / name)
    write_coco(data / "test.json", {"x.png": [[1, 1, 9, 9]], "y.png": []}, ("car", "bus"))
    report = evaluate_model(model(), data, Config(), split=split, device="cpu")
    assert (report.images, report.split) == (count, split)


def test_a_test_set_alone_is_evaluated_whole(tmp_path, detect, caplog):
    detect({})
    for name in ("x.png", "y.png"):
        paint_chip(tmp_path / name)
    coco = {"x.png": [[1, 1, 9, 9]], "y.png": []}
    write_coco(tmp_path / "instances_test2017.json", coco, ("car", "bus"))
    for split in ("test", "all"):
        report = evaluate_model(model(), tmp_path, Config(), split=split, device="cpu")
        assert report.images == 2
    with pytest.raises(TilesetError, match="has no val images") as caught:
        evaluate_model(model(), tmp_path, Config(), device="cpu")
    assert caught.value.hint == "choose another part with split (--split): test, or all"


def test_images_without_a_split_are_evaluated_whole(tmp_path, detect, caplog):
    detect({})
    paint_chip(tmp_path / "x.png")
    write_coco(tmp_path / "labels.json", {"x.png": [[1, 1, 9, 9]]}, ("car", "bus"))
    report = evaluate_model(model(), tmp_path, Config(), split="all", device="cpu")
    assert (report.images, overall(report).labelled) == (1, 1)
    assert "validate" not in caplog.text


def test_an_empty_part_of_the_split_is_refused(data, detect):
    detect({})
    write_coco(data / "val.json", {}, ("car", "bus"))
    with pytest.raises(TilesetError, match="has no val images") as caught:
        evaluate_model(model(), data, Config(), device="cpu")
    assert "--split" in caught.value.hint


def test_distances_are_in_metres_on_the_ground(data, detect):
    away = {"a.png": ([[8, 0, 18, 10]], [0.9], [0])}
    detect(away)
    rule = {"by": "distance", "distance_m": 4.0}
    for gsd, matched in ((0.4, 1), (0.6, 0)):
        config = Config.model_validate({"match": rule, "data": {"gsd": gsd}})
        assert overall(evaluate_model(model(), data, config, device="cpu")) == MatchCounts(
            0.5, matched, 1, 4
        )
    with pytest.raises(TilesetError, match="the metres per pixel of an image are unknown"):
        evaluate_model(model(), data, Config.model_validate({"match": rule}), device="cpu")


def test_a_network_is_evaluated_on_chips(data):
    report = evaluate_model(model(score_threshold=0.99), data, Config(), device="cpu")
    assert overall(report) == MatchCounts(0.99, 0, 0, 4)
    assert report.images == 3


def test_without_detections_all_measures_are_zero(data, detect):
    detect({})
    report = evaluate_model(model(), data, Config(), device="cpu")
    assert overall(report) == MatchCounts(0.5, 0, 0, 4)
    assert (overall(report).f1, best(report).f1) == (0.0, 0.0)


def test_an_image_with_another_number_of_bands_is_refused(data):
    paint_chip(data / "b.png", bands=1)
    with pytest.raises(ModelFileError, match=r"b\.png has 1 bands, and the model needs 3"):
        evaluate_model(model(), data, Config(), device="cpu")


def write_boxes(path, boxes, crs=None, **fields):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        shapes = [shapely.box(*box) for box in boxes]
        geopandas.GeoDataFrame(fields, geometry=shapes, crs=crs).to_file(path)
    return path


@pytest.fixture
def vectors(tmp_path):
    """Three detections, two of which are true positives, and three labels."""
    x, y = 500_000, 4_500_000
    boxes = [[x, y, x + 10, y + 10], [x + 20, y, x + 30, y + 10], [x + 80, y, x + 90, y + 10]]
    found = write_boxes(
        tmp_path / "found.gpkg", boxes, 32633, score=[0.9, 0.8, 0.3], label=["car", "bus", "car"]
    )
    labels = [*boxes[:2], [x + 50, y, x + 60, y + 10]]
    return found, write_boxes(tmp_path / "truth.geojson", labels, 32633, kind=["car", "bus", "car"])


KIND = {"tile": {"label_field": "kind"}}


def test_measures_of_vector_files_equal_those_computed_by_hand(vectors):
    report = evaluate_vectors(*vectors, Config.model_validate(KIND))
    assert overall(report) == MatchCounts(0.3, 2, 3, 3)
    assert by_class(report) == {"bus": MatchCounts(0.3, 1, 1, 1), "car": MatchCounts(0.3, 1, 2, 2)}
    assert best(report) == MatchCounts(0.55, 2, 2, 3)
    # All down to 0.3, the lowest score in the file, is as good: what lies below is not known.
    assert report.evaluation.by_class["bus"].best == MatchCounts(0.55, 1, 1, 1)
    strict = Config.model_validate(KIND | {"detect": {"score_threshold": 0.85}})
    assert overall(evaluate_vectors(*vectors, strict)) == MatchCounts(0.85, 1, 1, 3)
    assert report.evaluation.by_class["bus"].ap.ap == pytest.approx(1.0)


def test_a_threshold_in_the_report_keeps_the_objects_of_the_file_that_it_counts(tmp_path, vectors):
    scores = [0.1 - 1e-12, 0.1, 0.360516]  # float32 of the first is more than 0.1
    found = geopandas.read_file(vectors[0]).assign(score=scores, label="car")
    found.to_file(tmp_path / "found.gpkg")
    for count in range(1, 4):
        some = tmp_path / f"{count}.gpkg"
        found.iloc[-count:].to_file(some)
        evaluate_vectors(some, vectors[1], Config(), output=tmp_path / f"out{count}")
        measures = json.loads((tmp_path / f"out{count}" / "metrics.json").read_text())
        for counts in (measures["overall"], measures["best"]):
            kept = (found.score.iloc[-count:] >= counts["threshold"]).sum()
            assert kept == counts["detected"]


def thresholds(files, chosen, **data):
    config = Config.model_validate(KIND | {"detect": {"score_threshold": chosen}, "data": data})
    by_name = evaluate_vectors(*files, config).evaluation.by_class
    return {name: one.scores.threshold for name, one in by_name.items()}


def test_thresholds_are_those_of_the_classes_that_the_file_names(vectors):
    assert thresholds(vectors, {"car": 0.85}) == {"bus": 0.3, "car": 0.85}
    joined = {"one_class": "vehicle"}
    assert thresholds(vectors, {"car": 0.8, "bus": 0.7}, **joined) == {"vehicle": 0.7}
    assert thresholds(vectors, {"vehicle": 0.6}, **joined) == {"vehicle": 0.6}
    assert thresholds(vectors, {"car": 0.8}, class_map={"car": "auto"})["auto"] == 0.8


def test_the_threshold_of_a_class_that_the_labels_name_otherwise_is_used(tmp_path):
    found = write_boxes(tmp_path / "f.gpkg", [[0, 0, 9, 9]], 32633, score=[0.9], label=["vehicle"])
    truth = write_boxes(tmp_path / "t.gpkg", [[0, 0, 9, 9]], 32633, kind=["car"])
    for name in ("vehicle", "car"):
        assert thresholds((found, truth), {name: 0.5}) == {"car": 0.5}


def test_the_threshold_of_a_class_that_is_none_is_refused(vectors):
    with pytest.raises(ConfigError, match="'caar' is neither a class of the detections") as caught:
        thresholds(vectors, {"caar": 0.5})
    assert "did you mean 'car'?" in caught.value.hint


def test_vector_files_can_be_matched_by_distance(vectors):
    rule = {"match": {"by": "distance", "distance_m": 29}}
    report = evaluate_vectors(*vectors, Config.model_validate(KIND | rule))
    assert overall(report).matched == 2
    rule = {"match": {"by": "distance", "distance_m": 31}}
    report = evaluate_vectors(*vectors, Config.model_validate(KIND | rule))
    assert overall(report).matched == 3  # the false car is 30 m from the missed one


def test_a_file_without_detections_is_evaluated(tmp_path, vectors, caplog):
    nothing = write_boxes(tmp_path / "nothing.gpkg", [], 32633, score=[], label=[])
    report = evaluate_vectors(
        nothing, vectors[1], Config.model_validate(KIND), output=tmp_path / "o"
    )
    assert overall(report) == MatchCounts(1.0, 0, 0, 3)
    assert report.evaluation.overall.ap.ap == 0.0
    assert "nothing.gpkg contains no object that counts" in caplog.text


def test_a_file_without_labels_is_evaluated(tmp_path, vectors):
    nothing = write_boxes(tmp_path / "nothing.gpkg", [], 32633, kind=[])
    output = tmp_path / "evaluation"
    evaluate_vectors(vectors[0], nothing, Config.model_validate(KIND), output=output)
    figures = json.loads((output / "metrics.json").read_text())
    assert figures["overall"]["ap"] is None
    assert figures["overall"]["detected"] == 3


def test_the_folder_contains_measures_curves_and_errors(tmp_path, vectors):
    output = tmp_path / "evaluation"
    evaluate_vectors(*vectors, Config.model_validate(KIND), output=output)
    assert sorted(path.name for path in output.iterdir()) == sorted(EVALUATION_FILES)
    figures = json.loads((output / "metrics.json").read_text())
    assert (figures["detections"], figures["labels"]) == ("found.gpkg", "truth.geojson")
    assert figures["overall"]["best"]["threshold"] == 0.55
    assert figures["curves"]["all"]["recall"][figures["curves"]["threshold"].index(0.5)] == 0.666667
    with (output / "metrics.csv").open(encoding="utf-8") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["all", "bus", "car"]
    assert float(rows["car"]["f1"]) == 0.5
    layers = {name: pyogrio.read_dataframe(output / "errors.gpkg", layer=name) for name in LAYERS}
    assert [len(layer) for layer in layers.values()] == [2, 1, 1]
    assert {layer.crs.to_epsg() for layer in layers.values()} == {32633}
    hits = layers["true_positives"]
    assert hits["label"].tolist() == ["car", "bus"]
    assert hits.geometry[0].bounds == pytest.approx((500_000, 4_500_000, 500_010, 4_500_010))


LAYERS = ("true_positives", "false_positives", "misses")


def test_an_existing_folder_is_replaced_only_with_overwrite(tmp_path, vectors, monkeypatch):
    config, output = Config.model_validate(KIND), tmp_path / "evaluation"
    evaluate_vectors(*vectors, config, output=output)
    before = (output / "metrics.json").read_text()
    with pytest.raises(OutputError, match="is not empty") as caught:
        evaluate_vectors(*vectors, config, output=output)
    assert "--overwrite" in caught.value.hint
    monkeypatch.setattr(geodet.evaluation.report_files, "draw_curves", fail)
    with pytest.raises(OutputError, match="no space left"):
        evaluate_vectors(*vectors, config, output=output, overwrite=True)
    assert (output / "metrics.json").read_text() == before
    (output / "mine.txt").touch()
    with pytest.raises(OutputError, match=r"mine\.txt"):
        evaluate_vectors(*vectors, config, output=output, overwrite=True)


def fail(*_):
    raise OSError("no space left")


def test_an_evaluation_on_chips_writes_the_same_files(tmp_path, data, detect):
    detect(FOUND)
    output = tmp_path / "evaluation"
    report = evaluate_model(model(), data, Config(), device="cpu", output=output)
    hits, wrong, missed = (
        pyogrio.read_dataframe(output / "errors.gpkg", layer=name) for name in LAYERS
    )
    counts = overall(report)
    assert len(hits) == counts.matched
    assert len(hits) + len(wrong) == counts.detected
    assert len(hits) + len(missed) == counts.labelled
    assert set(wrong["image"]) == {"a.png", "c.png"}
    # Pixels, as QGIS shows a picture without a georeference.
    assert hits.geometry[0].bounds == (0.0, -10.0, 10.0, 0.0)
