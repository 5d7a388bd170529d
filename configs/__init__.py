"""Named recipes, one TOML file each; read them with :func:`geodet.config.resolve_config`."""
