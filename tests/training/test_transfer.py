import logging

import pytest
import torch
from factories_models import architecture, seeded_network

from geodet.errors import ConfigError, ModelFileError
from geodet.models.backbone import adapt_filters
from geodet.models.checkpoint import load_checkpoint, save_model
from geodet.models.description import ModelDescription
from geodet.raster.bands import band_meanings, match_bands
from geodet.training.band_statistics import BandStatistics
from geodet.training.transfer import adopt_inputs, transfer_weights

STEM = "backbone.stem.conv.weight"


def saved(folder, config=None, *, bands=3, classes=1):
    """Write a model of a seeded network whose norms have seen something, and give both."""
    network = seeded_network(config, seed=1, bands=bands, classes=classes).train()
    with torch.no_grad():
        network(torch.randn(4, bands, 64, 64, generator=torch.Generator().manual_seed(1)))
        for tensor in network.parameters():
            tensor.copy_(tensor.half())  # as the file has it
        for name, tensor in network.named_parameters():
            if "norms" in name:
                tensor.add_(torch.randn(tensor.shape))
    values = dict.fromkeys(("mean", "std", "low", "high"), (1.0,) * bands)
    description = ModelDescription(
        name="a",
        architecture=network.config,
        classes=tuple("abcdefgh"[:classes]),
        bands=tuple("rgbnst"[:bands]),
        dtype="uint8",
        gsd=None,
        score_threshold=0.5,
        **values,
    )
    save_model(folder / "a.safetensors", network, description)
    return folder / "a.safetensors", network.state_dict()


def transfer_into(network, path, classes="abcdefgh", **options):
    """Transfer weights into a network of the first of some classes, named by a letter."""
    named = classes[: network.classifier.outputs]
    return transfer_weights(network, path, classes=[*named], **options)


