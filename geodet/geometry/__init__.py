"""Windows, boxes, and where pixels lie on the ground: arithmetic without any file."""
