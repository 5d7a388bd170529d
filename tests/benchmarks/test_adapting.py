"""Adapting a model without labels: the arithmetic of norms and of averaged weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import geodet
from geodet.models.checkpoint import load_network, save_model
from geodet.tilesets.labels import LabelledImage

FOLDER = Path(geodet.__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not in the wheel")


@pytest.fixture(autouse=True)
def _import_as_scripts_do(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def norms(network):
    return [
        torch.stack([norm.running_mean, norm.running_var])
        for norm in network.modules()
        if isinstance(norm, nn.BatchNorm2d)
    ]


def images(make_scene):
    none = np.zeros((0, 4))
    path = make_scene("a.tif", width=64, height=64)
    return [LabelledImage(path, 64, 64, none, np.zeros(0, np.int64), none, "a", "val", None)]


def test_a_share_of_nothing_leaves_the_norms_as_they_are(make_scene, make_model):
    from adapting import blend_norms

    network, about = load_network(make_model())
    before = norms(network)
    blend_norms(network, about, images(make_scene), (), 0.0)
    for one, other in zip(norms(network), before, strict=True):
        torch.testing.assert_close(one, other)
    assert not network.training


def test_half_a_share_lies_in_the_middle(make_scene, make_model):
    from adapting import blend_norms

    blended = []
    for share in (0.0, 0.5, 1.0):
        network, about = load_network(make_model())
        blend_norms(network, about, images(make_scene), (), share)
        blended.append(norms(network))
    for old, middle, new in zip(*blended, strict=True):
        torch.testing.assert_close(middle, (old + new) / 2)
    assert any((old != new).any() for old, new in zip(blended[0], blended[2], strict=True))


def test_averaged_models_have_the_mean_weights(tmp_path, make_model):
    from adapting import average_models

    network, about = load_network(make_model())
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path, factor in zip(files, (1.0, 3.0), strict=True):
        other, _ = load_network(make_model())
        with torch.no_grad():
            for weight in other.parameters():
                weight.mul_(factor)
        save_model(path, other, about)
    mean, _ = load_network(average_models(files, tmp_path / "mean.safetensors"))
    for found, wanted in zip(mean.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(found, 2 * wanted, rtol=2e-3, atol=1e-3)
