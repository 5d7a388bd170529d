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
    wrong += load(folder, "suggest", {"output": str(folder / "loaded.gpkg")}, "rank")
    for one in wrong:
        print(f"FAIL {one}")
    print(f"{len(NAMES)} algorithms, {len(runs(folder))} runs, a refusal, a layer of a project")
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


def load(folder, name, parameters, field):
    """Run an algorithm as the toolbox does; look for the field in the layer of the project."""
    from qgis.core import QgsApplication, QgsProject

    application = QgsApplication([], False)
    application.initQgis()
    sys.path += ["/usr/share/qgis/python/plugins", str(folder / "profile" / PROFILE)]
    import processing
    from geodet_provider.provider import GeodetProvider
    from processing.core.Processing import Processing

    Processing.initialize()
    provider = GeodetProvider()
    QgsApplication.processingRegistry().addProvider(provider)
    given = {"scenes": [str(folder / "utm.tif")], "device": "cpu", "chip_size": 128, "budget": 2}
    processing.runAndLoadResults(f"geodet:{name}", given | parameters)
    layers = QgsProject.instance().mapLayers().values()
    fields = [[field.name() for field in layer.fields()] for layer in layers]
    return [] if len(fields) == 1 and field in fields[0] else [f"{name} opened {fields}"]


def qgis(*words):
    # Debian's qgis_process passes an option that the program itself refuses.
    name = shutil.which("qgis_process.bin") or "qgis_process"
    return subprocess.run([name, *words], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]).absolute()))
