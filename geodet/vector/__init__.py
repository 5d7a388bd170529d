"""Vector files: detections written for GIS programs, and files of any origin read."""
