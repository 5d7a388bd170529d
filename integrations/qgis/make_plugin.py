"""Write the plugin as a zip that QGIS installs: ``python make_plugin.py [FOLDER]``."""

import sys
import zipfile
from pathlib import Path

PLUGIN = Path(__file__).parent / "geodet_provider"
LICENCE = Path(__file__).parents[2] / "LICENSE"


def write_zip(folder):
    """Write the zip, the same bytes for the same files, and return its path."""
    path = folder / "geodet_provider.zip"
    files = {f"{PLUGIN.name}/LICENSE": LICENCE}
    for file in sorted(PLUGIN.iterdir()):
        if file.suffix in (".py", ".txt", ".json"):
            files[f"{PLUGIN.name}/{file.name}"] = file
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return path


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1] if sys.argv[1:] else "dist")
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(write_zip(FOLDER))
