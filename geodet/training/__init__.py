"""What a training run is made of; :mod:`geodet.train` is its loop."""
