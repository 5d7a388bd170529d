"""The rooms of geodet and the arrows between them: ``python tests/house_map.py`` prints them."""

import ast
import sys
from collections import Counter
from pathlib import Path

FLOORS = (
    ("errors",),
    ("documents",),
    ("config", "files", "geometry"),
    ("geopackage", "photographs", "reports"),
    ("merging", "raster", "vector"),
    ("models", "reviewing"),
    ("tilesets",),
    ("onnx", "previews"),
    ("detection",),
    ("evaluation", "jobs", "suggesting"),
    ("counting", "demo", "training", "viewer"),
    ("api",),
    ("cli",),
)
"""From the ground up; an import goes down, never up and never across."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "geodet"


def iter_modules(package=PACKAGE):
    """Yield the modules of the package and of the command line."""
    yield from sorted(package.rglob("*.py"))
    yield from sorted((package.parent / "cli").rglob("*.py"))


def room_of(path, package=PACKAGE):
    """Return the first folder of a module, or its own name where it lies in none."""
    if package not in path.parents:
        return "cli"
    return path.relative_to(package).parts[0].removesuffix(".py")


def imports_of(path):
    """List the modules that a file imports, and where it is a ``from``, their names as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def rooms_used(path):
    """List what a module imports of geodet, by rooms; ``geodet.x`` for names of the package."""
    for name in imports_of(path):
        first, *rest = name.split(".")
        if first == "geodet_cli":
            yield "cli"
        elif first == "geodet":
            yield rest[0] if rest else "geodet"


def arrows(package=PACKAGE):
    """Count the import statements from room to room."""
    found = Counter()
    for path in iter_modules(package):
        here = room_of(path, package)
        found.update((here, room) for room in rooms_used(path) if room != here)
    return found


def picture():
    """Draw the floors, the highest at the top, as CONTRIBUTING shows them."""
    return "\n".join("    " + "   ".join(rooms) for rooms in reversed(FLOORS))


def main():
    """Print the size of the house; another checkout's package may be named."""
    package = Path(sys.argv[1]).resolve() if sys.argv[1:] else PACKAGE
    modules = list(iter_modules(package))
    loose = [path for path in modules if path.parent == package]
    rooms = {room_of(path, package) for path in modules if path.parent != package}
    longest = max(len(path.read_text(encoding="utf-8").splitlines()) for path in modules)
    between = arrows(package)
    print(f"{len(modules)} files, {len(loose)} of them loose, the longest of {longest} lines")
    print(f"{len(rooms)} rooms, {len(between)} arrows between rooms and loose modules")
    print(picture())


if __name__ == "__main__":
    main()
