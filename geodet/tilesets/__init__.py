"""Labelled chips for training, and labels of whole scenes: every format that comes in."""
