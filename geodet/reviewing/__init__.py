"""Reviews of detections: what people decided, which windows they saw, and which come next."""
