import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from factories_models import architecture, seeded_network
from safetensors.torch import load_file, save_file

from geodet.errors import ModelFileError, OutputError
from geodet.models import description
from geodet.models.checkpoint import load_checkpoint, save_model
from geodet.models.description import (
    FORMAT,
    ModelDescription,
    find_model,
    iter_bundled,
    load_description,
)

DESCRIPTION = ModelDescription(
    name="squares",
    description="bright squares",
    architecture=architecture((2, 4), 5),
    classes=("square", "disc"),
    bands=("red", "nir"),
    dtype="uint16",
    mean=(100.0, 2000.5),
    std=(10.0, 300.25),
    low=(0.0, 1.0),
    high=(4000.0, 9000.0),
    gsd=0.3,
    score_threshold=0.42,
    iou_threshold=0.4,
    training={"data": "painted", "epochs": 3, "share": 0.5},
    figures={"f1": 0.75},
)


def build(seed=0):
    """Build a network whose norms have seen something."""
    network = seeded_network(DESCRIPTION.architecture, bands=2, classes=2, seed=seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the statistics are those of the one batch
    with torch.no_grad():
        network.train()(torch.randn(4, 2, 64, 64, generator=torch.Generator().manual_seed(seed)))
    return network.eval()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "squares.safetensors"
    save_model(path, build(), DESCRIPTION)
    return path


def rewrite(source, path, *, metadata=None, weights=None):
    """Copy a model file with another description or other weights."""
    tensors = load_file(source) if weights is None else weights
    text = DESCRIPTION.model_dump_json() if metadata is None else metadata
    save_file(tensors, path, {"geodet": text})
    return path


def described(**changes):
    return json.dumps(json.loads(DESCRIPTION.model_dump_json()) | changes)


def test_a_loaded_network_has_the_outputs_of_the_saved_one(model_file):
    network, model = build(), load_checkpoint(model_file)
    images = torch.randn(1, 2, 61, 64)
    with torch.inference_mode():
        before, after = network(images), model.network(images)
    torch.testing.assert_close(after.logits, before.logits, atol=0.02, rtol=0.01)
    torch.testing.assert_close(after.deltas, before.deltas, atol=0.02, rtol=0.01)
    assert torch.equal(after.anchors, before.anchors)
    assert (before.logits.max() - before.logits.min()) > 0.05  # or all would be close to all
    assert not model.network.training


def test_weights_are_rounded_to_float16_and_statistics_are_not(model_file):
    stored, network = load_file(model_file), build()
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("batches_tracked")}
    assert stored.keys() == own.keys()
    for key, value in own.items():
        assert stored[key].dtype == (torch.float16 if value.ndim > 1 else torch.float32)
        assert torch.equal(stored[key], value.to(stored[key].dtype))
    loaded = load_checkpoint(model_file).network.state_dict()
    assert {value.dtype for key, value in loaded.items() if key in own} == {torch.float32}


def test_saving_again_what_was_loaded_changes_nothing(model_file, tmp_path):
    model = load_checkpoint(model_file)
    save_model(tmp_path / "again.safetensors", model.network, model.description)
    again = load_file(tmp_path / "again.safetensors")
    assert all(torch.equal(again[key], value) for key, value in load_file(model_file).items())
    assert load_checkpoint(tmp_path / "again.safetensors").digest == model.digest


def test_a_file_with_the_former_names_of_the_backbone_loads(model_file, tmp_path):
    former = {k.replace("backbone.", "trunk."): v for k, v in load_file(model_file).items()}
    text = DESCRIPTION.model_dump_json()
    for name in ("level", "norm"):
        text = text.replace(f'"backbone_{name}"', f'"trunk_{name}"')
    path = rewrite(model_file, tmp_path / "old.safetensors", metadata=text, weights=former)
    loaded, wanted = load_checkpoint(path), load_checkpoint(model_file)
    assert loaded.description == wanted.description
    state = loaded.network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in wanted.network.state_dict().items())
    save_model(tmp_path / "new.safetensors", loaded.network, loaded.description)
    assert (tmp_path / "new.safetensors").read_bytes() == model_file.read_bytes()


def test_the_description_is_read_back_unchanged(model_file):
    assert load_description(model_file) == DESCRIPTION
    assert load_checkpoint(model_file).description == DESCRIPTION


def test_the_digest_is_that_of_the_file(model_file):
    assert load_checkpoint(model_file).digest == hashlib.sha256(model_file.read_bytes()).hexdigest()


def test_the_file_is_plain_safetensors(model_file):
    data = model_file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert json.loads(header["__metadata__"]["geodet"])["name"] == "squares"
    assert set(load_file(model_file)) == set(header) - {"__metadata__"}


def test_saving_leaves_no_temporary_file(model_file):
    assert [file.name for file in model_file.parent.iterdir()] == ["squares.safetensors"]


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not a model, but long enough a text"])
def test_files_that_are_not_safetensors_are_refused(tmp_path, content):
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    for load in (load_checkpoint, load_description):
        with pytest.raises(ModelFileError, match=r"other\.safetensors is not a model file") as e:
            load(path)
        assert "geodet train" in e.value.hint


