"""Match the outputs of two classifiers by the names of their classes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from geodet.tilesets.class_names import join_names

__all__ = ["match_outputs", "summarise_match", "take_outputs"]


def match_outputs(own: Sequence[str], theirs: Sequence[str]) -> list[int | None]:
    """Find each class among those of another model, by name, as :func:`join_names` joins them.

    Two models of a single class match whatever it is called: what looks like an object to one is
    the best start for the other.

    Args:
        own: Names of K classes.
        theirs: Names of the other model's classes.

    Returns:
        K numbers of the other model's classes; None where it has none of that name.

    Example:
        >>> match_outputs(["hut", "boat", "car"], ["Car", "Hut"])
        [1, None, 0]
        >>> match_outputs(["palm"], ["tree"])
        [0]
    """
    if len(own) == len(theirs) == 1:
        return [0]
    joined = join_names(own, theirs)
    return [theirs.index(joined[name]) if name in joined else None for name in own]


def take_outputs(own: Tensor, theirs: Tensor, places: Sequence[int | None], anchors: int) -> Tensor:
    """Take the outputs of the classes that the other model has, too.

    Args:
        own: (A * K, ...) weights or biases of a last layer.
        theirs: (A * L, ...) of the other model, of L classes.
        places: From :func:`match_outputs`.
        anchors: Anchors per cell, A.

    Returns:
        (A * K, ...) in which the other classes are as in ``own``.
    """
    taken = own.clone().reshape(anchors, len(places), *own.shape[1:])  # (A, K, ...)
    given = theirs.reshape(anchors, -1, *theirs.shape[1:])  # (A, L, ...)
    for number, place in enumerate(places):
        if place is not None:
            taken[:, number] = given[:, place]
    return taken.reshape(own.shape)


def summarise_match(
    own: Sequence[str], theirs: Sequence[str], places: Sequence[int | None]
) -> str | None:
    """Describe in one line what becomes of the classes; None where they are the same.

    Example:
        >>> summarise_match(["hut", "boat", "car"], ["car", "hut", "bus"], [1, None, 0])
        'the outputs of hut, car are taken by name, boat is new, bus is left out'
        >>> summarise_match(["palm"], ["tree"], [0])
        'the output of tree becomes that of palm'
    """
    if [*own] == [*theirs]:
        return None
    if len(own) == len(theirs) == 1:
        return f"the output of {theirs[0]} becomes that of {own[0]}"
    taken = [name for name, place in zip(own, places, strict=True) if place is not None]
    if not taken:
        return (
            f"none of its classes ({', '.join(theirs)}) is one of {', '.join(own)}: all outputs "
            "are new; data.class_map renames labels"
        )
    new = [name for name, place in zip(own, places, strict=True) if place is None]
    left = [name for place, name in enumerate(theirs) if place not in places]
    parts = [f"the {'outputs' if len(taken) > 1 else 'output'} of {_listed(taken)} taken by name"]
    parts += [f"{_listed(new)} new"] if new else []
    parts += [f"{_listed(left)} left out"] if left else []
    return ", ".join(parts)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'are' if len(names) > 1 else 'is'}"
