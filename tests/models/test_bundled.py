"""The bundled models: small, described, and as good as their cards say."""

from pathlib import Path

import pytest
from factories_tilesets import shared_data, some_trees

from geodet.config.recipes import resolve_config
from geodet.evaluation.evaluate import evaluate_model
from geodet.models.checkpoint import load_checkpoint
from geodet.models.description import iter_bundled, load_description
from geodet.onnx.backend import load_model
from geodet.onnx.onnx_engine import OnnxEngine

PROJECT = Path(__file__).parents[2]
BUNDLED = dict(iter_bundled())


DATA = {
    "thermal": "thermal",
    "urban-trees": "urban-trees",
    "urban-trees-nir": "urban-trees",
    "vehicles": "vehicles",
    "vehicles-oriented": "vehicles",
}


def test_the_models_are_bundled_and_small_together():
    assert set(BUNDLED) == set(DATA)
    assert sum(file.stat().st_size for file in BUNDLED.values()) <= 45e6


@pytest.mark.parametrize("name", BUNDLED)
def test_a_model_is_small_and_loads(name):
    assert BUNDLED[name].stat().st_size <= 15e6
    model = load_checkpoint(name)
    assert model.description.name == name
    assert not any(p.isnan().any() for p in model.network.parameters())


@pytest.mark.parametrize("name", BUNDLED)
def test_a_card_says_what_the_file_says(name):
    card = BUNDLED[name].with_suffix(".md").read_text(encoding="utf-8")
    about = load_description(BUNDLED[name])
    for heading in ("## Data", "## Figures", "## Limits", "## Training"):
        assert heading in card
    for figure in ("f1", "precision", "recall"):
        assert f"{about.figures[figure]:.3f}" in card
    assert f"{about.training['train_images']:,}" in card
    assert f"{about.score_threshold:g}" in card
    assert str(about.training["data"]).rpartition(", ")[2] in card  # the licence


@pytest.mark.parametrize(("name", "folder"), DATA.items())
def test_a_model_is_as_good_as_its_card_on_chips_it_never_saw(name, folder, tmp_path, monkeypatch):
    data = shared_data(folder)
    if not data.is_dir():
        pytest.skip(f"needs the labelled images of ../shared/data/{folder}")
    if folder == "urban-trees":  # GDAL would open 1,347 images of the training for nothing
        data, *_ = some_trees(tmp_path / "trees", lambda _, row: row["fold"] == "val")
    if name == "vehicles-oriented":  # the labels are upright boxes, into which it fits rectangles
        monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
        from fitted_rectangles import write_fitted

        write_fitted(data, tmp_path / "fitted")
        data = tmp_path / "fitted"
    model = load_checkpoint(name)
    config = resolve_config(name)
    report = evaluate_model(model, data, config, device="cpu")
    found, about = report.evaluation.overall.scores, model.description
    if not about.training["val_images"]:  # it learnt from all, and the figure is a twin's
        assert found.f1 > about.figures["f1"]
        return
    assert report.images == about.training["val_images"]
    assert found.f1 == pytest.approx(about.figures["f1"], abs=0.005)


@pytest.mark.parametrize("name", BUNDLED)
def test_an_eight_bit_file_is_of_the_same_weights(name):
    """Not every model has one; one of other weights would be warned of and not used."""
    model = load_model(name)
    if model.int8 is not None:
        engine = OnnxEngine(model.int8)
        assert (engine.source, engine.precision) == (model.digest, "int8")
        assert engine.about == model.description
        assert model.int8.stat().st_size <= 5e6
