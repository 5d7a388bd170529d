"""Read a configuration from its layers, and write it as TOML.

Each layer overrides the one before: defaults, recipe, options, ``--set``. An unknown key is an
error that names the nearest known key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from geodet.config import Config
from geodet.config.list_keys import ListKey, find_list_key, toml_value, value_or_text
from geodet.config.section import name_hint, to_config_error
from geodet.documents.text import DocumentError, read_document, to_text
from geodet.documents.toml_documents import parse_toml
from geodet.documents.values import shown
from geodet.errors import ConfigError

__all__ = [
    "Settings",
    "iter_recipes",
    "label_flags",
    "parse_settings",
    "resolve_config",
    "to_toml",
]

Settings = Mapping[str, Any] | Sequence[str]

_SettingsLayer = Mapping[str, Mapping[str, Any]]


def resolve_config(
    recipe: str | Path | Config | None = None,
    *,
    flags: _SettingsLayer | None = None,
    settings: Settings = (),
    sections: Iterable[str] = (),
) -> Config:
    """Build a configuration from the defaults, a recipe, options and ``--set`` texts.

    Args:
        recipe: A recipe's name, a TOML file's path, or a configuration to start from.
        flags: Values by section and key; None leaves a key as it is.
        settings: Texts ``section.key=value``, of which the last one wins, or a mapping such as
            ``{"section.key": value}``.
        sections: Sections that ``settings`` may name; empty: all. A recipe may name them all,
            since one recipe serves training and detection.

    Raises:
        ConfigError: An unknown recipe, section or key, or a value that does not fit.

    Example:
        >>> resolve_config(settings=["detect.chip_size=1024"]).detect.chip_size
        1024
        >>> resolve_config("urban-trees", settings={"train.epochs": 3}).train.epochs
        3
    """
    layers: list[_SettingsLayer] = [] if recipe is None else [_read_base(recipe)]
    layers.append(_without_none(flags or {}))
    if isinstance(settings, Mapping):
        chosen = _split_keys({key: _listed(key, value) for key, value in settings.items()})
    else:
        chosen = parse_settings(settings)
    for section in chosen:
        allowed = tuple(sections) or tuple(Config.model_fields)
        if section not in allowed and section in Config.model_fields:
            raise ConfigError(
                f"section {section!r} has no effect in this command",
                hint=f"the command reads the sections {', '.join(allowed)}",
                key=section,
            )
    layers.append(chosen)
    try:
        return _validated(_merged(layers))
    except ConfigError as error:
        if isinstance(recipe, str | Path) and _is_of_first(layers, error.key or ""):
            raise ConfigError(f"{recipe}: {error}", hint=error.hint, key=error.key) from error
        raise


def _is_of_first(layers: Sequence[_SettingsLayer], key: str) -> bool:
    """Whether a key, or a section, is in the first of several layers alone."""
    section, name, *_ = [*key.split("."), ""]
    first, *others = (layer.get(section) for layer in layers)
    if not name or not isinstance(first, Mapping):
        return first is not None and not any(others)
    return name in first and not any(name in other for other in others if other)


def parse_settings(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parse ``section.key=value`` texts; a value is TOML, or else plain text.

    A list may be typed without brackets and quotes, and one of a single item as that item.
    A key that takes a text alone takes numbers as they are typed.

    Example:
        >>> parse_settings(["train.epochs=3", "train.optimizer=sgd", "data.bands=1,2,3"])
        {'train': {'epochs': 3, 'optimizer': 'sgd'}, 'data': {'bands': [1, 2, 3]}}
    """
    values: dict[str, Any] = {}
    for text in [settings] if isinstance(settings, str) else settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise _unreadable(text)
        values[key.strip()] = _read_value(key.strip(), value.strip())
    return _split_keys(values)


def _read_value(key: str, text: str) -> Any:
    field = _field(key)
    known = None if field is None else find_list_key(field)
    if known is not None:
        return known.read(text)
    return toml_value(text) if field is None else value_or_text(field, text)


def _listed(key: str, value: Any) -> Any:
    """Return a value of Python, as a list if the key takes one and it is a text or a number."""
    known = _list_key(key)
    is_one = isinstance(value, str | int | float) and not isinstance(value, bool)
    return known.read(str(value)) if known is not None and is_one else value


def _list_key(path: str) -> ListKey | None:
    """Return what a key of the configuration takes, None if it is unknown or takes no list."""
    field = _field(path)
    return None if field is None else find_list_key(field)


def _field(path: str) -> FieldInfo | None:
    """Return the field of a key of the configuration, None if it is unknown."""
    section, _, key = path.partition(".")
    known = section in Config.model_fields
    return _sections()[section].model_fields.get(key) if known else None


def iter_recipes() -> list[tuple[str, str]]:
    """List the bundled recipes as (name, first comment line)."""
    found = []
    for file in resources.files("geodet_configs").iterdir():
        if file.name.endswith(".toml"):
            first = file.read_text(encoding="utf-8").partition("\n")[0]
            found.append((file.name.removesuffix(".toml"), first.lstrip("# ")))
    return sorted(found)


