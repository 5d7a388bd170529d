import sys

import pytest
import torch
from factories_models import architecture, describe, seeded_network

from geodet.config.recipes import resolve_config
from geodet.errors import ConfigError, ModelFileError
from geodet.models.checkpoint import load_checkpoint, save_model
from geodet.models.folding import fold_norms
from geodet.models.timm_backbone import TimmBackbone
from geodet.onnx.graph import plain_graph

timm = pytest.importorskip("timm", reason="timm is not installed")

NAMES = ["resnet18", "mobilenetv3_small_050", "convnext_atto"]


def backbone(name="resnet18", *, bands=3, level=4, **options):
    torch.manual_seed(0)
    return TimmBackbone(f"timm/{name}", bands=bands, level=level, **options).eval()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("bands", "level"), [(3, 5), (5, 3)])
def test_stages_have_their_strides_and_widths(name, bands, level):
    network = backbone(name, bands=bands, level=level)
    found = network(torch.randn(2, bands, 64, 96))
    assert [f.shape[1] for f in found] == network.widths
    assert [tuple(f.shape[2:]) for f in found] == [
        (64 // 2**stage, 96 // 2**stage) for stage in range(2, level + 1)
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stages", [0, 1, 2, 4])
def test_frozen_parts_come_first_and_do_not_learn(name, stages):
    network = backbone(name)
    network.freeze(stages)
    learns = [parameter.requires_grad for parameter in network.parameters()]
    assert learns[0] == (stages == 0)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    features = network(torch.randn(2, 3, 64, 64))
    assert features[-1].requires_grad == (stages < 4)
    if features[-1].requires_grad:
        features[-1].square().sum().backward()
        torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1).step()
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    after = network.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in frozen)
    if stages:
        statistics = [key for key in after if key.endswith("running_mean")]
        assert all(torch.equal(after[key], before[key]) for key in statistics[:1])


def test_weights_come_from_a_file(tmp_path):
    path = tmp_path / "weights.pth"
    torch.manual_seed(9)
    state = timm.create_model("resnet18").state_dict()
    torch.save(state, path)
    network = backbone(weights=str(path))
    assert torch.equal(network.state_dict()["body.conv1.weight"], state["conv1.weight"])


def test_a_network_with_such_a_backbone_is_saved_and_loaded(tmp_path):
    config = architecture((2, 3), backbone="timm/mobilenetv3_small_050", head_convs=1)
    network = seeded_network(config, classes=2)
    path = tmp_path / "mine.safetensors"
    save_model(path, network, describe(config))
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        wanted = network(images).logits
        found = load_checkpoint(path).network(images).logits
        folded = fold_norms(network)(images).logits
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.02)  # stored in float16
    torch.testing.assert_close(folded, wanted, atol=1e-4, rtol=1e-4)


def test_such_a_backbone_is_not_exported():
    config = architecture((2, 3), backbone="timm/mobilenetv3_small_050")
    with pytest.raises(ModelFileError, match="timm/mobilenetv3_small_050 cannot be exported"):
        plain_graph(seeded_network(config, classes=2), describe(config))


def test_nothing_is_downloaded_offline(monkeypatch):
    monkeypatch.setattr("geodet.models.timm_backbone.is_offline", lambda: True)
    with pytest.raises(ConfigError, match="and geodet is offline") as caught:
        backbone(weights="timm")
    assert "file" in caught.value.hint


def test_unknown_networks_are_refused():
    with pytest.raises(ConfigError, match="timm/resnet19") as caught:
        backbone("resnet19")
    assert "list_models" in caught.value.hint


def test_a_network_without_the_stages_is_refused():
    with pytest.raises(ConfigError, match=r"has stages of the strides .*, not \[4, 8, 16\]"):
        backbone("vit_tiny_patch16_224")


def test_without_timm_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match="needs the package timm") as caught:
        backbone()
    assert "geodet[timm]" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.backbone=resnet19"], "'resnet19' is not known: .*did you mean 'resnet18'"),
        (["model.backbone=timm/resnet18", "model.antialias=true"], "no effect on a backbone of"),
        (["model.backbone=timm/resnet18", "model.backbone_norm=group"], "no effect on a backbone"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        resolve_config(settings=settings)
