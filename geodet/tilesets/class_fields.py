"""Find the attribute of objects with the class, and read it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from geodet.config.section import did_you_mean
from geodet.documents.values import shown
from geodet.errors import VectorError
from geodet.geometry.arrays import Ints

__all__ = [
    "CLASS_FIELDS",
    "encode_shown_names",
    "read_label_names",
    "read_names_of_detections",
    "read_shown_names",
]


CLASS_FIELDS = ("label", "class", "name")
_FEW, _MANY = 20, 10  # classes that may be proposed at most; that may be a mistake at least
_NO_CLASS = frozenset({"none", "null", "<null>", "nan", "n/a"})

logger = logging.getLogger(__name__)


def read_label_names(table: Any, path: Path, field: str | None, class_name: str) -> tuple[str, ...]:
    """Read the class of each labelled object, and say which attribute it comes from.

    Args:
        table: The attributes of the objects, a DataFrame.
        path: The file, for messages.
        field: Attribute with the class; None: ``label``, ``class`` or ``name``, if any; empty: all
            objects are of one class.
        class_name: The class if no attribute has it; empty: ``data.class_name`` will say it.

    Raises:
        VectorError: There is no such attribute, an object has no class, or there are nearly as many
            classes as objects.
    """
    column = _choose_column(table, path, field)
    if column is None:
        if field is None and len(table):
            _report_no_field(table, path, class_name)
        return (class_name,) * len(table)
    names = _read_column(table, path, column)
    counts = Counter(names)
    if len(counts) >= _MANY and len(counts) > len(names) / 2:
        raise VectorError(
            f"{path}: {len(names)} objects have {len(counts)} classes in the attribute {column!r},"
            f" such as {', '.join(map(repr, list(counts)[:3]))}",
            hint=_propose(table, column, least=1)
            + "an empty label_field (--label-field '') takes all as one class",
            path=path,
        )
    _report_field(table, path, column, counts)
    return names


def read_names_of_detections(
    table: Any, path: Path, field: str | None, class_name: str
) -> tuple[str, ...]:
    """Read the class of each detection, as :func:`read_label_names`, without messages.

    Args:
        table: The attributes of the objects, a DataFrame.
        path: The file, for messages.
        field: Attribute with the class; None: ``label``, ``class`` or ``name``, if any.
        class_name: The class if no attribute has it.

    Raises:
        VectorError: There is no such attribute, or an object has no class.
    """
    column = _choose_column(table, path, field)
    return (class_name,) * len(table) if column is None else _read_column(table, path, column)


def read_shown_names(table: Any, path: Path, field: str | None, class_name: str) -> tuple[str, ...]:
    """Read the class of each detection likewise; ``class_name`` is that of objects without one.

    Such objects are warned of: someone may have drawn them, and looks for them now.
    """
    places, names = encode_shown_names(table, path, field, class_name)
    return tuple([names[place] for place in places.tolist()])


def encode_shown_names(
    table: Any, path: Path, field: str | None, class_name: str
) -> tuple[Ints, list[str]]:
    """Read the classes as :func:`read_shown_names` does, which is quick for many.

    Returns:
        (N,) the place of each object's class in a list of names, and the distinct names.
    """
    column = _choose_column(table, path, field)
    if column is None:
        return np.zeros(len(table), np.int64), [class_name]
    missing = _is_missing(table[column])
    if missing.any():
        logger.warning(
            "%s: objects without a class in the attribute %r: %s, shown as %r",
            *(path, str(column), _count_missing(table[column], missing), class_name),
        )
        table = table.assign(
            **{str(column): table[column].astype(object).mask(missing, class_name)}
        )
    places, names = _encode_column(table, path, column)
    distinct = list(dict.fromkeys(names))  # 1 and "1" are one class
    number = np.array([distinct.index(name) for name in names], np.int64)
    return number[places], distinct


def _choose_column(table: Any, path: Path, field: str | None) -> Any:
    """Return the column with the class, None if there is none."""
    if field == "":
        return None
    if field is not None:
        if field in table.columns:
            _check_plain(table[field], path, field)
            return field
        columns = [str(column) for column in table.columns]
        question = did_you_mean(field, columns)
        listed = (
            f"label_field (--label-field) may be one of {', '.join(columns) or 'no attributes'}"
        )
        raise VectorError(
            f"{path} has no attribute {field!r}",
            hint=f"{question} {listed}".strip(),
            path=path,
        )
    lower = {str(column).lower(): column for column in table.columns}
    known = [lower[name] for name in CLASS_FIELDS if name in lower]
    for column in known:
        _check_plain(table[column], path, column)
    return next((column for column in known if not _is_missing(table[column]).all()), None)


def _check_plain(column: Any, path: Path, name: Any) -> None:
    """Check that no value is a list or an object, as those of GeoJSON may be."""
    values = column.tolist() if column.dtype == object else []
    for number, value in enumerate(values, start=1):
        if isinstance(value, list | dict | np.ndarray):
            raise VectorError(
                f"{path}: the class of object {number} in the attribute {str(name)!r} is"
                f" {shown(value)}, not a text",
                hint="give each object one class, as a text or a number",
                path=path,
            )


def _is_missing(column: Any) -> Any:
    distinct = column.dropna().unique()  # few, where there are a million rows
    empty = [value for value in distinct if not str(value).strip()]
    return column.isna() | column.isin(empty)


def _read_column(table: Any, path: Path, column: Any) -> tuple[str, ...]:
    places, name_of = _encode_column(table, path, column)
    return tuple([name_of[place] for place in places.tolist()])


def _encode_column(table: Any, path: Path, column: Any) -> tuple[Any, list[str]]:
    """Return the place of each object's class in a list of names, and the list."""
    missing = _is_missing(table[column])
    if missing.any():
        raise VectorError(
            f"{path}: objects without a class in the attribute {column!r}:"
            f" {_count_missing(table[column], missing)}",
            hint=f"give each a class in {column!r}; label_field (--label-field) chooses another "
            "attribute, and an empty one ('') takes all as one class",
            path=path,
        )
    places, distinct = table[column].factorize()
    name_of = [_to_name(value) for value in distinct]
    for place, name in enumerate(name_of):
        if name.lower() in _NO_CLASS:
            count = int((places == place).sum())
            logger.warning("%s: %d objects are of the class %r", path, count, name)
    return places, name_of


