"""What a training run is made of; :mod:`geodet.training.train` is its loop."""
