"""Vector files: written for GIS programs, and read from anybody."""
