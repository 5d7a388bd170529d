import itertools

import numpy as np
import pytest

from geodet.vector.palette import OTHER, class_colour


def lightness(colour):
    return float(np.dot(colour, (0.2126, 0.7152, 0.0722)))


def test_the_colours_of_twenty_one_classes_and_of_the_rest_differ():
    colours = [class_colour(label) for label in range(21)] + [OTHER]
    apart = [np.abs(np.subtract(a, b)).max() for a, b in itertools.combinations(colours, 2)]
    assert min(apart) >= 20


@pytest.mark.parametrize("hue", range(7))
def test_the_three_colours_of_a_hue_differ_in_lightness(hue):
    plain, light, dark = (lightness(class_colour(hue + turn)) for turn in (0, 7, 14))
    assert light > plain + 10
    assert plain > dark + 10


def test_the_colours_return_after_twenty_one():
    assert class_colour(21) == class_colour(0)
