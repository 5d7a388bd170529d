"""The version of geodet, which output files and model files state."""

__all__ = ["__version__"]

__version__ = "0.1.0"
