"""The report of a training shows what the log holds, and the model on its validation chips."""

import csv
import logging

import pytest
import torch
from factories_models import write_tileset
from factories_training import SQUARES, configured
from readings_html import addresses_of, figures_of, read_page, tables_of, text_of

from geodet.config import Config
from geodet.evaluation.evaluate import evaluate_model
from geodet.onnx.backend import load_model
from geodet.tilesets.tileset import read_tileset
from geodet.training import training_page
from geodet.training.run_folder import RunState
from geodet.training.train import run_training
from geodet.training.training_page import write_training_report

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    tiles = write_tileset(folder / "tiles")
    report = run_training(
        tiles,
        folder / "squares.safetensors",
        configured(epochs=3),
        device="cpu",
        command="geodet train --data '<tiles>'",
    )
    return report, tiles


def test_the_page_lies_in_the_folder_of_the_run(run):
    report, _ = run
    assert report.report == report.model.with_suffix(".run") / "report.html"
    assert report.report.is_file()


def test_the_lines_follow_the_log(run):
    page = read_page(run[0].report)
    with (run[0].report.parent / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    (losses,) = [
        figure for figure in page.iter("figure") if text_of(figure.find("figcaption")) == "Losses"
    ]
    names = [name for name in rows[0] if name.endswith("loss")]
    shown = [text_of(span) for span in losses.iter("span")]
    assert shown == [name.replace("_", " ") for name in names]
    lines = [
        path.get("d") for path in losses.find("svg").iter("path") if "line" in path.get("class")
    ]
    assert [line.count("L") + 1 for line in lines] == [len(rows)] * len(names)
    heights = [float(point.split(",")[1]) for point in lines[0].lstrip("M").split("L")]
    values = [float(row["loss"]) for row in rows]
    assert sorted(range(3), key=heights.__getitem__) == sorted(range(3), key=lambda n: -values[n])


def test_the_figures_are_those_of_the_best_epoch(run):
    report, _ = run
    figures = figures_of(read_page(report.report))
    assert float(figures["Best F1"]) == pytest.approx(report.best_f1, abs=5e-4)
    assert float(figures["F1"]) == pytest.approx(report.best_f1, abs=2e-3)
    assert figures["Epochs"] == "3"


def test_the_validation_is_that_of_evaluate(run):
    report, tiles = run
    config = Config.model_validate({"data": {"gsd": 0.5}, "detect": {"precision": "float32"}})
    measured = evaluate_model(load_model(report.model), tiles, config, device="cpu")
    overall, figures = measured.evaluation.overall, figures_of(read_page(report.report))
    for name, value in (("Precision", overall.scores.precision), ("AP50", overall.ap.ap50)):
        assert float(figures[name]) == pytest.approx(value, abs=5e-4)


def test_the_page_shows_the_data_and_the_command(run):
    page = read_page(run[0].report)
    (data,) = [table for table in tables_of(page) if table[0][0] == "part"]
    assert data == [["part", "chips", "square"], ["train", "8", "24"], ["val", "4", "12"]]
    assert text_of(page.find(".//pre")) == "geodet train --data '<tiles>'"
    assert addresses_of(page)
    assert all(address.startswith("data:") for address in addresses_of(page))


def test_without_validation_the_page_shows_the_training_alone(tmp_path):
    tiles = write_tileset(tmp_path / "tiles")
    config = configured(epochs=1)
    tileset = read_tileset(tiles, config.data)
    alone = type(tileset)(tileset.root, tileset.classes, tuple(tileset.split("train")))
    report = run_training(tiles, tmp_path / "a.safetensors", config, device="cpu")
    path = write_training_report(report.model, RunState(epoch=1), alone, config, CPU)
    titles = [text_of(title) for title in read_page(path).iter("h2")]
    assert titles == ["Training", "Data", "How it was made"]


def test_a_page_that_cannot_be_written_does_not_fail_the_run(run, monkeypatch, caplog):
    report, tiles = run

    def refuse(*_):
        raise training_page.OutputError("no space left", hint="", path=report.report)

    monkeypatch.setattr(training_page, "write_page", refuse)
    with caplog.at_level(logging.WARNING):
        tileset = read_tileset(tiles, SQUARES.data)
        assert write_training_report(report.model, RunState(1), tileset, SQUARES, CPU) is None
    assert "no report of squares.safetensors: no space left" in caplog.text
