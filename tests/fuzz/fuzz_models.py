"""Model files, and what detect reads beside them."""

import functools
import json
import shutil
import tempfile
from pathlib import Path

from fuzz_documents import save, target, text_of
from fuzz_mutations import mutate
from fuzz_vectors import collection, feature, scene


@functools.cache
def tiny_model(folder=None):
    """Write a tiny model and its ONNX file, once; return the folder."""
    from factories_models import architecture, seeded_network

    from geodet.models.checkpoint import load_checkpoint, save_model
    from geodet.models.description import ModelDescription
    from geodet.onnx.export import export_model

    kept = Path(folder or tempfile.mkdtemp(prefix="geodet-fuzz-"))
    about = ModelDescription(
        name="tiny",
        architecture=architecture((2, 3)),
        classes=("tree",),
        bands=("red", "green", "blue"),
        dtype="uint8",
        mean=(60.0,) * 3,
        std=(25.0,) * 3,
        low=(0.0,) * 3,
        high=(255.0,) * 3,
        gsd=0.6,
        score_threshold=0.01,
        training={"data": "painted", "epochs": 3},
        figures={"f1": 0.5},
    )
    save_model(kept / "tiny.safetensors", seeded_network(about.architecture), about)
    export_model(load_checkpoint(kept / "tiny.safetensors"), kept / "tiny.onnx", reader="plain")
    return kept


def detect_with(folder, model):
    quiet = ["--device", "cpu", "-o", folder / "out.gpkg", "--set", "detect.precision=float32"]
    return ["detect", scene(folder), "--model", model, *quiet]


@target
def write_description(folder, source):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    known = tiny_model() / "tiny.safetensors"
    with safe_open(known, framework="pt") as file:
        about = json.loads(file.metadata()["geodet"])
    text = json.dumps(mutate(about, source)).encode(errors="replace").decode()
    save_file(load_file(known), folder / "m.safetensors", {"geodet": text})
    return detect_with(folder, folder / "m.safetensors")


@target
def write_weights(folder, source):
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    known = tiny_model() / "tiny.safetensors"
    with safe_open(known, framework="pt") as file:
        metadata = file.metadata()
    weights = load_file(known)
    for _ in range(source.choice((1, 1, 2))):
        key = source.choice(list(weights))
        tensor = weights[key].clone()
        kind = source.choice(("value", "value", "shape", "drop", "type", "name", "zero"))
        if kind == "value":
            odd = source.choice((float("nan"), float("inf"), -float("inf"), 6e4, -6e4, 3e38))
            at = source.randrange(tensor.numel())
            tensor.view(-1)[at] = odd
        elif kind == "zero":
            tensor.zero_()
        elif kind == "shape":
            tensor = tensor.reshape(-1)[: source.randrange(tensor.numel() + 1)].clone()
        elif kind == "type":
            types = (torch.int8, torch.int64, torch.float64, torch.bfloat16, torch.bool)
            tensor = tensor.to(source.choice(types))
        weights[key] = tensor
        if kind in ("drop", "name"):
            removed = weights.pop(key)
            weights |= {"another": removed} if kind == "name" else {}
    save_file(weights, folder / "m.safetensors", metadata)
    return detect_with(folder, folder / "m.safetensors")


@target
def write_header(folder, source):
    """Change the header of a model file itself: offsets, sizes, shapes and types."""
    data = (tiny_model() / "tiny.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = mutate(json.loads(data[8 : 8 + length]), source)
    text = json.dumps(header).encode()
    size = len(text) if source.random() < 0.8 else source.choice((0, 1, 2**31, 2**63))
    content = size.to_bytes(8, "little") + text + data[8 + length :]
    (folder / "m.safetensors").write_bytes(content)
    return detect_with(folder, folder / "m.safetensors")


def change_tensor(one, source):
    """Change the values, the shape, the type or the place of a weight in an ONNX file."""
    what = source.choice(("nan", "dims", "type", "cut", "away"))
    if what == "nan" and one.raw_data:
        one.raw_data = b"\xff" * len(one.raw_data)
    elif what == "dims":
        one.dims.append(source.choice((0, 2, 2**31, 2**62)))
    elif what == "type":
        one.data_type = source.choice((0, 2, 7, 10, 11, 16, 99))
    elif what == "cut":
        one.raw_data = one.raw_data[:-2]
    else:
        one.data_location = 1
        pair = one.external_data.add()
        pair.key, pair.value = "location", source.choice(("../x", "/etc/passwd", "m.onnx"))


@target
def write_onnx(folder, source):
    import onnx

    model = onnx.load(tiny_model() / "tiny.onnx")
    kind = source.choice(("about", "about", "weight", "weight", "version", "node", "bytes"))
    if kind == "about":
        (entry,) = [one for one in model.metadata_props if one.key == "geodet"]
        entry.value = json.dumps(mutate(json.loads(entry.value), source))
    elif kind == "weight":
        change_tensor(source.choice(model.graph.initializer), source)
    elif kind == "version":
        model.opset_import[0].version = source.choice((-1, 0, 1, 9, 99, 2**62))
    elif kind == "node":
        node = source.choice(model.graph.node)
        what = source.choice(("type", "input", "drop"))
        if what == "type":
            node.op_type = source.choice(("Relu", "ConstantOfShape", "Tile", "Nothing"))
        elif what == "input" and node.input:
            node.input[0] = source.choice(("", "pixels", "nothing", "logits"))
        else:
            model.graph.node.remove(node)
    data = bytearray(model.SerializeToString())
    if kind == "bytes":
        for _ in range(source.choice((1, 8, 64))):
            data[source.randrange(len(data))] = source.randrange(256)
    (folder / "m.onnx").write_bytes(bytes(data))
    return detect_with(folder, folder / "m.onnx")


@target
def write_aoi(folder, source):
    save(folder / "aoi.geojson", json.dumps(mutate(collection(feature(8, 8, 40)), source)))
    shutil.copy(tiny_model() / "tiny.safetensors", folder / "m.safetensors")
    return [*detect_with(folder, folder / "m.safetensors"), "--aoi", folder / "aoi.geojson"]


@target
def write_list(folder, source):
    lines = mutate([str(scene(folder)), "# a comment", ""], source)
    save(folder / "list.txt", "\n".join(map(text_of, lines)))
    shutil.copy(tiny_model() / "tiny.safetensors", folder / "m.safetensors")
    arguments = detect_with(folder, folder / "m.safetensors")
    return [arguments[0], f"@{folder / 'list.txt'}", *arguments[2:]]
