"""The parts of a preview: the image, the objects on it, and the footer below."""
