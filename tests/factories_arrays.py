"""Stand-ins for arrays of xarray: no dependency for a few tests."""

import numpy as np


class DataArray:
    """What rioxarray gives, as far as it is read."""

    def __init__(self, values, dims, coords=(), attrs=()):
        self.values, self.dims = values, dims
        self.coords, self.attrs, self.encoding = dict(coords), dict(attrs), {}

    def transpose(self, *dims):
        order = [self.dims.index(dim) for dim in dims]
        return DataArray(self.values.transpose(order), dims)

    def __array__(self, dtype=None, copy=None):
        return self.values


class Coordinate:
    """A coordinate of which only the attributes are read."""

    def __init__(self, **attrs):
        self.attrs = attrs


def centres(start, step, count):
    return start + step * (np.arange(count) + 0.5)
