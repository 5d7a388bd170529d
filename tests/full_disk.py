"""A disk that is full for every file beyond a size."""

import contextlib

import pytest


@contextlib.contextmanager
def largest_file(size):
    """Limit files to so many bytes, as a full disk would."""
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
