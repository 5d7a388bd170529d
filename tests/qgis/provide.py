"""Run the algorithms of the plugin in QGIS, without a screen.

/usr/bin/python3 tests/qgis/provide.py FOLDER GEODET: the folder holds geodet_provider.zip, and
utm.tif of paint.py. Exits 1 if anything is wrong.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PROFILE = Path("profiles") / "default" / "python" / "plugins"


def main(folder, program):
    profile = folder / "profile"
    with zipfile.ZipFile(folder / "geodet_provider.zip") as archive:
        archive.extractall(profile / PROFILE)
    profile.chmod(0o700)
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(profile),
        "XDG_RUNTIME_DIR": str(profile),
        # After the system's folders: QGIS looks for its own Python on PATH.
        "PATH": f"/usr/bin:/bin:{program.parent}",
    }

    def qgis(*words):
        # Debian's qgis_process passes an option that the program itself refuses.
        name = shutil.which("qgis_process.bin") or "qgis_process"
        return subprocess.run(
            [name, *words], env=environment, capture_output=True, text=True, check=False
        )

    qgis("plugins", "enable", "geodet_provider")
    listed = qgis("list").stdout
    wrong = [
        name for name in ("detect", "train", "evaluate", "tile") if f"geodet:{name}" not in listed
    ]
    output = folder / "provided.gpkg"
    done = qgis(
        "run",
        "geodet:detect",
        "--",
        f"scenes={folder / 'utm.tif'}",
        f"output={output}",
        "device=cpu",
    )
    if not output.exists():
        wrong.append(f"geodet:detect wrote nothing: {done.stdout[-800:]}{done.stderr[-400:]}")
    refused = qgis(
        "run", "geodet:detect", "--", f"scenes={folder / 'none.tif'}", f"output={output}2"
    )
    if refused.returncode == 0:
        wrong.append("geodet:detect accepted a scene that is not there")
    for one in wrong:
        print(f"FAIL {one}")
    print(f"{4 - sum('geodet:' not in one for one in wrong)} algorithms, a detection and a refusal")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]).absolute()))
