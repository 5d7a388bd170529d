"""Find small, dense objects in very large georeferenced images."""

__version__ = "0.1.0"
