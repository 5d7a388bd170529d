"""The bundled models: small, described, and as good as their cards say."""

from pathlib import Path

import pytest

from geodet.evaluate import evaluate
from geodet.models.checkpoint import iter_bundled, load_description, load_model
from geodet.recipes import resolve_config

SHARED = Path(__file__).parents[1].parent / "shared"
BUNDLED = dict(iter_bundled())


def test_urban_trees_is_bundled():
    assert "urban-trees" in BUNDLED


@pytest.mark.parametrize("name", BUNDLED)
def test_a_model_is_small_and_loads(name):
    assert BUNDLED[name].stat().st_size <= 15e6
    model = load_model(name)
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
    assert str(about.training["train_images"]) in card
    assert f"{about.score_threshold:g}" in card
    assert "CC BY 4.0" in card


def test_urban_trees_is_as_good_as_its_card_on_chips_it_never_saw():
    data = SHARED / "data" / "urban-trees"
    if not data.is_dir():
        pytest.skip("needs the labelled chips of ../shared/data/urban-trees")
    model = load_model("urban-trees")
    report = evaluate(model, data, resolve_config("urban-trees"), device="cpu")
    assert report.images == 49
    assert report.overall.f1 == pytest.approx(model.description.figures["f1"], abs=0.005)
    assert report.overall.f1 >= 0.70
