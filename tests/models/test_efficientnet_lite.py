import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from geodet.errors import ConfigError
from geodet.models.backbone import Backbone

NAME = "efficientnet_lite0"


def backbone(*, bands=3, level=5, **options):
    torch.manual_seed(3)
    return Backbone(NAME, bands=bands, level=level, **options).eval()


def in_order(network):
    """Return the tensors in the order of the layers, under other names."""
    kept = [v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")]
    return {f"layer_{number:03}": value.clone() for number, value in enumerate(kept)}


@pytest.mark.parametrize("size", [(64, 64), (61, 90), (1, 1)])
def test_stages_have_their_strides_and_widths(size):
    network = backbone()
    found = network(torch.randn(1, 3, *size))
    assert network.widths == [24, 40, 112, 320] == [len(f[0]) for f in found]
    for level, feature in enumerate(found, start=2):
        assert feature.shape[2:] == tuple(-(-side // 2**level) for side in size)


def test_features_are_those_of_timm():
    timm = pytest.importorskip("timm", reason="timm, the oracle, is not installed")
    theirs = timm.create_model(NAME, features_only=True, out_indices=(1, 2, 3, 4)).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # or all norms would be alike
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    own = backbone()
    pairs = zip(own.state_dict().values(), theirs.state_dict().values(), strict=True)
    for mine, value in pairs:
        mine.copy_(value)
    images = torch.randn(2, 3, 70, 64)
    for found, wanted in zip(own(images), theirs(images), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_first_weights_come_from_a_file_in_the_order_of_the_layers(tmp_path, suffix):
    wanted = backbone(level=5)
    state = in_order(wanted) | {"z_classifier": torch.zeros(1000, 1280)}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    torch.manual_seed(5)
    found = Backbone(NAME, bands=3, level=3, weights=str(path)).eval()
    images = torch.randn(1, 3, 32, 32)
    for one, other in zip(found(images), wanted(images), strict=False):
        assert torch.equal(one, other)


def test_first_weights_come_from_a_package(tmp_path, monkeypatch):
    package = tmp_path / "some_package" / "models"
    package.mkdir(parents=True)
    (tmp_path / "some_package" / "__init__.py").touch()
    wanted = backbone()
    torch.save(in_order(wanted), package / "weights.pth")
    monkeypatch.syspath_prepend(tmp_path)
    found = Backbone(NAME, bands=4, level=5, weights="some-package")
    assert "some_package" not in sys.modules
    torch.testing.assert_close(
        found.stem.conv.weight[:, :3].detach(), wanted.stem.conv.weight.detach() * 3 / 4
    )


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"conv": torch.zeros(64, 3, 7, 7)}, path)
    with pytest.raises(
        ConfigError, match=r"do not fit efficientnet_lite0: conv is \(64, 3, 7, 7\)"
    ):
        backbone(weights=str(path))
    torch.save({"conv": torch.zeros(32, 3, 3, 3)}, path)
    with pytest.raises(ConfigError, match="1 tensors are too few"):
        backbone(weights=str(path))


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "no-such-package", "missing.pth", ""])
def test_missing_weights_are_explained(name):
    with pytest.raises(ConfigError, match=r"train\.pretrained = ") as caught:
        backbone(weights=name)
    assert "file" in caught.value.hint


def test_norms_in_groups_are_refused():
    with pytest.raises(ConfigError, match="do not divide into 32 groups"):
        backbone(norm="group")


def test_frozen_norms_have_the_epsilon_of_the_others():
    norms = [m for m in backbone(norm="frozen_batch").modules() if isinstance(m, FrozenBatchNorm2d)]
    assert norms
    assert {norm.eps for norm in norms} == {1e-3}
