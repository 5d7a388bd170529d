"""The detectors that geodet is compared with, each trained and applied the way it is by default."""