def counted(state):
    return {key for key in state if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("norm", ["none", "group", "batch"])
def test_a_network_of_the_same_architecture_takes_all_weights(tmp_path, norm):
    config = architecture((2, 4), head_norm=norm)
    path, theirs = saved(tmp_path, config)
    network = seeded_network(config)
    transfer = transfer_into(network, path)
    assert transfer.fresh == []
    assert set(transfer.taken) == counted(theirs)
    for key, tensor in network.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(tensor, theirs[key]), key


def test_weights_that_do_not_fit_stay_as_initialised(tmp_path):
    path, theirs = saved(tmp_path, architecture((2, 2)))
    config = architecture((2, 2), 3, head_convs=2)
    network, before = seeded_network(config, classes=2), seeded_network(config, classes=2)
    transfer = transfer_into(network, path)
    assert not set(transfer.taken) & set(transfer.fresh)
    assert set(transfer.taken) | set(transfer.fresh) == counted(network.state_dict())
    for key, tensor in network.state_dict().items():
        wanted = theirs if key in transfer.taken else before.state_dict()
        assert torch.equal(tensor, wanted[key]), key
    parts = {".".join(key.split(".")[:3]) for key in transfer.fresh}
    assert parts == {
        "backbone.stages.1",
        "pyramid.fpn.inner_blocks",
        "classifier.convs.1",
        "classifier.norms.0",
        "classifier.last.weight",
        "classifier.last.bias",
        "regressor.convs.1",
        "regressor.norms.0",
        "regressor.last.weight",
        "regressor.last.bias",
    }


def test_the_last_layer_of_a_head_with_other_hidden_layers_is_fresh(tmp_path):
    path, _ = saved(tmp_path, architecture((2, 2), head_convs=2))
    network = seeded_network(architecture((2, 2), head_convs=2, box_head_convs=0))
    fresh = transfer_into(network, path).fresh
    assert fresh == ["regressor.last.bias", "regressor.last.weight"]


@pytest.mark.parametrize(
    ("before", "after"), [(3, 4), (4, 3), (3, 1), (1, 3), (4, 1), (1, 4), (2, 4), (5, 3)]
)
def test_the_stem_is_adapted_to_the_bands(tmp_path, before, after):
    path, theirs = saved(tmp_path, bands=before)
    network = seeded_network(bands=after)
    assert STEM in transfer_into(network, path).taken
    stem = network.state_dict()[STEM]
    by_place = match_bands([""] * after, [""] * before)
    assert torch.equal(stem, adapt_filters(theirs[STEM], by_place))
    grey = [theirs[STEM].sum(dim=1), stem.sum(dim=1)]
    torch.testing.assert_close(*grey)


@pytest.mark.parametrize(
    ("shown", "order", "said"),
    [
        (
            ("b", "g", "r"),
            (2, 1, 0),
            "its bands are r, g, b, those of the training images blue, green, red: filters",
        ),
        (("nir", "r", "g"), (2, 0, 1), "matched by band, new are those of nir"),
        (("r", "g", ""), (0, 1, 2), None),
        (("", "", ""), (0, 1, 2), None),
    ],
)
def test_the_stem_follows_what_the_bands_show(tmp_path, caplog, shown, order, said):
    caplog.set_level(logging.INFO, "geodet")
    path, theirs = saved(tmp_path)
    network = seeded_network()
    bands = band_meanings(shown, [""] * 3)
    transfer_into(network, path, bands=bands)
    assert torch.equal(network.state_dict()[STEM], theirs[STEM][:, list(order)])
    assert (said or "43 of 43 tensors taken") in caplog.text
    assert ("filters are matched by" in caplog.text) == (said is not None)


@pytest.mark.parametrize(
    ("shown", "lost"),
    [(("r", "g", "b"), "n"), (("n", "r", "g"), "b")],
)
def test_bands_that_only_the_model_has_are_warned_of(tmp_path, caplog, shown, lost):
    path, _ = saved(tmp_path, bands=4)
    transfer_into(seeded_network(), path, bands=band_meanings(shown, [""] * 3))
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert f"the training images have no band {lost}, whose filters" in record.getMessage()


def outputs_of(state):
    """Return the weights and biases of the classifier's last layer: (A, K, ...) each."""
    parts = (state[f"classifier.last.{part}"] for part in ("weight", "bias"))
    return [part.reshape(PER_CELL, -1, *part.shape[1:]) for part in parts]


RATIOS = (0.5, 1.0, 2.0)
PER_CELL = len(RATIOS)


@pytest.mark.parametrize("names", ["cba", "bca", "ba", "c", "dcba", "cdae", "aB"])
def test_the_outputs_of_classes_are_taken_by_name(tmp_path, names):
    config = architecture(anchor_ratios=RATIOS)
    path, theirs = saved(tmp_path, config, classes=3)
    network = seeded_network(config, seed=2, classes=len(names))
    before = outputs_of(seeded_network(config, seed=2, classes=len(names)).state_dict())
    transfer = transfer_into(network, path, names)
    for now, fresh, known in zip(
        outputs_of(network.state_dict()), before, outputs_of(theirs), strict=True
    ):
        for place, name in enumerate(names.lower()):
            wanted = fresh[:, place] if name in "de" else known[:, "abc".index(name)]
            assert torch.equal(now[:, place], wanted)
    in_part = ["classifier.last.bias", "classifier.last.weight"] if "d" in names else []
    assert transfer.fresh == in_part


def test_without_a_common_class_the_outputs_are_new_but_for_a_single_class(tmp_path):
    config = architecture(anchor_ratios=RATIOS)
    path, _ = saved(tmp_path, config, classes=2)
    fresh = ["classifier.last.bias", "classifier.last.weight"]
    for names in ("cd", "cdef", "c"):
        network = seeded_network(config, classes=len(names))
        before = outputs_of(seeded_network(config, classes=len(names)).state_dict())
        assert transfer_into(network, path, names).fresh == fresh
        assert all(map(torch.equal, outputs_of(network.state_dict()), before))
    path, theirs = saved(tmp_path, config, classes=1)
    network = seeded_network(config)
    assert transfer_into(network, path, "b").fresh == []
    assert all(map(torch.equal, outputs_of(network.state_dict()), outputs_of(theirs)))


def test_scores_are_taken_only_of_as_many_anchors(tmp_path):
    """Three classes of one anchor have the shape of one class of three anchors."""
    path, _ = saved(tmp_path, architecture(anchor_ratios=(1.0,)), classes=3)
    network = seeded_network(architecture(anchor_ratios=RATIOS), classes=1)
    last = {f"{head}.last.{part}" for head in HEADS for part in ("weight", "bias")}
    assert set(transfer_into(network, path).fresh) == last


HEADS = ("classifier", "regressor")


def test_a_level_takes_the_weights_of_the_same_level_or_the_nearest(tmp_path):
    path, theirs = saved(tmp_path, architecture((2, 3), 4))
    network = seeded_network(architecture((3, 4)))
    transfer = transfer_into(network, path)
    assert transfer.fresh == []
    state = network.state_dict()
    for part in ("classifier.norms.{}.0.weight", "regressor.norms.{}.0.running_mean"):
        for level in (0, 1):  # P3, and P4, which they do not have
            assert torch.equal(state[part.format(level)], theirs[part.format(1)])
    inner, outer = "pyramid.fpn.inner_blocks.{}.0.weight", "pyramid.fpn.layer_blocks.{}.0.weight"
    for level in (0, 1):
        assert torch.equal(state[inner.format(level)], theirs[inner.format(level + 1)])
        assert torch.equal(state[outer.format(level)], theirs[outer.format(1)])


def test_finer_levels_keep_their_own_lateral_weights(tmp_path):
    path, _ = saved(tmp_path, architecture((4, 7)))
    transfer = transfer_into(seeded_network(architecture((2, 6))), path)
    fresh = {key.rpartition(".")[0] for key in transfer.fresh}
    assert fresh == {"pyramid.fpn.inner_blocks.0.0", "pyramid.fpn.inner_blocks.1.0"}
    assert "pyramid.extra.0.weight" in transfer.taken


def test_other_heads_keep_what_is_common(tmp_path):
    path, _ = saved(tmp_path, architecture((2, 2), head_norm="group"))
    batch = seeded_network(architecture((2, 2), head_norm="batch"))
    parts = {key.rpartition(".")[2] for key in transfer_into(batch, path).fresh}
    assert parts == {"running_mean", "running_var"}
    wide = seeded_network(architecture((2, 2), channels=24))
    taken = transfer_into(wide, path).taken
    assert {key.partition(".")[0] for key in taken} == {"backbone"}


def test_another_backbone_is_refused(tmp_path):
    path, _ = saved(tmp_path)
    network = seeded_network(architecture(backbone="resnet34"))
    before = network.state_dict()[STEM].clone()
    with pytest.raises(ConfigError, match="its backbone is resnet18, not resnet34") as caught:
        transfer_into(network, path)
    assert "model.backbone = resnet18" in caught.value.hint
    assert torch.equal(network.state_dict()[STEM], before)


def test_an_unknown_model_is_refused():
    with pytest.raises(ModelFileError, match="unknown model 'urban-tree'"):
        transfer_into(seeded_network(), "urban-tree")


def test_the_log_says_what_was_taken_and_what_was_not(tmp_path, caplog):
    path, _ = saved(tmp_path)
    network = seeded_network(classes=2)
    with caplog.at_level(logging.INFO, logger="geodet"):
        transfer = transfer_into(network, path)
    count = len(transfer.taken)
    assert f"{count} of {count + 2} tensors taken" in caplog.messages[0]
    assert caplog.messages[1] == "train.init: new weights, in whole or in part: classifier.last"


NEW = ["new weights, in whole or in part: classifier.last"]
NONE = "none of its classes (a, b) is one of c, d: all outputs are new; data.class_map renames "


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("ab", []),
        ("ba", ["the outputs of b, a are taken by name"]),
        ("cb", [*NEW, "the output of b is taken by name, c is new, a is left out"]),
        ("cd", [*NEW, f"{NONE}labels"]),
    ],
)
def test_the_log_says_what_becomes_of_the_classes(tmp_path, caplog, names, told):
    path, _ = saved(tmp_path, classes=2)
    with caplog.at_level(logging.INFO, logger="geodet"):
        transfer_into(seeded_network(classes=2), path, names)
    assert caplog.messages[1:] == [f"train.init: {text}" for text in told]


