"""The scenes that a GeoPackage holds: the ground searched in each, and those that were left out.

Users and other formats see one ground, the title ``examined ground``, and one list of what was left
out. To replace a scene, its part of the ground must be known, so both are kept by model
and scene in the domain of :class:`LayerMetadata` that is not shown: about 150 bytes for a scene
that is a rectangle.

Files of earlier versions have one ground a run. It is kept apart as that of scenes unknown.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geodet.documents.json_documents import parse_json
from geodet.documents.text import DocumentError
from geodet.files.databases import connect_database, is_database
from geodet.geometry.reprojection import only_polygons
from geodet.geopackage.layer_metadata import LayerMetadata
from geodet.vector.formats import LAYER_SEPARATOR
from geodet.vector.provenance import EXAMINED, LEFT_OUT
from geodet.vector.rows import LAYER
from geodet.vector.searched_scenes import SearchedScenes, join_reasons, to_wkt

__all__ = ["HeldScenes", "have_models_different_grounds"]

_KEY = "scenes"
_GROUNDS, _FAILURES, _UNKNOWN = "grounds", "left out", "ground of unknown scenes"
_NEXT = re.compile(r"; (?=[^;:]+: )")  # in a list of what was left out
_NO_MODEL = ""
_EDGE = 1e-6  # share of a scene that only touches another: rounding makes them overlap


class HeldScenes:
    """The scenes of a layer, as its metadata list them.

    Args:
        metadata: Metadata of the layer.
        model: The digest of the model of new rows; empty: unknown.
    """

    def __init__(self, metadata: LayerMetadata, model: str) -> None:
        self._metadata, self._model = metadata, model
        stored = _read(metadata)
        by_model: dict[str, dict[str, str]] = stored.get(_GROUNDS, {})
        mine = by_model.pop(model, {})
        self._grounds = {scene: _parse(text) for scene, text in mine.items()}
        self._of_other_models = by_model
        self._failures: dict[str, dict[str, str]] = stored.get(_FAILURES, {})
        # besides what is kept by scene: all that an earlier version has written
        texts = metadata.texts_of(EXAMINED)
        if unknown := stored.get(_UNKNOWN):
            texts = [unknown, *texts[1:]]
        elif mine or by_model:
            texts = texts[1:]
        self._unknown = shapely.union_all([_parse(text) for text in texts]) if texts else None
        for text in metadata.texts_of(LEFT_OUT)[bool(self._failures) :]:
            pairs = (entry.partition(": ") for entry in _NEXT.split(text))
            earlier = self._failures.setdefault(_NO_MODEL, {})
            earlier.update({scene: reason for scene, _, reason in pairs})

    def has_ground_of(self, scene: str) -> bool:
        """Whether it is known which ground was searched in a scene, by the same model."""
        return scene in self._grounds

    def may_hold(self, scene: str) -> bool:
        """Whether a scene may be one of those whose ground is not known one by one."""
        return self._unknown is not None and scene not in self._grounds

    def have_models_different_grounds(self) -> bool:
        """Whether models have searched different ground; that of scenes unknown is one's own."""
        if len(self._metadata.models) < 2:
            return False
        by_model = [[_parse(text) for text in of.values()] for of in self._of_other_models.values()]
        grounds = [shapely.union_all(of) for of in (*by_model, [*self._grounds.values()]) if of]
        known = shapely.union_all(grounds)
        if self._unknown is not None:  # files of earlier versions have theirs there as well
            grounds += [rest] if (rest := _difference(self._unknown, known)).area else []
        least = _EDGE * shapely.union_all(grounds).area
        return any(shapely.symmetric_difference(grounds[0], one).area > least for one in grounds)

    def list_overlapping(self, scenes: Iterable[str]) -> list[str]:
        """List the other scenes that share ground with some, by the same model."""
        known = {scene: self._grounds[scene] for scene in scenes if scene in self._grounds}
        if not known:
            return []
        ground = shapely.union_all(list(known.values()))
        shapely.prepare(ground)
        return [
            scene
            for scene, other in self._grounds.items()
            if scene not in known
            and shapely.intersects(ground, other)
            and shapely.intersection(ground, other).area > _EDGE * other.area
        ]

    def add(self, searched: SearchedScenes) -> None:
        """Add scenes; what was searched before in one that is there already stays its ground.

        Args:
            searched: Those that were added to the layer, and those that failed.
        """
        for scene, shape in searched.grounds.items():
            ground, before = _parse(to_wkt(shape)), self._grounds.get(scene)
            self._grounds[scene] = ground if before is None else shapely.union(before, ground)
        mine = self._failures.setdefault(self._model, {})
        mine.update({s: why for s, why in searched.failures.items() if s not in self._grounds})
        for failures in (mine, self._failures.get(_NO_MODEL, {})):
            for scene in searched.extents:
                failures.pop(scene, None)

    def replace(
        self,
        searched: SearchedScenes,
        removed: Mapping[str, shapely.Geometry],
        *,
        are_compared: bool,
    ) -> None:
        """Add scenes whose rows have replaced those of the same scenes.

        Where such a scene is not searched any more, objects of the scenes around it are missing as
        well, if they were left out as duplicates of rows that are gone: that is no examined ground.

        Args:
            searched: The scenes.
            removed: Bounds of the rows that are gone, by scene.
            are_compared: Whether objects that several scenes show are written once.
        """
        gone = []
        for scene, extent in searched.extents.items():
            if scene in self._grounds:
                gone.append(self._grounds.pop(scene))
            elif self._unknown is not None:  # then it is at most where it is now, and its rows were
                gone += [extent, removed.get(scene, extent)]
        self.add(searched)
        before = shapely.union_all(gone)
        if self._unknown is not None:
            self._unknown = _difference(self._unknown, before)
        now = [self._grounds[scene] for scene in searched.grounds]
        lost = _difference(before, shapely.union_all(now))
        if not are_compared or lost.is_empty:
            return
        for scene, ground in self._grounds.items():
            if scene not in searched.extents and shapely.intersects(ground, lost):
                self._grounds[scene] = _difference(ground, lost)

    def store(self) -> None:
        """Change the metadata."""
        by_model = dict(self._of_other_models)
        if self._grounds:
            by_model[self._model] = {s: to_wkt(ground) for s, ground in self._grounds.items()}
        failures = {model: known for model, known in self._failures.items() if known}
        content: dict[str, Any] = {_GROUNDS: by_model, _FAILURES: failures}
        texts = [text for known in by_model.values() for text in known.values()]
        if self._unknown is not None:
            content[_UNKNOWN] = to_wkt(self._unknown)
            texts.append(content[_UNKNOWN])
        ground = to_wkt(shapely.union_all([*map(_parse, texts)])) if texts else ""
        left_out = {scene: why for known in failures.values() for scene, why in known.items()}
        self._metadata.write_own(_KEY, json.dumps(content))
        self._metadata.rewrite(EXAMINED, ground)
        self._metadata.rewrite(LEFT_OUT, join_reasons(left_out))


