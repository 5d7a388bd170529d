"""Pack what a bare GPU machine lacks into one archive: geodet's dependencies for Python 3.12.

The machine has torch, torchvision, numpy and what comes with them, and no network. Rasterio brings
GDAL, and so does pyogrio; pyproj brings PROJ's tables, and so do both. Here each is kept once:
links stand in the place of the others, which are of the same version.

    python benchmarks/gpu/pack.py [--output .gpu] [--check-python PYTHON3.12]
"""

from __future__ import annotations

import argparse
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ARCHIVE = "site.tar.xz"
PACKAGES = (
    *("rasterio", "pyproj", "pyogrio", "shapely", "geopandas", "affine"),
    *("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "tomli-w"),
    *("albumentations", "albucore", "stringzilla", "simsimd", "faster-coco-eval"),
    *("lightning-fabric", "tensorboardx"),
)
_PLATFORMS = ("2_28", "2_27", "2_24", "2_17")
_NEEDLESS = re.compile(r"\.(pyx|pxd|pxi|pyi|c|cpp|h|hpp)$|/tests?/|/__pycache__/")
_IMPORTS = (
    *("rasterio", "rasterio.vrt", "rasterio.warp", "pyproj", "pyogrio", "shapely", "geopandas"),
    *("pyarrow", "psutil", "pydantic", "tomli_w", "albumentations", "faster_coco_eval"),
    *("lightning_fabric", "tensorboardX", "geodet.detection.detect", "geodet.training.train"),
)
_TRY_OUT = """
import importlib, sys, tempfile
from pathlib import Path
bad = 0
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        bad += 1
        print(f"{name}: {type(error).__name__}: {error}")
import geopandas, pyproj, rasterio, shapely
from rasterio.crs import CRS
print("GDAL", rasterio.__gdal_version__, "PROJ", pyproj.proj_version_str)
frame = geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32633")
with tempfile.TemporaryDirectory() as folder:
    for suffix in ("gpkg", "geojson"):
        path = Path(folder, f"one.{suffix}")
        frame.to_file(path)
        assert len(geopandas.read_file(path)) == 1
assert CRS.from_epsg(32633).to_wkt() and frame.to_crs(4326).geometry[0].is_valid
sys.exit(bad)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=REPOSITORY / ".gpu")
    parser.add_argument("--wheels", type=Path, help="folder of wheels that are there already")
    parser.add_argument("--check-python", type=Path, help="a Python 3.12 to import them with")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    archive = options.output / ARCHIVE
    with tempfile.TemporaryDirectory() as name:
        wheels, site = options.wheels or Path(name, "wheels"), Path(name, "site")
        if options.wheels is None:
            _download(wheels)
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as file:
                file.extractall(site)
        _thin_out(site)
        _share_libraries(site)
        _compress(site, archive)
    print(f"{archive}: {archive.stat().st_size / 2**20:.1f} MiB")
    if options.check_python:
        sys.exit(_check(archive, options.check_python.absolute()))


def _download(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    pip += ["--python-version", "3.12", "--implementation", "cp", "-d", str(folder)]
    for version in _PLATFORMS:
        pip += ["--platform", f"manylinux_{version}_x86_64"]
    subprocess.run([*pip, "--platform", "manylinux2014_x86_64", *_pinned()], check=True)


def _pinned() -> Iterator[str]:
    """Yield the packages with the versions that requirements.txt has for Python 3.12."""
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for name in PACKAGES:
        found = [line for line in lines if line.startswith(f"{name}==")]
        found = [line for line in found if "< '3.12'" not in line]
        yield found[0].partition(";")[0].strip()


def _thin_out(site: Path) -> None:
    """Remove what nothing imports, and the symbols that only a debugger reads."""
    for path in [path for path in site.rglob("*") if path.is_file()]:
        if _NEEDLESS.search(path.as_posix()):
            path.unlink()
        elif ".so" in path.name and shutil.which("strip"):
            subprocess.run(["strip", "--strip-unneeded", str(path)], check=True)


def _share_libraries(site: Path) -> None:
    """Make pyogrio load rasterio's GDAL, and both read pyproj's tables.

    Pyproj keeps its own PROJ: the symbols of the one in rasterio's wheel are renamed.
    """
    own = {path.name: path for path in (site / "rasterio.libs").iterdir()}
    folder = site / "pyogrio.libs"
    (theirs,) = folder.glob("libgdal-*")
    (ours,) = (path for name, path in own.items() if name.startswith("libgdal-"))
    _check_same_abi(theirs, ours)
    name = theirs.name
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / name).symlink_to(os.path.relpath(ours, folder))
    for path in own.values():  # which the loader looks for beside the link
        (folder / path.name).symlink_to(os.path.relpath(path, folder))
    _link_folder(site / "rasterio" / "proj_data", site / "pyproj" / "proj_dir" / "share" / "proj")
    _link_folder(site / "pyogrio" / "proj_data", site / "pyproj" / "proj_dir" / "share" / "proj")


def _link_folder(place: Path, target: Path) -> None:
    shutil.rmtree(place)
    place.symlink_to(os.path.relpath(target, place.parent))


def _check_same_abi(one: Path, other: Path) -> None:
    """Refuse libraries whose first three numbers, such as 38.3.12, differ."""
    versions = [path.name.partition(".so.")[2].split(".")[:3] for path in (one, other)]
    if versions[0] != versions[1]:
        sys.exit(f"{one.name} and {other.name} are of two versions: pack both, or pin others")


def _compress(site: Path, archive: Path) -> None:
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**27}]
    with (
        lzma.open(archive, "wb", filters=filters) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        # Alike beside alike: libraries first, then by suffix.
        for path in sorted(_files(site), key=lambda path: (path.suffix, path.as_posix())):
            tar.add(path, path.relative_to(site).as_posix(), recursive=False)


def _files(site: Path) -> Iterator[Path]:
    for path in site.rglob("*"):
        if path.is_symlink() or path.is_file():
            yield path


def _check(archive: Path, python: Path) -> int:
    """Import all with a Python that has torch and numpy, and no network."""
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(archive) as tar:
            tar.extractall(name, filter="data")
        environment = {**os.environ, "PYTHONPATH": f"{name}{os.pathsep}{REPOSITORY}"}
        offline = ["unshare", "--net"] if os.geteuid() == 0 and shutil.which("unshare") else []
        command = [*offline, str(python), "-c", _TRY_OUT, *_IMPORTS]
        done = subprocess.run(command, env=environment, cwd=name, check=False)
    print("imports: all work" if done.returncode == 0 else f"imports: {done.returncode} fail")
    return done.returncode


if __name__ == "__main__":
    main()
