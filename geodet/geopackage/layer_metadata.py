"""Metadata of a layer in a GeoPackage, read and changed within a transaction of its database.

They are where GDAL keeps them, as XML in ``gpkg_metadata``. The texts that users see are in GDAL's
default domain. What appending needs to know is in a domain of its own, ``geodet``.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from xml.etree import ElementTree as ET

__all__ = ["MODEL_DIGEST", "LayerMetadata"]

MODEL_DIGEST = "model_sha256"
"""The title of the digest of the model that made the objects; of a second run with a 2 after it."""

_GDAL = ("http://gdal.org", "text/xml")
_ROOT, _SECTION, _ITEM = "GDALMultiDomainMetadata", "Metadata", "MDI"
_OWN = "geodet"
_RUNS, _ROWS_OF = "runs", "rows of "
_MODEL = re.compile(rf"{MODEL_DIGEST}( \d+)?")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_FIND = """
SELECT id, metadata FROM gpkg_metadata WHERE md_standard_uri = ? AND mime_type = ? AND id IN (
  SELECT md_file_id FROM gpkg_metadata_reference
  WHERE reference_scope = 'table' AND lower(table_name) = lower(?))
"""
# Of the standard, OGC 12-128r18, annex F.8, as GDAL writes them.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS gpkg_metadata (id INTEGER CONSTRAINT m_pk PRIMARY KEY ASC NOT NULL,"
    "md_scope TEXT NOT NULL DEFAULT 'dataset',md_standard_uri TEXT NOT NULL,"
    "mime_type TEXT NOT NULL DEFAULT 'text/xml',metadata TEXT NOT NULL DEFAULT '')",
    "CREATE TABLE IF NOT EXISTS gpkg_metadata_reference (reference_scope TEXT NOT NULL,"
    "table_name TEXT,column_name TEXT,row_id_value INTEGER,"
    "timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),"
    "md_file_id INTEGER NOT NULL,md_parent_id INTEGER,"
    "CONSTRAINT crmr_mfi_fk FOREIGN KEY (md_file_id) REFERENCES gpkg_metadata(id),"
    "CONSTRAINT crmr_mpi_fk FOREIGN KEY (md_parent_id) REFERENCES gpkg_metadata(id))",
)
_EXTENSION = """
INSERT INTO gpkg_extensions (table_name, extension_name, definition, scope)
SELECT ?1, 'gpkg_metadata', 'http://www.geopackage.org/spec120/#extension_metadata', 'read-write'
WHERE NOT EXISTS (SELECT 1 FROM gpkg_extensions WHERE table_name = ?1)
"""


class LayerMetadata:
    """The metadata of a layer; changes are written by :meth:`store`.

    Args:
        database: A GeoPackage that is open.
        layer: The layer's name.
    """

    def __init__(self, database: sqlite3.Connection, layer: str) -> None:
        self._database, self._layer = database, layer
        self._id: int | None = None
        self._root = ET.Element(_ROOT)
        for number, text in _find(database, layer):
            self._id, self._root = number, ET.fromstring(text)

    @property
    def texts(self) -> dict[str, str]:
        """The texts that users see, by title."""
        return self._read(None)

    @property
    def models(self) -> list[str]:
        """Digests of the models that the layer's detections are from; none where it names none."""
        return [text for title, text in self.texts.items() if _MODEL.fullmatch(title)]

    @property
    def runs(self) -> list[str]:
        """Identifiers of the runs that have appended to the layer."""
        return self.read_own(_RUNS).split()

    def rows_of(self, model: str) -> list[tuple[int, int]]:
        """Return the rows that a model has found: the first and last number of each range.

        They are noted from the second model on; before, all rows are of one.
        """
        known = self.read_own(_ROWS_OF + model).split()
        return [(int(first), int(last)) for first, last in (one.split("-") for one in known)]

    def texts_of(self, title: str) -> list[str]:
        """Return the texts of a title, and of those with its number, in order."""
        pattern, known = re.compile(rf"{re.escape(title)}( \d+)?"), self.texts
        titles = filter(pattern.fullmatch, known)
        return [known[one] for one in sorted(titles, key=lambda one: (len(one), one))]

    def rewrite(self, title: str, text: str) -> None:
        """Put a text in place of all texts of a title; an empty one removes them."""
        numbered = re.compile(rf"{re.escape(title)} \d+")
        removed = dict.fromkeys(filter(numbered.fullmatch, self.texts), "")
        self._write(None, {**removed, title: text})

    def read_own(self, key: str) -> str:
        """Return a text that users do not see; empty where there is none."""
        return self._read(_OWN).get(key, "")

    def write_own(self, key: str, text: str) -> None:
        """Keep a text that users do not see."""
        self._write(_OWN, {key: text})

    def join(self, texts: Mapping[str, str]) -> None:
        """Add texts; one that differs from what the layer has gets a number, ``model 2``."""
        known = self.texts
        for title, text in texts.items():
            names = [title, *(f"{title} {run}" for run in range(2, len(known) + 3))]
            if text not in (known.get(name) for name in names):
                known[next(name for name in names if name not in known)] = text
        self._write(None, known)

    def add_run(self, run: str) -> None:
        """Note that a run has appended."""
        self.write_own(_RUNS, " ".join([*self.runs, run]))

    def add_rows(self, model: str, first: int, last: int) -> None:
        """Note rows that a model has found, which come after all that are noted."""
        known = self.rows_of(model)
        if known and known[-1][1] + 1 == first:
            first = known.pop()[0]
        texts = (f"{start}-{end}" for start, end in [*known, (first, last)])
        self.write_own(_ROWS_OF + model, " ".join(texts))

    def store(self) -> None:
        """Write all changes to the database, whose transaction is not ended here.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        if not len(self._root):
            return
        ET.indent(self._root)
        text = ET.tostring(self._root, encoding="unicode") + "\n"
        if self._id is not None:
            change = "UPDATE gpkg_metadata SET metadata = ? WHERE id = ?"
            self._database.execute(change, (text, self._id))
            return
        for table in _TABLES:
            self._database.execute(table)
        for name in ("gpkg_metadata", "gpkg_metadata_reference"):
            self._database.execute(_EXTENSION, (name,))
        add = "INSERT INTO gpkg_metadata (md_standard_uri, mime_type, metadata) VALUES (?, ?, ?)"
        self._id = self._database.execute(add, (*_GDAL, text)).lastrowid
        refer = (
            "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id) "
            "VALUES ('table', ?, ?)"
        )
        self._database.execute(refer, (self._layer, self._id))

    def _section(self, domain: str | None) -> ET.Element | None:
        sections = self._root.findall(_SECTION)
        return next((one for one in sections if one.get("domain") == domain), None)

    def _read(self, domain: str | None) -> dict[str, str]:
        section = self._section(domain)
        items = [] if section is None else section.findall(_ITEM)
        return {item.get("key", ""): item.text or "" for item in items}

    def _write(self, domain: str | None, texts: Mapping[str, str]) -> None:
        """Write texts to a domain; those that are empty are removed from it."""
        section = self._section(domain)
        if section is None:
            about = {} if domain is None else {"domain": domain}
            section = ET.Element(_SECTION, about)
        items = {item.get("key"): item for item in section.findall(_ITEM)}
        for key, text in texts.items():
            item = items.get(key)
            if text:
                item = ET.SubElement(section, _ITEM, {"key": key}) if item is None else item
                item.text = _NOT_IN_XML.sub("?", text)
            elif item is not None:
                section.remove(item)
        if len(section) and section not in list(self._root):
            self._root.append(section)


def _find(database: sqlite3.Connection, layer: str) -> list[tuple[int, str]]:
    """Return the row of GDAL's metadata, if there is one that can be read."""
    there = "SELECT count(*) FROM sqlite_master WHERE name = 'gpkg_metadata_reference'"
    if not database.execute(there).fetchone()[0]:
        return []
    rows = database.execute(_FIND, (*_GDAL, layer)).fetchall()
    return [(number, text) for number, text in rows if _is_readable(text)][:1]


def _is_readable(text: str) -> bool:
    try:
        return ET.fromstring(text).tag == _ROOT
    except ET.ParseError:
        return False
