"""Pictures of detections over a scene, with a legend and a scale bar."""