def _count_missing(column: Any, missing: Any) -> str:
    null = int(column.isna().sum())
    kinds = [f"{null} NULL"] if null else []
    kinds += [f"{int(missing.sum()) - null} empty"] if missing.sum() > null else []
    first = int(missing.to_numpy().argmax()) + 1
    return f"{int(missing.sum())} ({', '.join(kinds)}), the first is number {first}"


def _to_name(value: Any) -> str:
    # GDAL reads a column of integers with gaps as floats: class 3, not class 3.0.
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value).strip()


def _report_field(table: Any, path: Path, column: Any, counts: Counter[str]) -> None:
    others = [str(name) for name in table.columns if name != column]
    also = f" (there are also {', '.join(others)})" if others else ""
    listed = _listed(f"{name} {count}" for name, count in counts.most_common())
    logger.info("%s: classes from the attribute %r%s: %s", path, str(column), also, listed)


def _report_no_field(table: Any, path: Path, class_name: str) -> None:
    proposed = _propose(table, None, least=2)
    others = ", ".join(map(str, table.columns)) or "none"
    one = f"class {class_name!r}" if class_name else "class that data.class_name says"
    if proposed:
        logger.warning(
            "%s: no attribute label, class or name, so every object is of the %s;"
            " label_field (--label-field) may name another: %sthe attributes are %s",
            path,
            one,
            proposed,
            others,
        )
    else:
        logger.info("%s: every object is of the %s; attributes: %s", path, one, others)


def _propose(table: Any, column: Any, *, least: int) -> str:
    """List the attributes with few values, each as ``species (2 values: elm, oak); ``."""
    proposed = []
    for name in table.columns:
        values = table[name].dropna()
        if name == column or values.dtype.kind in "fM" or not len(values):
            continue
        found = sorted(set(map(_to_name, values)))
        if least <= len(found) <= min(_FEW, max(1, len(table) / 2)):
            unit = "value" if len(found) == 1 else "values"
            proposed.append(f"{name} ({len(found)} {unit}: {_listed(found)}); ")
    return "".join(proposed)


def _listed(words: Iterable[str]) -> str:
    """Join the first words; the last says how many more there are."""
    listed = list(words)
    more = [f"and {len(listed) - 6} more"] if len(listed) > 6 else []
    return ", ".join([*listed[:6], *more])
