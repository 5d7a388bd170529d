import io
import re
import urllib.error
from copy import deepcopy
from email.message import Message
from http.client import IncompleteRead

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import ResNet18_Weights
from torchvision.ops import FrozenBatchNorm2d

from geodet.errors import ConfigError
from geodet.models.backbone import Backbone, _adapted_stem, adapt_filters

NAME = ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2]  # resnet18-f37072fd.pth


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Provide torch's folder of downloaded weights, empty, on a machine without a network."""

    def refuse(*_, **__):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def backbone(name="resnet18", *, bands=3, level=2, **options):
    return Backbone(name, bands=bands, level=level, **options).eval()


@pytest.mark.parametrize("level", [2, 3, 4, 5])
@pytest.mark.parametrize("size", [(64, 64), (61, 90), (1, 1)])
def test_stage_l_has_a_stride_of_two_to_the_l(level, size):
    features = backbone(level=level)(torch.randn(1, 3, *size))
    assert len(features) == level - 1
    for stage, feature in enumerate(features, start=2):
        assert feature.shape[2:] == tuple(-(-side // 2**stage) for side in size)


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("resnet18", [64, 128, 256, 512]),
        ("resnet34", [64, 128, 256, 512]),
        ("resnet50", [256, 512, 1024, 2048]),
        ("resnet101", [256, 512, 1024, 2048]),
        ("resnext101_32x8d", [256, 512, 1024, 2048]),
    ],
)
def test_widths_are_those_of_the_features(name, widths):
    network = backbone(name, level=5)
    assert network.widths == widths
    assert [feature.shape[1] for feature in network(torch.randn(1, 3, 32, 32))] == widths


def test_deeper_stages_and_the_classifier_are_left_out():
    names = {name.partition(".")[0] for name, _ in backbone(level=3).named_parameters()}
    stages = {name.split(".")[1] for name in backbone(level=3).state_dict() if "stages" in name}
    assert (names, stages) == ({"stem", "stages"}, {"0", "1"})


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 7])
def test_a_grey_image_gives_the_same_in_any_number_of_bands(bands):
    stem = nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False)
    adapted = _adapted_stem(stem, bands)
    grey = torch.randn(2, 1, 32, 32)
    assert adapted.weight.shape == (8, bands, 7, 7)
    torch.testing.assert_close(
        adapted(grey.expand(-1, bands, -1, -1)), stem(grey.expand(-1, 3, -1, -1))
    )
    torch.testing.assert_close(adapted.weight.sum(dim=1), stem.weight.sum(dim=1))


@pytest.mark.parametrize(("before", "after"), [(4, 3), (5, 3), (5, 4), (3, 3), (2, 2)])
def test_fewer_bands_keep_their_filters_and_share_those_of_the_rest(before, after):
    filters = torch.randn(8, before, 7, 7)
    rest = filters[:, after:].sum(dim=1, keepdim=True) / after
    adapted = adapt_filters(filters, range(after))
    torch.testing.assert_close(adapted, filters[:, :after] + rest)


@pytest.mark.parametrize(("before", "after"), [(4, 1), (4, 2), (1, 3), (2, 4), (1, 4)])
def test_where_bands_are_no_colours_all_get_the_mean(before, after):
    filters = torch.randn(8, before, 7, 7)
    mean = filters.mean(dim=1, keepdim=True) * before / after
    adapted = adapt_filters(filters, [None] * after)
    torch.testing.assert_close(adapted, mean.expand(-1, after, -1, -1))


@pytest.mark.parametrize(
    ("before", "places"),
    [(3, (2, 1, 0)), (3, (None, 0, 1)), (4, (3, 0)), (3, (0, None, 2, None)), (1, (0, None))],
)
def test_a_grey_image_gives_the_same_wherever_bands_take_their_filters(before, places):
    filters = torch.randn(8, before, 7, 7)
    adapted = adapt_filters(filters, places)
    assert adapted.shape == (8, len(places), 7, 7)
    torch.testing.assert_close(adapted.sum(dim=1), filters.sum(dim=1))


def test_a_new_band_takes_the_filters_of_the_one_that_it_replaces():
    filters = torch.randn(8, 3, 7, 7)
    assert torch.equal(adapt_filters(filters, (None, 0, 1)), filters[:, [2, 0, 1]])
    assert torch.equal(adapt_filters(filters, (2, 1, 0)), filters.flip(1))


def test_more_bands_keep_the_filters_of_the_first_three():
    stem = nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False)
    weight = _adapted_stem(stem, 5).weight
    torch.testing.assert_close(weight[:, :3], stem.weight * 3 / 5)
    torch.testing.assert_close(weight[:, 3], stem.weight.mean(dim=1) * 3 / 5)


def test_three_bands_keep_the_stem():
    stem = nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False)
    assert _adapted_stem(stem, 3) is stem


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_the_adapted_stem_learns(bands):
    network = backbone(bands=bands)
    network(torch.randn(2, bands, 32, 32))[0].sum().backward()
    assert network.stem.conv.weight.requires_grad
    assert network.stem.conv.weight.grad.abs().sum() > 0


