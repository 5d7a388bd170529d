"""Everything that the map shows: a scene, its objects and the errors of an evaluation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from geodet.errors import VectorError
from geodet.geometry.boxes import Detections
from geodet.previews.views import SceneObjects, read_objects, warn_of_miss
from geodet.raster.scene import Scene
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.palette import Colour, class_colour
from geodet.vector.vector_files import list_layers
from geodet.viewer.attribute_rows import AttributeRows
from geodet.viewer.map_frame import MapFrame, OwnGridFrame, choose_frame
from geodet.viewer.picture_tiles import PictureTiles
from geodet.viewer.shown_layer import ShownLayer
from geodet.viewer.square_mesh import SquareMesh

__all__ = ["ShownScene", "list_error_layers", "read_shown_scene"]

logger = logging.getLogger(__name__)

_MESH_CELLS = 64
_SOON_READ = 4096**2  # pixels of a scene whose overview is waited for, and so what is wrong with it
_ERRORS = {
    "false_positives": ("false positive", class_colour(3)),
    "misses": ("miss", class_colour(1)),
    "true_positives": ("true positive", class_colour(4)),
}
"""Layers of the errors that evaluate writes, in the order of the list: their names and colours."""


@dataclass(frozen=True, slots=True)
class ShownScene:
    """A scene on the map, with layers of objects."""

    scene: Scene
    """Open."""
    frame: MapFrame
    """Its place on the map."""
    pictures: PictureTiles
    """Its tiles."""
    layers: dict[str, ShownLayer]
    """By name: ``objects``, and ``errors`` if there are any."""

    def describe(self) -> dict[str, Any]:
        """Return what the page has to know before it draws, as values of JSON."""
        geobox, frame = self.scene.geobox, self.frame
        own = isinstance(frame, OwnGridFrame)
        return {
            "scene": {
                "name": self.scene.name,
                "width": geobox.width,
                "height": geobox.height,
                "crs": "" if geobox.crs is None else geobox.crs.name,
                "gsd": self.scene.gsd,
                "transform": list(geobox.transform)[:6],
                "is_ready": self.pictures.wait(0),
            },
            "frame": {
                "own_grid": frame.reason if isinstance(frame, OwnGridFrame) else "",
                "native_zoom": frame.native_zoom,
                "finest_zoom": frame.finest_zoom,
                "mesh": frame.mesh(1 if own else _MESH_CELLS).tolist(),
            },
            "layers": [self._describe_layer(layer) for layer in self.layers.values()],
        }

    def _describe_layer(self, layer: ShownLayer) -> dict[str, Any]:
        colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in layer.colours]
        gsd = self.scene.gsd
        return {
            "name": layer.name,
            "title": layer.title,
            "classes": [
                {"name": name, "colour": colour}
                for name, colour in zip(layer.classes, colours, strict=True)
            ],
            "count": len(layer),
            "finest_zoom": layer.finest_zoom,
            "scores": layer.score_histogram(),
            "has_scores": layer.has_scores,
            "score_name": layer.score_name,
            "is_oriented": layer.objects.oriented is not None,
            "size_unit": "px" if gsd is None else "m",
            "largest_size": layer.largest_size * (gsd or 1.0),
        }


def read_shown_scene(
    scene: Scene,
    objects: Path | None,
    errors: Path | None = None,
    *,
    score_field: str | None = None,
    own_grid: bool = False,
) -> ShownScene:
    """Read the objects of a scene, and begin to read an overview of it.

    Args:
        scene: Open, with the bands to show.
        objects: A vector file with points or polygons, in any CRS; None: none.
        errors: The file ``errors.gpkg`` that evaluate wrote; None: none.
        score_field: Attribute with the score of the objects; None: ``score`` if there is one.
        own_grid: Show the scene in its own pixels, not in Web Mercator.

    Raises:
        SceneError: The scene cannot be read.
        VectorError: A file cannot be read.
    """
    frame = choose_frame(scene.geobox, own_grid=own_grid)
    layers = [] if objects is None else [_read_layer(objects, scene, frame, score_field)]
    if errors is not None:
        layers.append(_read_errors(errors, scene, frame))
    pictures = PictureTiles(scene, frame)
    pictures.wait(None if scene.geobox.width * scene.geobox.height <= _SOON_READ else 0)
    return ShownScene(scene, frame, pictures, {layer.name: layer for layer in layers})


def _read_layer(path: Path, scene: Scene, frame: MapFrame, score_field: str | None) -> ShownLayer:
    found = read_objects(path, scene, score_field=score_field)
    warn_of_miss(path, found.detections, scene)
    colours = [class_colour(label) for label in range(len(found.classes))]
    tables = [found.attributes]
    unscored = () if found.has_scores else range(len(found.classes))
    named = "objects", "Objects", found.detections, tables, found.classes, colours
    return _placed(*named, frame, unscored, score_field or "score")


def _read_errors(path: Path, scene: Scene, frame: MapFrame) -> ShownLayer:
    """Read the layers of the errors as one, whose classes are the kinds of errors."""
    there = list_error_layers(path)
    parts = [_read_kind(path, name, scene) for name in there]
    kinds = [_ERRORS[name] for name in there]
    boxes = [
        replace(one, labels=np.full(len(one), number))
        for number, one in enumerate(part.detections for part in parts)
    ]
    names, colours = zip(*kinds, strict=True)
    unscored = [number for number, name in enumerate(there) if name == "misses"]
    joined, tables = Detections.concatenate(boxes), [part.attributes for part in parts]
    return _placed("errors", "Errors", joined, tables, names, colours, frame, unscored)


def list_error_layers(path: Path) -> list[str]:
    """Return the layers of errors that a file has.

    Raises:
        VectorError: It has none, or cannot be read.
    """
    layers = list_layers(path)
    there = [name for name in _ERRORS if name in layers]
    if not there:
        raise VectorError(
            f"{path} has none of the layers {', '.join(_ERRORS)}",
            hint="give the errors.gpkg that geodet evaluate writes",
            path=path,
        )
    return there


def _read_kind(path: Path, layer: str, scene: Scene) -> SceneObjects:
    field = "" if layer == "misses" else "score"  # what was missed has none
    return read_objects(Path(f"{path}{LAYER_SEPARATOR}{layer}"), scene, score_field=field)


def _placed(
    name: str,
    title: str,
    objects: Detections,
    tables: Sequence[Any],
    classes: Sequence[str],
    colours: Sequence[Colour],
    frame: MapFrame,
    unscored: Sequence[int] = (),
    score_name: str = "score",
) -> ShownLayer:
    """Return a layer of the objects that have a place on the map."""
    bounds = SquareMesh(frame).to_bounds(objects.boxes)
    attributes = AttributeRows.of(*tables)
    known = np.asarray(np.isfinite(bounds).all(axis=1), np.bool_)
    if not known.all():
        logger.warning("objects outside the area that the map can show: %d", int((~known).sum()))
        objects, attributes, bounds = objects.select(known), attributes.select(known), bounds[known]
    what = name, title, objects, classes, colours, attributes
    return ShownLayer(*what, frame, bounds, unscored=unscored, score_name=score_name)
