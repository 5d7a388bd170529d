"""Choose the windows of scenes that are worth labelling."""
