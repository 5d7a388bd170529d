"""How other programs read what the map is sent."""

import io

import numpy as np
import pyogrio
from PIL import Image


def read_tile(content, folder, layer):
    """Read a vector tile with GDAL: a frame whose y runs down, as in the tile; None without it."""
    if not content:
        return None
    path = folder / "0.mvt"
    path.write_bytes(content)
    if layer not in [name for name, _ in pyogrio.list_layers(path)]:
        return None
    frame = pyogrio.read_dataframe(path, layer=layer, CLIP="NO")
    frame.geometry = frame.geometry.affine_transform([1, 0, 0, -1, 0, 4096])
    return frame


def read_picture(content):
    """Read a tile of the scene: colours (H, W, 3), and opacity (H, W)."""
    image = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
    return image[..., :3], image[..., 3]


def tiles_over(frame, zoom):
    """List the tiles of a zoom that a scene touches."""
    uv = frame.mesh(8).reshape(-1, 2)
    (x0, y0), (x1, y1) = (np.floor(end * 2**zoom).astype(int) for end in (uv.min(0), uv.max(0)))
    return [(zoom, x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)]
