"""Run the algorithms of the plugin in QGIS, without a screen.

/usr/bin/python3 tests/qgis/provide.py FOLDER GEODET: the folder holds geodet_provider.zip, and
utm.tif and truth.gpkg of paint.py. Exits 1 if anything is wrong. Train learns for one epoch, with a
tiny network.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PROFILE = Path("profiles") / "default" / "python" / "plugins"
NAMES = ("detect", "suggest", "train", "evaluate", "tile")
KEPT = []  # what QGIS needs for as long as this process runs
TINY = """[model]
backbone_level = 2
levels = [2, 2]
anchor_sizes = [12.0]
[train]
epochs = 1
int8 = false
"""


def main(folder, program):
    install(folder, program)
    qgis("plugins", "enable", "geodet_provider")
    listed = qgis("list").stdout
    wrong = [f"{name} is not listed" for name in NAMES if f"geodet:{name}" not in listed]
    wrong += [problem for one in runs(folder) if (problem := run(*one))]
    refused = qgis("run", "geodet:detect", "--", "scenes=none.tif", f"output={folder / 'no.gpkg'}")
    wrong += [] if refused.returncode else ["detect accepted a scene that is not there"]
    loaded = loads(folder)
    wrong += [problem for one in loaded for problem in load(*one)]
    for one in wrong:
        print(f"FAIL {one}")
    print(f"{len(NAMES)} algorithms, {len(runs(folder))} runs, a refusal, {len(loaded)} projects")
    sys.stdout.flush()
    os._exit(bool(wrong))  # as in look.py


def install(folder, program):
    """Unpack the plugin into a profile of its own, which this process uses as well."""
    profile = folder / "profile"
    with zipfile.ZipFile(folder / "geodet_provider.zip") as archive:
        archive.extractall(profile / PROFILE)
    profile.chmod(0o700)
    os.environ |= {
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(profile),
        "XDG_RUNTIME_DIR": str(profile),
        # After the system's folders: QGIS looks for its own Python on PATH.
        "PATH": f"/usr/bin:/bin:{program.parent}",
    }


def runs(folder):
    """Return algorithms, their parameters, and a file that each must write."""
    scene, truth, found = (folder / name for name in ("utm.tif", "truth.gpkg", "provided.gpkg"))
    tiles, evaluation, suggested = (folder / name for name in ("tiles", "evaluation", "to do.gpkg"))
    scenes, looking = f"scenes={scene}", ("device=cpu", "chip_size=128")
    labels, model, recipe = f"labels={truth}", folder / "mine.safetensors", folder / "tiny.toml"
    recipe.write_text(TINY, encoding="utf-8")
    return [
        ("detect", [scenes, f"output={found}", "device=cpu"], found),
        ("suggest", [scenes, f"output={suggested}", "budget=2", *looking], suggested),
        ("tile", [scenes, labels, f"output={tiles}", "chip_size=128"], tiles / "train.json"),
        (
            "train",
            [f"data={tiles}", f"output={model}", f"config={recipe}", "device=cpu"],
            model,
        ),
        (
            "evaluate",
            [f"detections={found}", labels, f"scene={scene}", f"output={evaluation}"],
            evaluation / "errors.gpkg",
        ),
    ]


def run(name, parameters, written):
    """Run an algorithm as a batch does; return what is wrong, or nothing."""
    done = qgis("run", f"geodet:{name}", "--", *parameters)
    if done.returncode == 0 and written.exists():
        return None
    return f"{name} did not write {written.name}: {done.stdout[-800:]}{done.stderr[-400:]}"


def loads(folder):
    """Start QGIS in this process; return algorithms, parameters, and a check of their layers."""
    start(folder)
    scene, truth = str(folder / "utm.tif"), str(folder / "truth.gpkg")
    scenes, found = {"scenes": [scene], "device": "cpu"}, str(folder / "loaded trees.gpkg")
    windows = {"output": str(folder / "loaded.gpkg"), "chip_size": 128, "budget": 2}
    compared = {"detections": found, "labels": truth, "scene": scene}
    return [
        ("detect", scenes | {"output": found}, ["loaded trees"], check_style),
        ("detect", scenes | {"output": "TEMPORARY_OUTPUT"}, ["Detections"], check_style),
        ("detect", scenes | {"output": found.replace("gpkg", "fgb")}, ["loaded trees"], None),
        ("suggest", scenes | windows, ["loaded"], check_windows),
        (
            "evaluate",
            compared | {"output": str(folder / "loaded evaluation")},
            ["false_positives", "misses", "true_positives"],
            check_errors,
        ),
    ]


def start(folder):
    from qgis.core import QgsApplication

    application = QgsApplication([], False)
    application.initQgis()
    KEPT.append(application)
    sys.path += ["/usr/share/qgis/python/plugins", str(folder / "profile" / PROFILE)]
    from geodet_provider.provider import GeodetProvider
    from processing.core.Processing import Processing

    Processing.initialize()
    provider = GeodetProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    KEPT.append(provider)


def load(name, parameters, wanted, check):
    """Run an algorithm as the toolbox does; look at the layers that the project has then."""
    import processing
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    processing.runAndLoadResults(f"geodet:{name}", parameters)
    layers = list(QgsProject.instance().mapLayers().values())
    names = sorted(layer.name() for layer in layers)
    if names != wanted or not all(layer.isValid() for layer in layers):
        return [f"{name} opened {names}, not {wanted}"]
    return [f"{name}: {one}" for layer in layers for one in (check(layer) if check else [])]


def check_style(layer):
    """Compare a layer with the same file opened directly, which has the style that it stores."""
    from qgis.core import QgsVectorLayer

    if layer.renderer().type() != "categorizedSymbol":
        return [f"the renderer is {layer.renderer().type()}"]
    direct = QgsVectorLayer(layer.source(), "direct", "ogr")
    shown, stored = ([describe(one.renderer()), labels_of(one)] for one in (layer, direct))
    return [] if shown == stored and shown[1] else [f"{shown}, and the file stores {stored}"]


def describe(renderer):
    return [(one.value(), one.symbol().dump()) for one in renderer.categories()]


def labels_of(layer):
    return layer.labelsEnabled() and layer.labeling().settings().fieldName


def check_windows(layer):
    return [] if "rank" in layer.fields().names() else [f"the fields are {layer.fields().names()}"]


def check_errors(layer):
    return [] if f"errors.gpkg|layername={layer.name()}" in layer.source() else [layer.source()]


def qgis(*words):
    # Debian's qgis_process passes an option that the program itself refuses.
    name = shutil.which("qgis_process.bin") or "qgis_process"
    return subprocess.run([name, *words], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]).absolute()))
