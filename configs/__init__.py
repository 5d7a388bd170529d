"""Named recipes, one TOML file each; read them with :func:`geodet.recipes.resolve_config`."""
