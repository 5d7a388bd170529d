import pytest
import torch

from geodet.models.pyramid import Pyramid


def features(size=(64, 96), widths=(4, 8, 16, 32)):
    height, width = size
    return [
        torch.randn(1, channels, -(-height // 2**level), -(-width // 2**level))
        for level, channels in enumerate(widths, start=2)
    ]


@pytest.mark.parametrize(
    ("levels", "shapes"),
    [
        ((2, 2), [(16, 24)]),
        ((2, 5), [(16, 24), (8, 12), (4, 6), (2, 3)]),
        ((3, 7), [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]),
        ((5, 6), [(2, 3), (1, 2)]),
    ],
)
def test_levels_have_their_strides(levels, shapes):
    pyramid = Pyramid([4, 8, 16, 32], channels=6, levels=levels)
    assert [tuple(p.shape) for p in pyramid(features())] == [(1, 6, *shape) for shape in shapes]


@pytest.mark.parametrize(("first", "last"), [(3, 7), (5, 7), (2, 6)])
def test_p6_comes_from_c5_and_p7_from_the_rectified_p6(first, last):
    """As arXiv:1708.02002, section 4, footnote 2, has it."""
    pyramid = Pyramid([4, 8, 16, 32], channels=6, levels=(first, last))
    maps = features()
    levels = dict(zip(range(first, last + 1), pyramid(maps), strict=True))
    torch.testing.assert_close(levels[6], pyramid.extra[0](maps[3]))
    if last == 7:
        torch.testing.assert_close(levels[7], pyramid.extra[1](levels[6].relu()))


@pytest.mark.parametrize("size", [(1, 1), (33, 65), (7, 250), (129, 127)])
@pytest.mark.parametrize("levels", [(2, 3), (3, 7), (2, 7), (5, 6)])
def test_images_of_odd_sizes_have_all_levels(size, levels):
    pyramid = Pyramid([4, 8, 16, 32], channels=6, levels=levels)
    shapes = [tuple(p.shape[2:]) for p in pyramid(features(size))]
    wanted = range(levels[0], levels[1] + 1)
    assert shapes == [tuple(-(-side // 2**level) for side in size) for level in wanted]


@pytest.mark.parametrize("size", [(64, 64), (33, 65), (7, 250)])
def test_levels_up_to_p5_are_those_of_the_pyramid_of_torchvision(size):
    pyramid = Pyramid([4, 8, 16, 32], channels=6, levels=(2, 5))
    maps = features(size)
    wanted = pyramid.fpn({str(level): feature for level, feature in enumerate(maps)})
    for found, level in zip(pyramid(maps), wanted.values(), strict=True):
        assert torch.equal(found, level)


def test_the_finest_level_sees_the_deepest_stage():
    pyramid = Pyramid([4, 8, 16, 32], channels=6, levels=(2, 2))
    maps = features()
    before = pyramid(maps)[0]
    maps[3] = maps[3] + 1.0
    assert not torch.allclose(pyramid(maps)[0], before)


def test_unused_levels_have_no_weights():
    pyramid = Pyramid([4, 8, 16, 32], channels=6, levels=(2, 3))
    pyramid(features())[0].sum().backward()
    outputs = [m for m in pyramid.fpn.layer_blocks if list(m.parameters())]
    assert len(outputs) == 2