def test_a_bundled_model_is_found_by_its_name():
    config = architecture(backbone="efficientnet_lite0")
    transfer = transfer_into(seeded_network(config, bands=4), "urban-trees")
    assert STEM in transfer.taken


@pytest.mark.parametrize(
    ("gsd", "warning"),
    [
        (0.07, "objects appear 8.6 times as large as in its training"),
        (1.8, "objects appear 3.0 times as small as in its training"),
        (0.5, ""),
        (None, ""),
    ],
)
def test_a_model_of_another_gsd_is_warned_of(caplog, gsd, warning):
    network = seeded_network(load_checkpoint("urban-trees").description.architecture)
    transfer_into(network, "urban-trees", gsd=gsd)
    assert warning in caplog.text
    assert ("geodet tile --gsd 0.6" in caplog.text) == bool(warning)


def model_of_inputs(folder, mean, std, dtype="uint8"):
    description = ModelDescription(
        name="a",
        architecture=architecture(),
        classes=("tree",),
        bands=tuple("rgbn"[: len(mean)]),
        dtype=dtype,
        mean=mean,
        std=std,
        low=(0.0,) * len(mean),
        high=(255.0,) * len(mean),
        gsd=None,
        score_threshold=0.5,
    )
    path = folder / "inputs.safetensors"
    save_model(path, seeded_network(bands=len(mean)), description)
    return path