def have_models_different_grounds(path: str | Path) -> bool:
    """Whether a file has the objects of several models that have searched different ground.

    Args:
        path: A file, or ``FILE|layername=NAME``; other formats than GeoPackage are of one model.
    """
    file, _, layer = str(path).partition(LAYER_SEPARATOR)
    if not is_database(Path(file)):
        return False
    try:
        with closing(connect_database(Path(file))) as database:
            metadata = LayerMetadata(database, layer or LAYER)
            return HeldScenes(metadata, _NO_MODEL).have_models_different_grounds()
    except sqlite3.Error:  # reading the objects raises what is wrong with the file
        return False


def _read(metadata: LayerMetadata) -> dict[str, Any]:
    try:
        stored = parse_json(metadata.read_own(_KEY) or "{}")
    except DocumentError:
        return {}
    return stored if isinstance(stored, dict) else {}


def _parse(text: str) -> shapely.Geometry:
    """Read WKT; rounding may have made its lines cross, and another program may have changed it."""
    shape = shapely.from_wkt(text, on_invalid="ignore") or shapely.Polygon()
    return shape if shape.is_valid else shapely.make_valid(shape)


def _difference(ground: shapely.Geometry, other: shapely.Geometry) -> shapely.Geometry:
    pieces = only_polygons(np.array([shapely.difference(ground, other)], object))
    return shapely.union_all(pieces)
