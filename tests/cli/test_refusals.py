"""What a command can refuse without a model is refused before PyTorch or GDAL is loaded."""

import subprocess
import sys

import numpy as np
import onnx
import pytest

from geodet.models.description import iter_bundled, load_description
from geodet.onnx.session import DESCRIPTION_KEY, READER_KEY

HEAVY = {"torch", "rasterio", "pyogrio", "geopandas", "scipy", "albumentations", "matplotlib"}
SCRIPT = """
import sys
from geodet_cli.main import run
try:
    run()
finally:
    print("loaded:", *sorted({heavy} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a folder with an output of each kind, which no command may replace."""
    made = tmp_path_factory.mktemp("refusals")
    for name in ("old.gpkg", "old.png", "old.qml", "old.onnx", "old.safetensors", "scene.tif"):
        (made / name).write_bytes(b"here before")
    for name in ("tiles", "full", "started.run", "folder.gpkg"):
        (made / name).mkdir()
    (made / "full" / "mine.txt").write_text("mine")
    (made / "started.run" / "state.pt").write_bytes(b"")
    (made / "labels.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    (made / "text.safetensors").write_text("not a model")
    (made / "model.onnx").write_bytes(onnx_file())
    return made


def onnx_file():
    """Make the smallest ONNX file with the description of a model."""
    shapes = {"pixels": [1, 3, 8, 8], "logits": [1, 48, 1], "deltas": [1, 48, 4]}
    float32, about = onnx.TensorProto.FLOAT, onnx.helper.make_tensor_value_info
    pixels, *outputs = [about(name, float32, shape) for name, shape in shapes.items()]
    axes = onnx.numpy_helper.from_array(np.array([1, 48, -1]), "shape")
    halves = onnx.numpy_helper.from_array(np.array([1, 3]), "halves")
    nodes = [
        onnx.helper.make_node("Reshape", ["pixels", "shape"], ["flat"]),
        onnx.helper.make_node("Split", ["flat", "halves"], ["logits", "rest"], axis=2),
        onnx.helper.make_node("Concat", ["rest", "logits"], ["deltas"], axis=2),
    ]
    graph = onnx.helper.make_graph(nodes, "least", [pixels], outputs, [axes, halves])
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    about = load_description(dict(iter_bundled())["vehicles"])
    for key, value in ((DESCRIPTION_KEY, about.model_dump_json()), (READER_KEY, "plain")):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model.SerializeToString()


def refused(folder, *arguments):
    """Run a command in a process of its own: exit code, stdout, stderr, heavy modules."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    errors, _, loaded = done.stderr.rpartition("loaded:")
    return done.returncode, done.stdout, " ".join(errors.split()), loaded.split()


DETECT = ("detect", "scene.tif", "-o", "new.gpkg")
TRAIN = ("train", "--data", "tiles", "-o", "new.safetensors")
REFUSALS = {
    "detect: output exists": (("detect", "scene.tif", "-o", "old.gpkg"), "old.gpkg exists already"),
    "detect: unknown extension": (("detect", "scene.tif", "-o", "a.tab"), "the format of a.tab"),
    "detect: unknown format": (
        ("detect", "scene.tif", "-o", "a.out", "--format", "geojsn"),
        "unknown format 'geojsn' hint: did you mean 'geojson'? The formats are gpkg, geojson,",
    ),
    "detect: no output folder": (("detect", "scene.tif", "-o", "no/a.gpkg"), "no folder no"),
    "detect: output is a folder": (("detect", "scene.tif", "-o", "folder.gpkg"), "folder.gpkg is"),
    "detect: preview exists": (
        ("detect", "scene.tif", "-o", "a.gpkg", "--preview", "old.png"),
        "old.png exists already",
    ),
    "detect: preview in another format": (
        ("detect", "scene.tif", "-o", "a.gpkg", "--preview", "look.pdf"),
        "look.pdf is neither a .png nor a folder, and --preview writes one of these"
        " hint: end it in .png or in a slash; geodet preview also writes .jpg",
    ),
    "detect: output over its input": (
        ("detect", "scene.tif", "-o", "labels.geojson", "--aoi", "labels.geojson", "--overwrite"),
        "labels.geojson is an input and would be overwritten",
    ),
    "detect: style exists": (
        ("detect", "scene.tif", "-o", "old.geojson", "--style"),
        "old.qml exists already",
    ),
    "detect: missing scene": (("detect", "none.tif", "-o", "a.gpkg"), "no such file or folder"),
    "detect: empty folder": (("detect", "tiles", "-o", "a.gpkg"), "no rasters in the folder tiles"),
    "detect: unknown model": (
        (*DETECT, "-m", "urban-tree"),
        "unknown model 'urban-tree': no such file, and no bundled model "
        "hint: did you mean 'urban-trees'? The bundled models are thermal, urban-trees-nir,",
    ),
    "detect: a folder as model": (
        (*DETECT, "-m", "tiles"),
        "tiles is a folder, not a model hint: a model is a .safetensors or .onnx file; "
        "that of the run NAME.run is NAME.safetensors",
    ),
    "detect: unknown ONNX model": ((*DETECT, "-m", "none.onnx"), "unknown model 'none.onnx'"),
    "detect: another file as model": (
        (*DETECT, "-m", "text.safetensors"),
        "text.safetensors is not a model file",
    ),
    "detect: unknown device": ((*DETECT, "--device", "gpu"), "unknown device 'gpu'"),
    "detect: unknown recipe": (
        (*DETECT, "-c", "urban-tree"),
        "unknown recipe 'urban-tree': no such file, and no bundled recipe "
        "hint: did you mean 'urban-trees'? The bundled recipes are accurate,",
    ),
    "detect: unknown key": (
        (*DETECT, "--set", "detect.chipsize=3"),
        "unknown key 'detect.chipsize' hint: did you mean 'detect.chip_size'?",
    ),
    "detect: missing area of interest": (
        (*DETECT, "--aoi", "none.gpkg"),
        "no such file: none.gpkg",
    ),
    "detect: two areas": (
        (*DETECT, "--aoi", "labels.geojson", "--bounds", "0,0,1,1"),
        "give either aoi (--aoi) or bounds (--bounds)",
    ),
    "train: model exists": (
        ("train", "--data", "tiles", "-o", "old.safetensors"),
        "old.safetensors exists already",
    ),
    "train: run exists": (
        ("train", "--data", "tiles", "-o", "started.safetensors"),
        "started.run holds the state of an earlier run",
    ),
    "train: nothing to resume": ((*TRAIN, "--resume"), "nothing to resume"),
    "train: missing tileset": (
        ("train", "--data", "none", "-o", "new.safetensors"),
        "none does not exist",
    ),
    "train: unknown first model": (
        (*TRAIN, "--set", "train.init=vehicle"),
        "unknown model 'vehicle'",
    ),
    "tile: folder is not empty": (
        ("tile", "scene.tif", "--labels", "labels.geojson", "-o", "full"),
        "full is not empty",
    ),
    "tile: missing scene": (
        ("tile", "none.tif", "--labels", "labels.geojson", "-o", "new"),
        "no such file or folder: none.tif",
    ),
    "tile: missing labels": (
        ("tile", "scene.tif", "--labels", "none.gpkg", "-o", "new"),
        "no such file: none.gpkg",
    ),
    "evaluate: folder is not empty": (
        ("evaluate", "--data", "tiles", "-o", "full"),
        "full is not empty",
    ),
    "evaluate: missing tileset": (("evaluate", "--data", "none"), "none does not exist"),
    "evaluate: unknown model": (
        ("evaluate", "--data", "tiles", "-m", "none"),
        "unknown model 'none'",
    ),
    "evaluate: unknown device": (
        ("evaluate", "--data", "tiles", "--device", "cuda:x"),
        "unknown device 'cuda:x'",
    ),
    "evaluate: missing detections": (
        ("evaluate", "--detections", "none.gpkg", "--labels", "labels.geojson"),
        "no such file: none.gpkg",
    ),
    "export: output exists": (("export", "urban-trees", "-o", "old.onnx"), "old.onnx exists"),
    "export: unknown extension": (("export", "urban-trees", "-o", "a.pt"), "the format of a.pt"),
    "export: unknown model": (("export", "none", "-o", "a.onnx"), "unknown model 'none'"),
    "preview: output exists": (
        ("preview", "scene.tif", "labels.geojson", "-o", "old.png"),
        "old.png exists already",
    ),
    "preview: missing scene": (
        ("preview", "none.tif", "labels.geojson", "-o", "new.png"),
        "no such file: none.tif",
    ),
    "preview: missing detections": (
        ("preview", "scene.tif", "none.gpkg", "-o", "new.png"),
        "no such file: none.gpkg",
    ),
    "view: missing scene": (("view", "none.tif"), "no such file: none.tif"),
    "view: missing detections": (("view", "scene.tif", "none.gpkg"), "no such file: none.gpkg"),
    "demo: unknown model": (("demo", "new", "-m", "none"), "unknown model 'none'"),
    "demo: folder is a file": (("demo", "scene.tif"), "scene.tif is a file"),
    "models: unknown model": (("models", "vehicle"), "did you mean 'vehicles'?"),
    "info: missing file": (("info", "none.tif"), "no such file: none.tif"),
    "info: unknown model": (("info", "thermals"), "did you mean 'thermal'?"),
    "info: missing ONNX model": (("info", "none.onnx"), "unknown model 'none.onnx'"),
    "info: missing model": (("info", "none.safetensors"), "unknown model 'none.safetensors'"),
    "config: unknown section": (("config", "--set", "detct.chip_size=3"), "unknown key 'detct'"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_loads_neither_pytorch_nor_gdal(folder, name):
    arguments, message = REFUSALS[name]
    before = sorted(path.name for path in folder.rglob("*"))
    code, stdout, stderr, loaded = refused(folder, *arguments)
    assert (code, stdout) == (1, ""), stderr
    assert message in stderr
    assert "error: " in stderr
    assert " hint: " in stderr
    assert loaded == []
    assert sorted(path.name for path in folder.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("models",),
        ("models", "vehicles"),
        ("info", "thermal"),
        ("info", "model.onnx"),
        ("config", "-c", "accurate"),
    ],
)
def test_models_and_settings_are_described_without_pytorch_or_gdal(folder, arguments):
    code, stdout, stderr, loaded = refused(folder, *arguments)
    assert code == 0, stderr
    assert len(stdout.splitlines()) > 3
    assert loaded == []
