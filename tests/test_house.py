"""The laws of the house: every module has a room, imports go down, names say one thing."""

import ast
from collections import defaultdict
from itertools import chain

import pytest
from house_map import FLOOR, FLOORS, PACKAGE, PROJECT, imports_of, iter_modules, picture, room_of
from house_map import rooms_used as used

from geodet import errors

MODULES = list(iter_modules())
LIBRARY = [path for path in MODULES if room_of(path) != "cli"]
ROOMED = [path for path in MODULES if path != PACKAGE / "__init__.py"]
GDAL = {"rasterio", "pyogrio", "geopandas", "fiona", "osgeo"}
OPENS_FILES = {"raster", "vector", "reviewing", "tilesets", "api"}
"""The rooms that may touch GDAL."""
LAZY = {
    PACKAGE / "__init__.py",
    PACKAGE / "api" / "path_kinds.py",
    PACKAGE / "onnx" / "backend.py",
}
"""Modules that load others of geodet when they are asked for: only the last loads PyTorch."""
LONGEST = 350
"""Lines of a file."""


def name_of(path):
    return str(path.relative_to(PROJECT))


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=name_of)


def test_only_errors_and_the_public_names_lie_outside_of_a_room():
    loose = {path.name for path in PACKAGE.glob("*.py")}
    assert loose == {"__init__.py", "__main__.py", "errors.py"}
    rooms = {path.parent.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*/*.py")}
    assert rooms | {"errors", "cli"} == set(FLOOR)


@each(ROOMED)
def test_imports_go_down(path):
    here = room_of(path)
    for room in set(used(path)) - {here}:
        floor = FLOOR.get(room, FLOOR["api"])  # a public name of geodet stands on the top floor
        assert here == "__main__" or floor < FLOOR[here], f"{name_of(path)} imports {room}"


@each(LIBRARY)
def test_only_rooms_with_files_touch_gdal(path):
    names = {name.split(".")[0] for name in imports_of(path)}
    assert room_of(path) in OPENS_FILES or not names & GDAL


@each(LIBRARY)
def test_own_modules_are_imported_at_the_top(path):
    tree = parse(path)
    guards = [node for node in tree.body if isinstance(node, ast.If)]  # if TYPE_CHECKING
    top = {id(node) for part in (tree, *guards) for node in part.body}
    if path in LAZY:
        return
    local = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and id(node) not in top
        if (node.module or "").startswith("geodet")
    ]
    assert local == []


@each(MODULES)
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def defined(path):
    """List the public classes, functions and constants of a module."""
    for node in parse(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (one.id for one in node.targets if isinstance(one, ast.Name))


def test_no_two_modules_share_a_name():
    stems = [path.stem for path in LIBRARY if not path.stem.startswith("__")]
    rooms = [room for room in FLOOR if room not in ("errors", "cli")]
    assert len(set(stems + rooms)) == len(stems + rooms)


def test_no_two_public_names_are_the_same():
    places = defaultdict(list)
    for path in LIBRARY:
        for name in set(defined(path)):  # once, whatever its overloads
            if not name.startswith("_") and name != "logger":
                places[name].append(name_of(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def rank(name):
    """Put constants first, then classes, then functions, as ruff does."""
    return not name.isupper(), not name[0].isupper(), name


def declared(path):
    """Read ``__all__``: nothing where a module does not have it."""
    values = [
        node.value
        for node in parse(path).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    return ast.literal_eval(values[0]) if values else []


def bound(path):
    """List what a module defines or imports at its top."""
    yield from defined(path)
    parts = ([*n.body, *n.orelse] if isinstance(n, ast.If) else [n] for n in parse(path).body)
    for node in chain.from_iterable(parts):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (
                one.id for t in node.targets for one in ast.walk(t) if isinstance(one, ast.Name)
            )


def annotated(path):
    """List the names that a module defines with a type."""
    for node in parse(path).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


@each([path for path in ROOMED if room_of(path) != "__main__"])
def test_names_that_are_not_listed_begin_with_an_underscore(path):
    names = {name for name in (*defined(path), *annotated(path)) if not name.startswith("_")}
    assert names - {"logger"} - set(declared(path)) == set()


@each([path for path in ROOMED if room_of(path) not in ("cli", "__main__")])
def test_public_names_are_sorted_and_defined(path):
    names = declared(path)
    assert names == sorted(names, key=rank)
    assert set(names) <= set(bound(path))
    is_bare = len(parse(path).body) == 1  # a docstring, of a room
    assert names or is_bare, "__all__ is missing"


@pytest.mark.parametrize("room", [room for rooms in FLOORS for room in rooms if room != "errors"])
def test_every_room_has_tests_in_a_folder_of_its_name(room):
    assert list((PROJECT / "tests" / room).glob("test_*.py"))


@each(sorted((PROJECT / "tests").rglob("*.py")))
def test_an_expected_error_of_geodet_is_expected_with_its_message(path):
    bare = [
        node.lineno
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.raises"
        if ast.unparse(node.args[0]).rpartition(".")[2] in errors.__all__
        if not any(one.arg == "match" for one in node.keywords)
    ]
    assert bare == []


def test_contributing_shows_the_floors():
    assert picture() in (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_error_is_a_builtin_error_too():
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert issubclass(kind, errors.GeodetError)
        if kind is not errors.GeodetError:
            assert issubclass(kind, OSError | ValueError | RuntimeError)
