"""The network at work on a scene: windows read ahead, batches, and objects as they are final."""
