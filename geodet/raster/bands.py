"""Recognise the bands of a raster by names and colours, and choose those that a model needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from geodet.errors import SceneError

__all__ = [
    "band_meanings",
    "choose_bands",
    "common_dtype",
    "find_band",
    "list_contradictions",
    "match_bands",
    "resolve_band",
]

_NAMES = {
    "red": ("r",),
    "green": ("g",),
    "blue": ("b",),
    "nir": ("nearinfrared", "nearir", "infrared", "ir", "nir1"),
    "rededge": ("edge", "re"),
    "coastal": ("coastalblue", "coastalaerosol", "aerosol"),
    "pan": ("panchromatic",),
    "thermal": ("tir", "lwir", "thermalinfrared", "thermalir"),
}
_MEANING = {name: meaning for meaning, names in _NAMES.items() for name in (meaning, *names)}
_FILLERS = {"band", "channel", "layer", "surface", "reflectance", "sr", "toa", "boa", "nm"}
_SILENT = {"", "undefined", "gray", "palette", "alpha"}  # colours that name no part of a spectrum
# Landsat numbers its bands otherwise; no other sensor has 8A, and few files have Landsat's band 8.
_SENTINEL_2 = {"b2": "blue", "b3": "green", "b4": "red", "b8": "nir"}


def band_meanings(
    names: Sequence[str], colours: Sequence[str], doubtful_alpha: int | None = None
) -> tuple[str, ...]:
    """Return what each band shows: ``red``, ``nir``, or its name in short; "" if unknown.

    A name takes precedence over the colour interpretation, which is often a writer's default.
    ``B2``, ``B3``, ``B4`` and ``B8`` are Sentinel-2's if B8 or B8A is among the names.

    Args:
        names: Descriptions of the bands, "" where there is none.
        colours: Names of the colour interpretations, as rasterio spells them.
        doubtful_alpha: Number of a band that is flagged as alpha, but varies like imagery. It is
            taken for near-infrared beside red, green and blue.

    Example:
        >>> band_meanings(["", "Near Infrared", "Band 3"], ["gray", "undefined", "red"])
        ('', 'nir', 'red')
    """
    plain = [_simplified(name) for name in names]
    numbered = _SENTINEL_2 if {"b8", "b8a"} & set(plain) else {}
    found = [
        numbered.get(name) or _MEANING.get(name, _without_number(name)) or _colour_meaning(colour)
        for name, colour in zip(plain, colours, strict=True)
    ]
    if doubtful_alpha is not None and sorted(filter(None, found)) == ["blue", "green", "red"]:
        found[doubtful_alpha - 1] = "nir"
    return tuple(found)


def choose_bands(wanted: Sequence[str], meanings: Sequence[str]) -> tuple[int, ...]:
    """Choose the bands that a model needs by what they show.

    A wanted band that no band is known to show gets the next band of which nothing is known. Where
    several bands show the same, each is chosen once before one is chosen twice.

    Args:
        wanted: Names of the model's bands.
        meanings: What each band of the raster shows, "" if unknown.

    Returns:
        An index into ``meanings`` for each wanted band; empty if the meanings do not decide.

    Example:
        >>> choose_bands(["red", "green", "blue"], ["blue", "green", "red", "nir"])
        (2, 1, 0)
    """
    sought = band_meanings(wanted, [""] * len(wanted))
    if not set(sought) & set(meanings) - {""}:
        return ()
    places: list[int] = []
    for name in sought:
        shown = [place for place, meaning in enumerate(meanings) if name and meaning == name]
        left = [place for place in shown if place not in places]
        unknown = [n for n, meaning in enumerate(meanings) if not meaning and n not in places]
        places += (left or shown or unknown)[:1]
    return tuple(places) if len(places) == len(sought) else ()


def match_bands(own: Sequence[str], theirs: Sequence[str]) -> list[int | None]:
    """Find each band of a training among those of a model that it starts from.

    Bands are the same if they show the same. One of which nothing is known is that at its own
    place, if no other one is. Where no band is found by what it shows, all are taken by place: red,
    green, blue and others, if both have three or more or the same number.

    Args:
        own: What each band of the training shows, "" if unknown, see :func:`band_meanings`.
        theirs: Names of the model's bands.

    Returns:
        An index into ``theirs`` for each band of the training; None where the model has none.

    Example:
        >>> match_bands(["nir", "red", "green"], ["red", "green", "blue"])
        [None, 0, 1]
        >>> match_bands(["", "", "", ""], ["red", "green", "blue"])
        [0, 1, 2, None]
    """
    sought = band_meanings(theirs, [""] * len(theirs))
    places: list[int | None] = []
    for name in own:
        shown = (n for n, meaning in enumerate(sought) if name and meaning == name)
        places.append(next((place for place in shown if place not in places), None))
    if not any(place is not None for place in places):
        by_place = len(own) == len(theirs) or min(len(own), len(theirs)) >= 3
        return [n if by_place and n < len(theirs) else None for n in range(len(own))]
    for n, name in enumerate(own):
        if not name and n < len(theirs) and n not in places:
            places[n] = n
    return places


def list_contradictions(
    wanted: Sequence[str], names: Sequence[str], meanings: Sequence[str]
) -> list[str]:
    """List the bands that are read for a model, but show another one.

    Args:
        wanted: Names of the model's bands.
        names: What the bands that are read for them are called, in the same order.
        meanings: What each of these shows, "" if unknown.

    Returns:
        Such as ``nir for red``; empty for a model of one band, as cameras write grey pictures as
        three equal bands.

    Example:
        >>> list_contradictions(["red", "green"], ["B8", "Green"], ["nir", "green"])
        ['B8 for red']
    """
    if len(wanted) == 1:
        return []
    sought = band_meanings(wanted, [""] * len(wanted))
    return [
        f"{name} for {band}"
        for name, shown, band, needed in zip(names, meanings, wanted, sought, strict=True)
        if shown and needed and shown != needed
    ]


def resolve_band(wanted: str, names: Sequence[str], meanings: Sequence[str]) -> int:
    """Find a band by its number, its name or what it shows.

    Args:
        wanted: A number counted from 1, a name, or a meaning such as ``nir``.
        names: Descriptions of the bands.
        meanings: What each band shows, see :func:`band_meanings`.

    Returns:
        The number of the band, counted from 1; 0 if there is none.

    Example:
        >>> resolve_band("near infrared", ["", "Infrared"], ["", "nir"])
        2
    """
    if wanted.strip().isdigit():
        return int(wanted)
    lowered = [name.strip().lower() for name in names]
    if wanted.strip().lower() in lowered:
        return lowered.index(wanted.strip().lower()) + 1
    (meaning,) = band_meanings([wanted], [""])
    return meanings.index(meaning) + 1 if meaning and meaning in meanings else 0


def find_band(
    band: int | str,
    names: Sequence[str],
    meanings: Sequence[str],
    labels: Sequence[str],
    *,
    path: str,
) -> int:
    """Find a band of a raster by its number, its name or what it shows.

    Args:
        band: A number counted from 1, a name, or a meaning such as ``nir``.
        names: Descriptions of the bands.
        meanings: What each band shows, see :func:`band_meanings`.
        labels: What the bands are called in messages.
        path: The raster, for the error.

    Raises:
        SceneError: There is no such band.
    """
    number = resolve_band(band, names, meanings) if isinstance(band, str) else band
    if not 1 <= number <= len(names):
        raise SceneError(
            f"no band {band} in {path}, which has {len(names)}: {', '.join(labels)}",
            hint="give the number of a band, counted from 1, or its name in the scene",
            path=path,
        )
    return number


def common_dtype(path: str, dtypes: Sequence[str]) -> np.dtype[Any]:
    """Return the data type that bands have in common.

    Args:
        path: The raster, for the error.
        dtypes: Data types of the bands, as rasterio names them.

    Raises:
        SceneError: They have several, or complex ones.
    """
    if len(set(dtypes)) > 1 or any(name.startswith("complex") for name in dtypes):
        raise SceneError(
            f"the bands of {path} hold {' and '.join(sorted(set(dtypes)))} values",
            hint="choose real bands of one type, or convert them with gdal_translate",
            path=path,
        )
    return np.dtype(dtypes[0])


def _simplified(name: str) -> str:
    """Reduce a name to what is specific: no case, numbers, wavelengths, or words such as "band"."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word not in _FILLERS]
    kept = "".join(word for word in words if not word.isdigit())
    return re.sub(r"^b0?(?=\d)", "b", kept)


def _without_number(name: str) -> str:
    """Return "" for a name that is a number, whose meaning depends on the sensor."""
    return "" if re.fullmatch(r"b\d+a?", name) else name


def _colour_meaning(colour: str) -> str:
    return "" if colour in _SILENT else _MEANING.get(colour, colour)
