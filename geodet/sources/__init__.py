"""What a raster file gives: its pixels, its bands and its place, whatever the format."""