OWN = BandStatistics([100.0, 120.0], [30.0, 40.0], [1.0, 2.0], [250.0, 251.0])


def test_a_training_keeps_the_inputs_of_the_model_that_it_starts_from(tmp_path):
    path = model_of_inputs(tmp_path, (110.0, 100.0), (45.0, 40.0))
    assert adopt_inputs(OWN, path, "uint8") == OWN._replace(mean=[110.0, 100.0], std=[45.0, 40.0])


@pytest.mark.parametrize(
    ("mean", "std", "dtype"),
    [
        ((110.0, 100.0), (45.0, 40.0), "uint16"),
        ((110.0, 100.0, 90.0), (45.0, 40.0, 40.0), "uint8"),
        ((150.0, 100.0), (45.0, 40.0), "uint8"),
        ((110.0, 100.0), (45.0, 81.0), "uint8"),
        ((110.0, 100.0), (14.0, 40.0), "uint8"),
    ],
    ids=["another type", "more bands", "other means", "smaller deviation", "larger deviation"],
)
def test_imagery_of_another_kind_is_scaled_by_its_own_statistics(tmp_path, mean, std, dtype):
    path = model_of_inputs(tmp_path, mean, std, dtype)
    assert adopt_inputs(OWN, path, "uint8") == OWN


@pytest.mark.parametrize(
    ("bands", "mean"),
    [
        (("green", "red"), [100.0, 110.0]),
        (("nir", "red"), OWN.mean),
        (("", "green"), [110.0, 100.0]),
    ],
)
def test_the_inputs_of_the_model_are_those_of_the_same_bands(tmp_path, bands, mean):
    path = model_of_inputs(tmp_path, (110.0, 100.0), (45.0, 40.0))
    assert adopt_inputs(OWN, path, "uint8", bands=bands).mean == mean
