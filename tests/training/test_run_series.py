"""Several trainings: what is run, what is not run again, and how they compare."""

import csv
import io
import json
import math
import re
import shutil
import statistics

import pytest
from factories_training import (
    SQUARES,
    PowerCutError,
    configured,
    cut_after,
    read_log,
    small_fixture,  # noqa: F401 - a fixture
)
from PIL import Image

from geodet.config import Config
from geodet.errors import ConfigError, OutputError, TrainingError
from geodet.files.outputs import int8_path
from geodet.models.description import load_description
from geodet.training.run_records import RunRecord, read_run
from geodet.training.run_series import check_series, parse_sweep, plan_series, run_series
from geodet.training.run_tables import (
    RUN_TABLES,
    RunTable,
    plot_runs,
    tabulate_runs,
    write_run_table,
)
from geodet.training.train import run_training


def trainer(data, trained):
    """Return a function that trains a run and notes it."""

    def train(run, goes_on):
        trained.append((run.output.stem, goes_on))
        options = {"resume": goes_on, "overwrite": not goes_on, "labels_of": run.labels_of}
        run_training(data, run.output, run.config, device="cpu", **options)

    return train


@pytest.fixture(scope="module")
def series(small, tmp_path_factory):
    """Train two epochs with each of two seeds."""
    output = tmp_path_factory.mktemp("series") / "a.safetensors"
    trained = []
    runs = plan_series(output, configured(epochs=2), seeds=2, sweep={})
    return run_series(output, runs, trainer(small, trained)), trained


def record(name, *, f1=(), **settings):
    rows = tuple(
        {"epoch": float(n), "f1": value, "ap": value / 2, "chips_per_second": 10.0 * n}
        for n, value in enumerate(f1, start=1)
    )
    return RunRecord(name, None, {"train.epochs": 3, **settings}, rows, None, None)


def test_a_sweep_is_every_combination_in_order(tmp_path):
    sweep = parse_sweep(["train.learning_rate=1e-3,3e-4", "train.batch_size=2,4"])
    assert sweep == {"train.learning_rate": (1e-3, 3e-4), "train.batch_size": (2, 4)}
    runs = plan_series(tmp_path / "a.safetensors", SQUARES, sweep=sweep)
    chosen = [(run.config.train.learning_rate, run.config.train.batch_size) for run in runs]
    assert chosen == [(1e-3, 2), (1e-3, 4), (3e-4, 2), (3e-4, 4)]
    assert len({run.output for run in runs}) == 4
    assert runs[0].output.name == "a-learning_rate-0.001-batch_size-2.safetensors"
    assert all(run.config.model == SQUARES.model for run in runs)


