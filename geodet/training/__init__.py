"""The parts of a training run; :mod:`geodet.training.train` is its loop."""
