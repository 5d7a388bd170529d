"""Paint a believable aerial image of a town in which the place of each tree is known."""

from geodet.painting.town import Painting, paint_town

__all__ = ["Painting", "paint_town"]
