"""The objects of the painted scene."""

import numpy as np

BOXES = np.array([[10, 10, 20, 22], [40, 30, 52, 40], [60, 50, 66, 60], [70, 5, 90, 20.0]])
SCORES = [0.9, 0.25, 0.5, 0.75]
LABELS = ["tree", "palm", "tree", "tree"]
