"""Detections over many processes and machines: plan, search in shards, merge."""
