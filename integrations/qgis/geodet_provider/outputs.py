"""What the outputs hold, and how their layers are named. Nothing here needs QGIS."""

import sqlite3
from contextlib import closing
from pathlib import Path

ERRORS = "errors.gpkg"
QUERY = "SELECT table_name FROM gpkg_contents WHERE data_type = 'features' ORDER BY rowid"


def error_layers(folder):
    """Return the path of the errors of an evaluation, and the names of their layers."""
    path = Path(folder, ERRORS)
    return path, read_layers(path) if path.is_file() else []


def read_layers(path):
    """Return the names of the layers of a GeoPackage, in its order."""
    address = f"{Path(path).absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as package:
        return [name for (name,) in package.execute(QUERY)]


def name_layer(path, option, given):
    """Return the name of a layer in the project.

    Args:
        path: The file.
        option: The option that names the file.
        given: What QGIS would call it. The label of the option says nothing of the file; another
            name is the choice of a person or a model, and kept.
    """
    stem = Path(path).stem
    is_temporary = stem == option["name"]  # QGIS names a temporary file after the parameter
    return given if is_temporary or given not in ("", option["label"]) else stem
