"""The colours of classes, the same in previews and in GIS programs."""

from __future__ import annotations

__all__ = ["DARK", "OTHER", "Colour", "class_colour"]

Colour = tuple[int, int, int]

# Okabe and Ito's colours, told apart with any colour vision, the brightest on imagery first:
# https://jfly.uni-koeln.de/color
_HUES: tuple[Colour, ...] = (
    (240, 228, 66),  # yellow
    (86, 180, 233),  # sky blue
    (204, 121, 167),  # reddish purple
    (213, 94, 0),  # vermilion
    (0, 158, 115),  # bluish green
    (230, 159, 0),  # orange
    (0, 114, 178),  # blue
)

DARK: Colour = (12, 14, 18)
"""The colour of halos, which keep the others visible over any imagery."""
OTHER: Colour = (215, 217, 221)
"""The colour of objects of other classes."""


def class_colour(label: int) -> Colour:
    """Return the colour of a class by its index.

    Seven hues, then the same seven half way to white, then half way to black. They differ in
    lightness, which any colour vision tells apart. Class 22 has the first colour again.

    Example:
        >>> class_colour(0), class_colour(7), class_colour(14)
        ((240, 228, 66), (247, 241, 160), (120, 114, 33))
    """
    turn, hue = divmod(label % (3 * len(_HUES)), len(_HUES))
    red, green, blue = _HUES[hue]
    if turn == 0:
        return red, green, blue
    end = 255 if turn == 1 else 0
    return (red + end) // 2, (green + end) // 2, (blue + end) // 2