def test_pickles_are_not_opened(tmp_path):
    torch.save({"geodet": Path("x")}, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="is not a model file"):
        load_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_truncated_files_are_refused(model_file, tmp_path, share):
    data = model_file.read_bytes()
    path = tmp_path / "half.safetensors"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match=r"half\.safetensors is not a model file"):
        load_checkpoint(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_another_programs_safetensors_are_refused(tmp_path, metadata):
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors", metadata)
    with pytest.raises(ModelFileError, match="without geodet's description") as caught:
        load_checkpoint(tmp_path / "other.safetensors")
    assert "another program" in caught.value.hint


@pytest.mark.parametrize("number", [FORMAT + 1, 0, "1", None])
def test_descriptions_of_another_format_are_refused(model_file, tmp_path, number):
    path = rewrite(model_file, tmp_path / "new.safetensors", metadata=described(format=number))
    message = re.escape(f"model format {number!r}, this geodet reads {FORMAT}")
    with pytest.raises(ModelFileError, match=message) as caught:
        load_checkpoint(path)
    assert "update geodet" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        f'{{"format": {FORMAT}}}',
        described(classes=[]),
        described(surprise=1),
        described(architecture={"backbone": "vgg16"}),
    ],
)
def test_broken_descriptions_are_refused(model_file, tmp_path, text):
    path = rewrite(model_file, tmp_path / "broken.safetensors", metadata=text)
    message = r"the description in .*broken\.safetensors is broken"
    with pytest.raises(ModelFileError, match=message) as caught:
        load_checkpoint(path)
    assert "train the model again" in caught.value.hint


def test_missing_foreign_and_misshapen_weights_are_refused(model_file, tmp_path):
    first = "classifier.convs.0.weight"
    whole = load_file(model_file)
    for change in (
        {key: value for key, value in whole.items() if key != first},
        whole | {first: whole[first][:1].clone()},
        whole | {"a.stranger": torch.zeros(1)},
    ):
        path = rewrite(model_file, tmp_path / "odd.safetensors", weights=change)
        with pytest.raises(ModelFileError, match="do not fit its description, first at") as caught:
            load_checkpoint(path)
        assert re.search(rf"{first}|a\.stranger", str(caught.value))
        assert "damaged" in caught.value.hint


@pytest.mark.parametrize("changes", [{"classes": ("square",)}, {"bands": ("red",)}])
def test_a_description_of_other_weights_is_refused(model_file, tmp_path, changes):
    if "bands" in changes:
        changes |= dict.fromkeys(("mean", "std", "low", "high"), (1.0,))
    path = rewrite(model_file, tmp_path / "odd.safetensors", metadata=described(**changes))
    with pytest.raises(ModelFileError, match="do not fit its description"):
        load_checkpoint(path)


def test_a_failure_in_the_middle_leaves_the_older_file(model_file, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_file.read_bytes())
    write = Path.write_bytes

    def fill_the_disk(self, data):
        write(self, data[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    message = r"cannot write .*model\.safetensors: .*No space left"
    with pytest.raises(OutputError, match=message) as caught:
        save_model(path, build(seed=1), DESCRIPTION)
    monkeypatch.undo()
    assert "free space" in caught.value.hint
    assert path.read_bytes() == model_file.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_saving_to_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*model\.safetensors"):
        save_model(tmp_path / "gone" / "model.safetensors", build(), DESCRIPTION)


def test_saving_replaces_an_existing_model(model_file, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_file.read_bytes())
    save_model(path, build(seed=1), DESCRIPTION.model_copy(update={"name": "newer"}))
    assert load_checkpoint(path).description.name == "newer"


@pytest.fixture
def bundled(model_file, tmp_path, monkeypatch):
    """Make the package bundle two models."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("urban", "cars"):
        (folder / f"{name}.safetensors").write_bytes(model_file.read_bytes())
    (folder / "README.md").write_text("models")
    monkeypatch.setattr(description.resources, "files", {"geodet.models.bundled": folder}.get)
    return folder


def test_bundled_models_are_found_by_name(bundled):
    assert list(iter_bundled()) == [
        ("cars", bundled / "cars.safetensors"),
        ("urban", bundled / "urban.safetensors"),
    ]
    assert find_model("cars") == bundled / "cars.safetensors"
    assert load_checkpoint("urban").description == DESCRIPTION


@pytest.mark.usefixtures("bundled")
def test_models_are_found_by_path(model_file):
    assert find_model(model_file) == model_file
    assert find_model(str(model_file)) == model_file


@pytest.mark.usefixtures("bundled")
@pytest.mark.parametrize("name", ["urbam", "gone/urban.safetensors"])
def test_an_unknown_model_is_named_with_the_bundled_ones(name):
    with pytest.raises(ModelFileError, match=re.escape(f"unknown model {name!r}")) as caught:
        load_checkpoint(name)
    assert "bundled models are cars, urban" in caught.value.hint


def test_without_bundled_models_the_hint_says_none(tmp_path, monkeypatch):
    monkeypatch.setattr(description.resources, "files", lambda _: tmp_path)
    with pytest.raises(ModelFileError, match="unknown model 'trees'") as caught:
        find_model("trees")
    assert "there are no bundled models" in caught.value.hint


def test_every_bundled_model_can_be_loaded():
    for name, path in iter_bundled():
        assert load_checkpoint(name).digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_class_with_nul_is_no_class():
    with pytest.raises(ValueError, match="NUL"):
        ModelDescription(**(DESCRIPTION.model_dump() | {"classes": ["tr\0ee"]}))


def test_loading_draws_no_random_numbers(model_file):
    """They would be overwritten, and the numbers of a library's user would change."""
    before = torch.get_rng_state()
    network = load_checkpoint(model_file).network
    assert torch.equal(torch.get_rng_state(), before)
    stored = load_file(model_file)
    assert {key for key, _ in network.named_parameters()} <= stored.keys()


def test_an_onnx_file_where_weights_are_needed_is_called_that(tmp_path):
    (tmp_path / "mine.ONNX").write_bytes(b"\x08\x0a" * 40)
    with pytest.raises(ModelFileError, match=r"mine\.ONNX is an ONNX file") as caught:
        load_description(tmp_path / "mine.ONNX")
    assert "give the .safetensors file" in caught.value.hint
