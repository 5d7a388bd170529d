"""Rasters, read window by window through GDAL."""
