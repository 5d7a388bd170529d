"""The detector, a RetinaNet (Lin et al. 2017, arXiv:1708.02002), its model files and its decoding.

Shapes are written with N images, C bands or channels, H rows, W columns, A anchors a cell,
K classes, and R = the sum of H * W * A over the levels, the anchors of an image.
"""
