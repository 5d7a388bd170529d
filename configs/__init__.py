"""Bundled recipes, one TOML file each, for :func:`geodet.config.recipes.resolve_config`."""