def to_toml(config: Config, *, sections: Iterable[str] = ()) -> str:
    """Convert a configuration to TOML that :func:`resolve_config` reads.

    A comment after each key describes it; a key that is not set is commented out.

    Args:
        config: The configuration.
        sections: The only ones that are written; empty: all.
    """
    chosen, lines = set(sections), list[str]()
    for section, fields in _sections().items():
        if chosen and section not in chosen:
            continue
        values = getattr(config, section)
        lines += ["", f"[{section}]"]
        for key, field in fields.model_fields.items():
            value = getattr(values, key)
            plain = list(value) if isinstance(value, tuple) else value
            text = f"# {key} =" if value is None else _to_line(key, plain)
            flat = text.replace("\n    ", " ").replace("\n", " ")  # lists come one item a line
            lines.append(f"{flat}  # {field.description}")
    return "\n".join(lines).lstrip()


def _to_line(key: str, value: Any) -> str:
    """Write a key and its value; a mapping as an inline table."""
    if not isinstance(value, Mapping):
        return tomli_w.dumps({key: value}).strip()
    return f"{key} = {{{', '.join(tomli_w.dumps({k: v}).strip() for k, v in value.items())}}}"


def _split_keys(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Turn ``{"section.key": value}`` into ``{"section": {"key": value}}``."""
    split: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        section, dot, key = path.partition(".")
        if not (dot and section and key):
            raise _unreadable(path)
        split.setdefault(section, {})[key] = value
    return split


def _unreadable(text: str) -> ConfigError:
    return ConfigError(
        f"cannot read the setting {text!r}", hint="write it as section.key=value", key=text
    )


def _read_base(recipe: str | Path | Config) -> dict[str, dict[str, Any]]:
    if isinstance(recipe, Config):
        return recipe.model_dump(exclude_unset=True)
    if isinstance(recipe, str | Path):
        return _read_recipe(recipe)
    raise ConfigError(
        f"the configuration is a {type(recipe).__name__}",
        hint="pass a geodet.Config, the name of a recipe, or the path of a TOML file",
    )


def _read_recipe(recipe: str | Path) -> dict[str, dict[str, Any]]:
    name = str(recipe)
    bundled = {known for known, _ in iter_recipes()}
    try:
        if name in bundled:
            text = (resources.files("geodet_configs") / f"{name}.toml").read_text(encoding="utf-8")
        else:
            text = to_text(read_document(Path(name)))
        return parse_toml(text)
    except DocumentError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ConfigError(
                f"unknown recipe {name!r}: no such file, and no bundled recipe",
                hint=f"{name_hint(name, sorted(bundled), 'bundled recipes')}; "
                "or give the path of a TOML file",
            ) from error
        raise ConfigError(
            f"cannot read the recipe {name}: {error}",
            hint="a recipe is a TOML file; `geodet config` prints one",
        ) from error


def _without_none(layer: _SettingsLayer) -> dict[str, dict[str, Any]]:
    return {s: {k: v for k, v in keys.items() if v is not None} for s, keys in layer.items()}


def _merged(layers: Iterable[_SettingsLayer]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for section, keys in layer.items():
            if not isinstance(keys, Mapping):
                raise ConfigError(
                    f"the key {section!r} is not in a section",
                    hint="begin the section with a line such as [detect]",
                    key=str(section),
                )
            present = _present_names(section)
            merged.setdefault(section, {}).update({present.get(k, k): v for k, v in keys.items()})
    return merged


def _present_names(section: str) -> dict[str, str]:
    """Map the former names of a section's keys to the present ones."""
    if section not in Config.model_fields:
        return {}
    fields = _sections()[section].model_fields
    return {
        str(former): name
        for name, field in fields.items()
        if isinstance(field.validation_alias, AliasChoices)
        for former in field.validation_alias.choices
    }


def _validated(merged: dict[str, dict[str, Any]]) -> Config:
    try:
        return Config.model_validate(merged)
    except ValidationError as failure:
        error, found = failure.errors()[0], to_config_error(failure, Config)
    key = ".".join(str(part) for part in error["loc"][:2])
    known = _list_key(key)
    if known is None:
        raise found
    if error["type"] == "value_error":
        raise ConfigError(str(found), hint=known.hint(key), key=found.key)
    given = shown(merged[str(error["loc"][0])][str(error["loc"][1])])
    raise ConfigError(f"{key} = {given}: not {known.what}", hint=known.hint(key), key=key)


def _sections() -> dict[str, type[BaseModel]]:
    return {name: type(getattr(Config(), name)) for name in Config.model_fields}


def label_flags(
    label_field: str | None, labels_crs: str | None, *, of_chips: bool
) -> dict[str, dict[str, str | None]]:
    """Return flags for :func:`resolve_config` that say how a vector file of labels is read.

    Args:
        label_field: Attribute with the class; None: not given.
        labels_crs: CRS of labels whose file has none; None: not given.
        of_chips: Whether the file is beside chips, and not that of a scene.

    Example:
        >>> label_flags("species", None, of_chips=True)["data"]
        {'label_field': 'species'}
    """
    flags: dict[str, dict[str, str | None]] = {"data": {}, "tile": {"labels_crs": labels_crs}}
    flags["data" if of_chips else "tile"]["label_field"] = label_field
    return flags
