"""The laws of the house: imports go down, GDAL stays on its floor, names are declared."""

import ast
from pathlib import Path

import pytest

import geodet
from geodet import errors

ROOT = Path(geodet.__file__).parent
FLOORS = {
    0: {"errors", "config", "recipes"},
    1: {
        *("arrays", "windows", "geobox", "boxes", "closing", "outputs", "folders"),
        *("reprojection", "scene_lists", "palette", "qml"),
    },
    2: {
        *("sources", "scene", "rasters", "vectors", "styles", "error_layers", "tilesets"),
        *("regions", "vector_files", "vector_objects"),
    },
    3: {
        *("merging", "models", "engine", "painting", "weights", "device", "evaluation"),
        *("validation", "training", "survey", "values", "fitting", "jobs", "search"),
        *("preview", "previews", "cutting"),
    },
    4: {"detect", "train", "tile", "evaluate", "export", "draw"},
    5: {"demo"},  # the one tool made of another
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}
MODULES = sorted(
    path.relative_to(ROOT)
    for path in ROOT.rglob("*.py")
    if path.parent != ROOT or path.name != "__init__.py"
)
GDAL = {"rasterio", "pyogrio", "geopandas", "fiona", "osgeo"}


def parse(module):
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def place(module):
    return module.parts[0].removesuffix(".py")


def imported(node):
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def own_imports(module):
    names = [name for node in ast.walk(parse(module)) for name in imported(node)]
    return {name.split(".")[1] for name in names if name.startswith("geodet.")}


def test_every_module_has_a_floor():
    assert {place(module) for module in MODULES} == set(FLOOR)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_down_never_up(module):
    here = FLOOR[place(module)]
    for name in own_imports(module) - {place(module)}:
        assert FLOOR[name] <= here, f"{module} imports {name}"
        assert here != 4 or FLOOR[name] < 4, f"the tool {module} imports the tool {name}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_the_second_floor_touches_gdal(module):
    names = {name.split(".")[0] for node in ast.walk(parse(module)) for name in imported(node)}
    assert FLOOR[place(module)] == 2 or not names & GDAL


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_own_modules_are_imported_at_the_top(module):
    tree = parse(module)
    top = {id(node) for node in tree.body}
    local = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in top
        for name in imported(node)
        if name.startswith("geodet")
    ]
    assert local == []


def rank(name):
    """Put constants first, then classes, then functions, as ruff does."""
    return not name.isupper(), not name[0].isupper(), name


def declared(module):
    """Read the public names of a module: none where it does not say."""
    values = [
        node.value
        for node in parse(module).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    return ast.literal_eval(values[0]) if values else []


def bound(module):
    """List what a module defines or imports at its top."""
    for node in parse(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (one.id for t in targets for one in ast.walk(t) if isinstance(one, ast.Name))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_public_names_are_sorted_and_there(module):
    names = declared(module)
    assert names == sorted(names, key=rank)
    assert set(names) <= set(bound(module))
    is_bare = len(parse(module).body) == 1  # a docstring, of a package
    assert names or is_bare or declared(module.parent / "__init__.py"), "__all__ is missing"


def test_every_error_is_a_builtin_error_too():
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert issubclass(kind, errors.GeodetError)
        if kind is not errors.GeodetError:
            assert issubclass(kind, OSError | ValueError | RuntimeError)
