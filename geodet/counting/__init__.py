"""Counts of detections on the ground, with the interval in which the true count lies."""
