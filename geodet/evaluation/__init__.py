"""How good detections are, compared with labels."""
