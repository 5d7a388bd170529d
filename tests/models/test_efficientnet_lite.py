import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from geodet.errors import ConfigError
from geodet.models.backbone import Backbone
from geodet.models.efficientnet_lite import EFFICIENTNETS, _names

NAME = "efficientnet_lite0"


def backbone(name=NAME, *, bands=3, level=5, **options):
    torch.manual_seed(3)
    return Backbone(name, bands=bands, level=level, **options).eval()


def named(network, *, is_timm=False):
    """Return the tensors under the names of lukemelas' or timm's network."""
    kept = [v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")]
    names = list(_names(NAME, is_timm=is_timm))
    return {name: value.clone() for name, value in zip(names, kept, strict=True)}


@pytest.mark.parametrize("size", [(64, 64), (61, 90), (1, 1)])
@pytest.mark.parametrize(
    ("name", "widths", "blocks"),
    [
        ("efficientnet_lite0", [24, 40, 112, 320], [3, 2, 6, 5]),
        ("efficientnet_lite1", [24, 40, 112, 320], [4, 3, 8, 6]),
        ("efficientnet_lite2", [24, 48, 120, 352], [4, 3, 8, 6]),
    ],
)
def test_stages_have_their_strides_widths_and_blocks(name, widths, blocks, size):
    network = backbone(name)
    found = network(torch.randn(1, 3, *size))
    assert network.widths == widths == [len(f[0]) for f in found]
    assert [len(stage) for stage in network.stages] == blocks
    for level, feature in enumerate(found, start=2):
        assert feature.shape[2:] == tuple(-(-side // 2**level) for side in size)


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_features_are_those_of_timm(tmp_path, name):
    timm = pytest.importorskip("timm", reason="timm, the oracle, is not installed")
    theirs = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4), bn_eps=1e-3)
    for module in theirs.eval().modules():
        if isinstance(module, nn.BatchNorm2d):  # or all norms would be alike
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    path = tmp_path / "timm.pth"
    torch.save(theirs.state_dict(), path)
    own = backbone(name, weights=str(path))
    images = torch.randn(2, 3, 70, 64)
    for found, wanted in zip(own(images), theirs(images), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("is_timm", [True, False])
def test_first_weights_come_from_a_file_by_their_names(tmp_path, suffix, is_timm):
    wanted = backbone(level=5)
    state = named(wanted, is_timm=is_timm) | {"classifier.weight": torch.zeros(1000, 1280)}
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
    torch.save(named(wanted), package / "weights.pth")
    monkeypatch.syspath_prepend(tmp_path)
    found = Backbone(NAME, bands=4, level=5, weights="some-package")
    assert "some_package" not in sys.modules
    torch.testing.assert_close(
        found.stem.conv.weight[:, :3].detach(), wanted.stem.conv.weight.detach() * 3 / 4
    )


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    with pytest.raises(ConfigError, match=r"_conv_stem\.weight is missing"):
        backbone(weights=str(path))
    torch.save({"conv_stem.weight": torch.zeros(40, 3, 3, 3)}, path)
    with pytest.raises(ConfigError, match=r"is \(40, 3, 3, 3\), not \(32, 3, 3, 3\)"):
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