def save_weights(path):
    torch.manual_seed(7)
    state = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(state, path)
    return state


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "DEFAULT"])
def test_weights_by_name_come_from_the_hub_folder(hub, name):
    state = save_weights(hub / NAME)
    network = backbone(level=5, weights=name)
    assert torch.equal(network.stem.conv.weight, state["conv1.weight"])
    assert torch.equal(network.stem.norm.running_mean, state["bn1.running_mean"])
    for index, stage in enumerate(network.stages, start=1):
        for key, value in stage.state_dict().items():
            assert torch.equal(value, state[f"layer{index}.{key}"])


def test_weights_by_name_fit_other_bands(hub):
    state = save_weights(hub / NAME)
    network = backbone(bands=1, weights="IMAGENET1K_V1")
    wanted = state["conv1.weight"].sum(dim=1, keepdim=True)
    torch.testing.assert_close(network.stem.conv.weight.detach(), wanted)


def test_frozen_norms_take_the_statistics_of_the_weights_and_keep_them(hub):
    path = hub / NAME
    state = save_weights(path)
    state["bn1.running_mean"] = torch.randn(64)
    torch.save(state, path)
    frozen = backbone(norm="frozen_batch", weights="IMAGENET1K_V1")
    images = torch.randn(2, 3, 32, 32)
    wanted = backbone(weights="IMAGENET1K_V1")(images)[0]
    torch.testing.assert_close(frozen(images)[0], wanted)
    frozen.train()(images)[0].sum().backward()
    assert torch.equal(frozen.stem.norm.running_mean, state["bn1.running_mean"])
    assert not [name for name, _ in frozen.named_parameters() if "norm" in name or "bn" in name]
    torch.testing.assert_close(frozen(images)[0], wanted)


@pytest.mark.parametrize("stages", range(6))
def test_frozen_stages_are_those_that_torchvision_would_not_train(stages):
    network = backbone(level=5)
    network.freeze(stages)
    learns = {
        name.removeprefix("stages.").partition(".")[0]
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    reference = torchvision.models.detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        trainable_layers=5 - stages,
        norm_layer=FrozenBatchNorm2d,  # or the norm of a frozen stem would learn there
    ).body
    wanted = {name.partition(".")[0] for name, p in reference.named_parameters() if p.requires_grad}
    names = {"conv1": "stem"} | {f"layer{n}": str(n - 1) for n in range(1, 5)}
    assert learns == {names[name] for name in wanted}


def test_frozen_stages_do_not_change_in_training():
    network = backbone(level=3)
    network.freeze(2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network.train()(torch.randn(4, 3, 32, 32))[-1].square().sum().backward()
    optimizer.step()
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(key.startswith("stages.1.") for key in changed)
    assert "stages.1.0.bn1.running_mean" in changed
    assert (network.training, network.stages[0].training) == (True, False)
    assert network.stages[1][0].bn1.training
    copy = deepcopy(network).train()  # as the averaged weights are one
    assert (copy.stages[0].training, copy.stages[1].training) == (False, True)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", ["IMAGENET1K_V9", "", "imagenet"])
def test_unknown_weights_are_refused(name):
    message = rf"train\.pretrained = '{name}': resnet18 has no such weights"
    with pytest.raises(ConfigError, match=message) as caught:
        backbone(weights=name)
    assert "IMAGENET1K_V1" in caught.value.hint


@pytest.mark.usefixtures("hub")
def test_weights_of_another_network_are_refused():
    with pytest.raises(ConfigError, match="resnet18 has no such weights"):
        backbone(weights="IMAGENET1K_V2")  # which resnet50 has


def test_a_download_that_fails_is_explained(hub):
    message = "weights of resnet18 cannot be loaded: .*no network in tests"
    with pytest.raises(ConfigError, match=message) as caught:
        backbone(weights="IMAGENET1K_V1")
    assert str(hub) in caught.value.hint
    assert list(hub.iterdir()) == []


class _Answer(io.BytesIO):
    """A server's answer, as urllib gives it."""

    def info(self):
        return Message()


def test_a_download_with_another_checksum_is_not_kept(hub, monkeypatch):
    monkeypatch.setattr(torch.hub, "urlopen", lambda *_, **__: _Answer(b"a captive portal"))
    with pytest.raises(ConfigError, match=r'cannot be loaded: invalid hash value .*"f37072fd"'):
        backbone(weights="IMAGENET1K_V1")
    assert list(hub.iterdir()) == []


def test_a_download_that_breaks_off_is_explained(hub, monkeypatch):
    def break_off(*_, **__):
        raise IncompleteRead(b"half")

    monkeypatch.setattr(torch.hub, "urlopen", break_off)
    with pytest.raises(ConfigError, match="cannot be loaded: IncompleteRead"):
        backbone(weights="IMAGENET1K_V1")
    assert list(hub.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"a captive portal", b"half"])
def test_a_broken_file_in_the_hub_folder_is_explained(hub, content):
    if content == b"half":
        save_weights(hub / NAME)
        content = (hub / NAME).read_bytes()[:100_000]
    (hub / NAME).write_bytes(content)
    with pytest.raises(ConfigError, match="weights of resnet18 cannot be loaded") as caught:
        backbone(weights="IMAGENET1K_V1")
    assert re.search("delete a broken file", caught.value.hint)
