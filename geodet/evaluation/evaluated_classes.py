"""Classes of detections, or of a model, and those of the labels that they are compared with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from geodet.config import Config
from geodet.errors import ConfigError, ModelFileError
from geodet.geometry.arrays import Ints
from geodet.models.description import ModelDescription
from geodet.tilesets.class_names import join_names

__all__ = ["choose_classes", "match_classes", "number_in_model", "renamed_classes"]

logger = logging.getLogger(__name__)


def renamed_classes(names: Sequence[str], config: Config) -> tuple[str, ...]:
    """Return the classes of a model or of detections as ``data.class_map`` renames them.

    They stay if each that the map renames is also one of its new names: a model that was trained
    with the map has these, and a map that swaps two names would swap them back.

    Args:
        names: The classes, which may be repeated.
        config: ``data.class_map``.

    Example:
        >>> swap = Config.model_validate({"data": {"class_map": {"car": "van", "van": "car"}}})
        >>> renamed_classes(["car", "van"], swap)
        ('car', 'van')
    """
    new_names = config.data.class_map
    if {*names} & new_names.keys() <= set(new_names.values()):
        return tuple(names)
    return tuple(new_names.get(name, name) for name in names)


def match_classes(
    about: ModelDescription, classes: Sequence[str], source: object, config: Config
) -> list[int]:
    """Return the index of each class of a model among those of labels, -1 for one without labels.

    Names are joined by :func:`geodet.tilesets.class_names.join_names`. If each has a single class,
    they may differ in any way.

    Args:
        about: The model.
        classes: Classes of the labels, as ``data.class_map`` renames them.
        source: The labels, for the error message.
        config: ``data.class_map``, which renames the classes of the model, too.

    Raises:
        ModelFileError: The labels have a class that the model lacks.
    """
    own = renamed_classes(about.classes, config)
    if len(set(own)) == len(classes) == 1:
        return [0] * len(own)
    joined = join_names(classes, own)
    for name in classes:
        if name not in joined:
            raise ModelFileError(
                f"{source} has the class {name!r}, which {about.name} lacks",
                hint=f"the model has {', '.join(own)}; leave a class out with data.ignore_classes, "
                "or rename it with data.class_map",
                name=about.name,
            )
    label_of = {joined[name]: label for label, name in enumerate(classes)}
    return [label_of.get(name, -1) for name in own]


def number_in_model(
    about: ModelDescription, classes: Sequence[str], source: object, config: Config
) -> Ints:
    """Return the model's index of each class of labels: (K,).

    Args:
        about: The model.
        classes: K, as for :func:`match_classes`.
        source: Likewise.
        config: Likewise.

    Raises:
        ModelFileError: The labels have a class that the model lacks, or in which
            ``data.class_map`` joins several of the model.
    """
    label_of = match_classes(about, classes, source, config)
    for label, name in enumerate(classes):
        joined = [own for own, one in zip(about.classes, label_of, strict=True) if one == label]
        if len(joined) > 1:
            raise ModelFileError(
                f"data.class_map joins {' and '.join(joined)} of {about.name} as {name!r}: the "
                "scores of each class are calibrated separately, which needs labels of each",
                hint="label these classes separately, or train a model of the joined class",
                name=about.name,
            )
    return np.array([label_of.index(label) for label in range(len(classes))], np.int64)


def choose_classes(
    found: Sequence[str], truth: Sequence[str], config: Config
) -> tuple[tuple[str, ...], Callable[[Sequence[str]], Ints]]:
    """Choose the classes of an evaluation from those of the detections and of the labels.

    Names are joined by :func:`geodet.tilesets.class_names.join_names`. If each has a single class,
    the two are taken as the same, whatever their names.

    Args:
        found: Names of the detections' classes.
        truth: Names of the labels' classes.
        config: ``data.one_class`` and ``data.ignore_classes``.

    Returns:
        The names of the classes, and a function that numbers class names by them; -1 stands for a
        class that does not count.

    Raises:
        ConfigError: The detections and the labels have no class in common.
    """
    data = config.data
    labelled = sorted(set(truth) - set(data.ignore_classes))
    detected = sorted(set(found) - set(data.ignore_classes))
    alias = joined = join_names(detected, labelled)
    if data.one_class:
        alias = dict.fromkeys([*labelled, *detected], data.one_class)
    elif len(labelled) == len(detected) == 1 and not joined:
        logger.warning(
            "detections of the class %r are compared with labels of the class %r",
            detected[0],
            labelled[0],
        )
        alias = {detected[0]: labelled[0]}
    elif labelled and detected:
        _check_shared(labelled, detected, joined)
    classes = tuple(sorted({alias.get(name, name) for name in labelled or detected}))

    def number(names: Sequence[str]) -> Ints:
        places = {name: row for row, name in enumerate(classes)}
        ignored = set(data.ignore_classes)
        return np.array(
            [-1 if n in ignored else places.get(alias.get(n, n), -1) for n in names], np.int64
        )

    return classes or (data.class_name,), number


def _check_shared(
    labelled: Sequence[str], detected: Sequence[str], joined: Mapping[str, str]
) -> None:
    if not joined:
        raise ConfigError(
            f"no class in common: the labels have {', '.join(labelled)}, the detections have "
            + ", ".join(detected),
            hint="choose another attribute with label_field (--label-field), or count all classes "
            "as one with --set data.one_class=NAME",
        )
    for name in sorted(set(detected) - set(joined)):
        logger.warning("detections of the class %r do not count: no label has this class", name)
    for name in sorted(set(labelled) - set(joined.values())):
        logger.warning("no detection has the class %r: all of its objects are misses", name)
