"""Documents of text that anybody may have written: JSON, YAML, TOML, XML and CSV, within limits."""
