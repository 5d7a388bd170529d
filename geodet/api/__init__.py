"""The public functions, as ``import geodet`` offers them."""
