"""Reviews of detections: decisions on objects, reviewed windows, and suggested ones."""