def test_lists_are_values_of_a_sweep():
    sweep = parse_sweep(["model.anchor_sizes=[8, 16],[12, 24]", "train.optimizer=sgd,adamw"])
    assert sweep["model.anchor_sizes"] == ([8, 16], [12, 24])
    assert sweep["train.optimizer"] == ("sgd", "adamw")


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (["train.lrr=1,2"], "lrr"),
        (["train.lr=1,2"], "unknown key 'train.lr'"),
        (["train.epochs=many,2"], "epochs"),
        (["train.epochs"], "cannot read the sweep"),
        (["train.seed=1,2"], "seeds are given twice"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_refused(tmp_path, sweep, message):
    with pytest.raises(ConfigError, match=message):
        plan_series(tmp_path / "a.safetensors", Config(), seeds=2, sweep=parse_sweep(sweep))


def test_the_best_model_of_the_seeds_is_kept_and_their_spread_told(series):
    report, trained = series
    assert [name for name, _ in trained] == ["a-seed-0", "a-seed-1"]
    records = [read_run(folder) for folder in report.runs]
    f1 = [one.best["f1"] for one in records]
    assert report.spread[""]["F1"] == pytest.approx((statistics.mean(f1), statistics.stdev(f1)))
    best = records[f1.index(max(f1))]
    assert report.model.read_bytes() == (best.folder / "best.safetensors").read_bytes()
    seeds = [row[report.table.columns.index("train.seed")] for row in report.table.rows]
    assert seeds == ["0", "1"]


def test_the_eight_bit_file_of_the_best_run_is_copied_with_its_model(series, tmp_path):
    first, _ = series
    output, trained = tmp_path / "copy" / "a.safetensors", []
    shutil.copytree(first.model.parent, output.parent)
    runs = plan_series(output, configured(epochs=2), seeds=2, sweep={})
    for run in runs:
        int8_path(run.output).write_text(run.output.stem)
    report = run_series(output, runs, trainer(None, trained), resume=True)
    best = max((read_run(folder) for folder in report.runs), key=lambda one: one.best["f1"])
    assert int8_path(output).read_text() == best.name
    int8_path(best.folder.with_suffix(".safetensors")).unlink()
    run_series(output, runs, trainer(None, trained), resume=True)
    assert not int8_path(output).exists()  # of the series before, and of other weights
    assert trained == []


def test_finished_runs_are_not_done_again_and_interrupted_ones_go_on(small, tmp_path, caplog):
    output, trained = tmp_path / "a.safetensors", []
    runs = plan_series(output, configured(epochs=1), seeds=3, sweep={})

    def cut(run, goes_on):
        if run.output.stem == "a-seed-1":
            raise PowerCutError
        trainer(small, trained)(run, goes_on)

    with pytest.raises(PowerCutError):
        run_series(output, runs, cut)
    assert not output.exists()
    run_series(output, runs, trainer(small, trained))
    assert trained == [("a-seed-0", False), ("a-seed-1", False), ("a-seed-2", False)]
    with pytest.raises(OutputError, match="exists already"):
        run_series(output, runs, trainer(small, trained))
    told = "all 3 runs are finished: none is trained, and images and labels are not read"
    assert told not in caplog.text
    run_series(output, runs, trainer(small, trained), resume=True)
    assert told in caplog.text
    longer = plan_series(output, configured(epochs=2), seeds=3, sweep={})
    with pytest.raises(OutputError, match=r"was trained with train.epochs = 1, not 2"):
        run_series(output, longer, trainer(small, trained), resume=True)
    assert len(trained) == 3


def test_runs_that_learnt_from_other_labels_are_not_compared(small, tmp_path):
    data, trained = tmp_path / "data", []
    shutil.copytree(small, data)
    runs = plan_series(tmp_path / "a.safetensors", configured(epochs=1), seeds=2, sweep={})

    def cut(run, goes_on):
        if run.output.stem == "a-seed-1":
            raise PowerCutError
        trainer(data, trained)(run, goes_on)

    with pytest.raises(PowerCutError):
        run_series(tmp_path / "a.safetensors", runs, cut)
    for labels in data.rglob("*.json"):
        content = json.loads(labels.read_text())
        content["annotations"].pop()
        labels.write_text(json.dumps(content))
    with pytest.raises(TrainingError, match=r"a-seed-0.run was trained on other images or labels"):
        run_series(tmp_path / "a.safetensors", runs, trainer(data, trained))
    assert not (tmp_path / "a-seed-1.run").exists()
    run_series(tmp_path / "a.safetensors", runs, trainer(data, trained), overwrite=True)
    assert [name for name, _ in trained[-2:]] == ["a-seed-0", "a-seed-1"]


@pytest.mark.parametrize("last", ["write_int8", "write_training_report"])
def test_a_run_interrupted_after_its_last_epoch_is_ended_without_training(
    small, tmp_path, monkeypatch, last
):
    output, trained = tmp_path / "a.safetensors", []
    runs = plan_series(output, configured(epochs=1), seeds=2, sweep={})

    def cut(*_):
        raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr(f"geodet.training.train.{last}", cut)
        with pytest.raises(PowerCutError):
            run_series(output, runs, trainer(small, []))
    before = read_log(runs[0].output)
    report = run_series(output, runs, trainer(small, trained))
    assert trained == [("a-seed-0", True), ("a-seed-1", False)]
    assert read_log(runs[0].output) == before
    assert all((folder / "report.html").is_file() for folder in report.runs)
    run_series(output, runs, trainer(small, trained), resume=True)
    assert len(trained) == 2


def in_the_first_epoch(_):
    raise PowerCutError


@pytest.mark.parametrize("is_first_series", [True, False])
def test_a_run_that_was_interrupted_in_its_first_epoch_begins_anew(
    small, tmp_path, is_first_series
):
    output, trained = tmp_path / "a.safetensors", []
    runs = plan_series(output, configured(epochs=1), seeds=2, sweep={})
    if not is_first_series:
        run_series(output, runs, trainer(small, []))

    def cut(run, goes_on):
        if run.output.stem == "a-seed-0":
            return trainer(small, trained)(run, goes_on)
        options = {"overwrite": True, "step_progress": in_the_first_epoch}
        return run_training(small, run.output, run.config, device="cpu", **options)

    with pytest.raises(PowerCutError):
        run_series(output, runs, cut, overwrite=not is_first_series)
    report = run_series(output, runs, trainer(small, trained), resume=not is_first_series)
    assert trained == [("a-seed-0", False), ("a-seed-1", False)]
    assert [read_run(folder).epochs for folder in report.runs] == [1, 1]


def test_a_run_that_trained_and_has_lost_its_state_is_not_replaced_unasked(small, tmp_path):
    output = tmp_path / "a.safetensors"
    runs = plan_series(output, configured(epochs=2), seeds=1, sweep={"train.weight_decay": [0.0]})

    def cut(run, _):
        run_training(small, run.output, run.config, device="cpu", progress=cut_after(2))

    with pytest.raises(PowerCutError):
        run_series(output, runs, cut)
    (tmp_path / "a-weight_decay-0.run" / "state.pt").unlink()
    run_series(output, runs, trainer(small, []))  # all its epochs are done
    log = tmp_path / "a-weight_decay-0.run" / "log.csv"
    log.write_text("\n".join(log.read_text().splitlines()[:2]))
    with pytest.raises(OutputError, match=r"a-weight_decay-0\.safetensors exists already"):
        check_series(output, runs, resume=True)


def test_the_log_names_the_run_and_has_the_validation(series):
    report, _ = series
    (first, second) = (read_log(folder.with_suffix(".safetensors")) for folder in report.runs)
    assert [row["run"] for row in (*first, *second)] == ["a-seed-0"] * 2 + ["a-seed-1"] * 2
    for row in (*first, *second):
        assert float(row["val_loss"]) > 0
        assert 0 <= float(row["ap"]) <= float(row["ap50"]) <= 1


def test_a_record_says_what_the_log_and_the_model_say(series):
    report, _ = series
    run = read_run(report.runs[0])
    rows = read_log(run.folder.with_suffix(".safetensors"))
    best = max(reversed(rows), key=lambda row: float(row["f1"]))
    assert run.best["epoch"] == float(best["epoch"])
    assert (run.epochs, run.epochs_planned) == (2, 2)
    assert run.about.training["seed"] == run.settings["train.seed"] == 0
    assert run.about == load_description(run.folder / "best.safetensors")
    assert read_run(run.folder.with_suffix(".safetensors")) == run
    (run.folder / "run.json").rename(run.folder / "away.json")  # as an earlier version left it
    assert read_run(run.folder).settings["train.seed"] == 0
    (run.folder / "away.json").rename(run.folder / "run.json")


@pytest.mark.parametrize("text", ["{", "[]", '{"configuration": {"train": {"epochs": "x"}}}'])
def test_what_is_no_run_is_refused(tmp_path, text):
    with pytest.raises(TrainingError, match="is not a training run"):
        read_run(tmp_path)
    folder = tmp_path / "a.run"
    folder.mkdir()
    (folder / "run.json").write_text(text)
    with pytest.raises(TrainingError, match="cannot read the settings"):
        read_run(folder)


def test_a_table_has_the_settings_that_differ_and_the_best_epoch():
    first = record("one", f1=(0.2, 0.6, 0.6), **{"train.seed": 1, "augment.blur": 0.1})
    second = record("two", f1=(0.5,), **{"train.seed": 2, "augment.blur": 0.1})
    table = tabulate_runs([first, second])
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert "augment.blur" not in table.columns
    assert [row["train.seed"] for row in rows] == ["1", "2"]
    assert [row["epochs"] for row in rows] == ["3", "1 of 3"]
    assert [row["best epoch"] for row in rows] == ["3", "1"]
    assert [(row["best F1"], row["AP"]) for row in rows] == [("0.600", "0.300"), ("0.500", "0.250")]
    assert [row["chips/s"] for row in rows] == ["20.0", "10.0"]
    assert math.isnan(record("new").chips_per_second)


def test_formats_hold_the_same_cells(tmp_path):
    table = RunTable(("run", "best F1"), (("a_b|c", "0.5"), ("=1+1", "")))
    rows = list(csv.reader(io.StringIO(RUN_TABLES["csv"](table))))
    assert rows == [["run", "best F1"], ["a_b|c", "0.5"], ["'=1+1", ""]]
    markdown = RUN_TABLES["markdown"](table).splitlines()
    assert markdown[2] == r"| a_b\|c | 0.5 |"
    latex = RUN_TABLES["latex"](table)
    assert r"a\_b|c & 0.5 \\" in latex
    assert latex.startswith(r"\begin{tabular}{lr}")
    assert RUN_TABLES["text"](table).splitlines()[1] == "a_b|c  0.5"
    for end in (".txt", ".csv", ".md", ".tex"):
        write_run_table(table, tmp_path / f"runs{end}")
    with pytest.raises(OutputError, match="cannot tell the format"):
        write_run_table(table, tmp_path / "runs.xyz")


def test_the_plot_has_a_line_for_each_run(tmp_path):
    runs = [record(f"run {n}$", f1=(0.1 * n, 0.2 * n)) for n in range(1, 4)]
    plot_runs(runs, tmp_path / "runs.svg")
    drawn = (tmp_path / "runs.svg").read_text()
    for colour in ("#1f77b4", "#ff7f0e", "#2ca02c"):
        assert re.search(f"stroke: {colour}", drawn)
    plot_runs(runs, tmp_path / "runs.png")
    with Image.open(tmp_path / "runs.png") as image:
        assert image.width > 1000
