"""Compare detections with labels, and measure how good they are."""
