"""Labelled chips for training in any format, and labels of whole scenes."""
