import logging

import numpy as np
import pytest
import torch
from factories_models import architecture
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from geodet.config import Config, TrainConfig
from geodet.errors import TilesetError
from geodet.models.anchors import Anchors
from geodet.tilesets.labels import LabelledImage, Tileset
from geodet.training.anchor_fit import (
    Objects,
    best_overlaps,
    collect_objects,
    fit_anchors,
    settle_anchors,
)

W, H = 150, 101


def squares(seed, side, count=40, *, spread=0.0, ratio=1.0):
    """Place boxes of about one side and ratio in an image."""
    random = np.random.default_rng(seed)
    sides = side * np.exp(random.uniform(-spread, spread, (count, 1)))
    sides = sides * [ratio**-0.5, ratio**0.5]
    corners = random.uniform(0, 1, (count, 2)) * ([W, H] - sides)
    return np.concatenate([corners, corners + sides], axis=1)


def objects(boxes):
    return Objects(np.asarray(boxes, float), np.tile([W, H], (len(boxes), 1)))


def image(boxes, path, split="train"):
    labels = np.zeros(len(boxes), np.int64)
    return LabelledImage(path, W, H, np.array(boxes), labels, EMPTY, "here", split, None)


EMPTY = np.zeros((0, 4))


def tileset(folder, boxes=EMPTY):
    """Provide a tileset of one image to train with, and one with other boxes."""
    others = squares(9, 90, 30)
    return Tileset(
        folder,
        ("a",),
        (image(boxes, folder / "a.png"), image(others, folder / "b.png", "val")),
    )


def slow_overlaps(boxes, config):
    """Compare with every anchor of the true grid."""
    first, last = config.levels
    strides = [2**level for level in range(first, last + 1)]
    anchors = Anchors(
        sizes=config.anchor_sizes,
        scales=config.anchor_scales,
        ratios=config.anchor_ratios,
        strides=strides,
    )([(-(-H // stride), -(-W // stride)) for stride in strides])
    found = box_iou(torch.tensor(boxes, dtype=torch.float64), torch.cat(anchors).double())
    return found.max(dim=1).values.numpy()


box = st.tuples(st.floats(-20, W), st.floats(-20, H), st.floats(1, 120), st.floats(1, 120)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)
ARCHITECTURES = [
    architecture((2, 2), anchor_sizes=(6.0,)),
    architecture((2, 4), anchor_scales=(1.0, 1.5), anchor_ratios=(0.4, 1.0, 2.5)),
    architecture((3, 7), anchor_sizes=(32.0, 64.0, 128.0, 256.0, 512.0)),
]


@given(boxes=st.lists(box, min_size=1, max_size=5), config=st.sampled_from(ARCHITECTURES))
@settings(max_examples=60)
def test_the_best_overlaps_are_those_of_the_true_grid(boxes, config):
    np.testing.assert_allclose(
        best_overlaps(objects(boxes), config), slow_overlaps(boxes, config), atol=1e-5
    )


def test_objects_between_anchors_of_a_coarse_stride_overlap_less():
    """A fitting shape between two centres does not reach 1."""
    config = architecture((2, 2), anchor_sizes=(4.0,))
    on, between = [4, 4, 8, 8], [2, 4, 6, 8]
    np.testing.assert_allclose(best_overlaps(objects([on, between]), config), [1, 8 / 24])


@pytest.mark.parametrize("levels", [(2, 2), (2, 4)])
def test_objects_of_one_shape_are_fitted(levels):
    config = architecture(levels, anchors="fit", anchor_ratios=(0.5, 1, 2), anchor_scales=(1, 1.5))
    fitted = fit_anchors(objects(squares(0, 13.0, ratio=2.0)), config)
    assert fitted.anchor_sizes[0] == pytest.approx(13, rel=0.03)
    assert fitted.anchor_ratios == pytest.approx((2.0,), rel=0.05)
    assert fitted.anchor_scales == (1.0,)


def test_turned_objects_want_both_ratios():
    config = architecture((2, 2), anchors="fit", anchor_ratios=(1.0, 2.0))
    fitted = fit_anchors(objects(squares(0, 40.0, ratio=3.0)), config, turned=True)
    assert fitted.anchor_ratios == pytest.approx((1 / 3, 3.0), rel=0.1)


@pytest.mark.parametrize("levels", [(2, 3), (3, 4)])
def test_each_level_gets_the_sizes_that_suit_its_stride(levels):
    boxes = np.concatenate([squares(0, 16.0, spread=0.1), squares(1, 70.0, spread=0.1)])
    fitted = fit_anchors(objects(boxes), architecture(levels, anchors="fit"))
    assert fitted.anchor_sizes == pytest.approx((16.0, 70.0), rel=0.1)


def test_no_anchor_of_a_coarse_level_is_below_its_stride():
    fitted = fit_anchors(objects(squares(0, 6.0)), architecture((2, 5), anchors="fit"))
    assert fitted.anchor_sizes[1:] == (8.0, 16.0, 32.0)
    assert 6.0 <= fitted.anchor_sizes[0] < 7.0  # a little larger: they lie between the centres


@given(seed=st.integers(0, 1000), side=st.floats(5, 60), spread=st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_a_fit_is_repeatable_and_not_worse_than_its_first_guess(seed, side, spread):
    found = objects(squares(seed, side, 30, spread=spread))
    given_ = architecture((2, 3), anchor_ratios=(0.5, 1.0), anchor_scales=(1.0, 1.4))
    fitted = fit_anchors(found, given_.model_copy(update={"anchors": "fit"}))
    assert fitted == fit_anchors(found, given_)
    assert fitted.anchors == "given"
    assert list(fitted.anchor_sizes) == sorted(fitted.anchor_sizes)
    assert best_overlaps(found, fitted).mean() >= best_overlaps(found, given_).mean() - 0.03


def test_objects_are_collected_with_the_extents_of_their_images(tmp_path):
    a, b = squares(0, 9, 2), squares(1, 9, 3)
    found = collect_objects([image(a, tmp_path / "a"), image(EMPTY, tmp_path), image(b, tmp_path)])
    np.testing.assert_array_equal(found.boxes, np.concatenate([a, b]))
    np.testing.assert_array_equal(found.extents, [[W, H]] * 5)
    assert collect_objects([]).boxes.shape == (0, 4)


def configured(**model):
    return Config(model=architecture((2, 3), **model))


def test_given_anchors_are_kept_and_their_recall_is_logged(tmp_path, caplog):
    boxes = np.concatenate([squares(0, 12.0, 19), squares(0, 90.0, 1)])
    config = configured(anchors="given")
    with caplog.at_level(logging.INFO, logger="geodet"):
        assert settle_anchors(tileset(tmp_path, boxes), config) is config
    recall = (slow_overlaps(boxes, config.model) >= 0.5).mean()
    assert recall == 0.95
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "recall of the anchors at IoU 0.5: 0.950 of 20 training objects" in record.getMessage()


FIT, FINER, EASIER = "--set model.anchors=fit", "start model.levels at 2", "train.positive_iou"


@pytest.mark.parametrize(
    ("levels", "anchors", "assigner", "advice"),
    [
        ((2, 3), "given", "iou", {FIT, EASIER}),
        ((3, 4), "given", "iou", {FIT, FINER, EASIER}),
        ((3, 4), "given", "nwd", {FIT, FINER}),
        ((4, 5), "fit", "iou", {"add values to model.anchor_scales", FINER, EASIER}),
    ],
)
def test_anchors_that_miss_objects_are_a_warning_that_names_what_is_left_to_do(
    tmp_path, caplog, levels, anchors, assigner, advice
):
    """Objects of 3 px lie between the anchors of every level; of 90 px is none."""
    config = Config(
        model=architecture(levels, anchors=anchors), train=TrainConfig(assigner=assigner)
    )
    sides = 3.0 if anchors == "fit" else 90.0
    settle_anchors(tileset(tmp_path, squares(0, sides, 20)), config)
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert "of the training objects at IoU 0.5; " in record.getMessage()
    ways = {FIT, "add values to model.anchor_scales", FINER, EASIER}
    assert {way for way in ways if way in record.getMessage()} == advice


def test_fitted_anchors_are_logged_and_become_numbers(tmp_path, caplog):
    config = configured(anchors="fit")
    with caplog.at_level(logging.INFO, logger="geodet"):
        settled = settle_anchors(tileset(tmp_path, squares(0, 90.0, 20)), config)
    assert settled.model.anchors == "given"
    assert settled.model.anchor_sizes == pytest.approx((90, 90), rel=0.05)
    assert (settled.train, settled.data) == (config.train, config.data)
    assert f"anchor_sizes = {list(settled.model.anchor_sizes)}" in caplog.messages[0]
    assert "1.000 of 20 training objects" in caplog.messages[1]


def test_without_objects_anchors_cannot_be_fitted_and_no_recall_is_logged(tmp_path, caplog):
    with pytest.raises(TilesetError, match="no training object to fit anchors to") as caught:
        settle_anchors(tileset(tmp_path), configured(anchors="fit"))
    assert "model.anchor_sizes" in caught.value.hint
    with caplog.at_level(logging.INFO, logger="geodet"):
        assert settle_anchors(tileset(tmp_path), configured()) == configured(anchors="given")
    assert caplog.records == []


def test_the_sizes_to_fit_need_not_be_as_many_as_the_levels():
    config = architecture((2, 5), anchors="fit", anchor_sizes=(12.0, 24.0))
    fitted = fit_anchors(objects(squares(0, 20.0, spread=1.0)), config)
    assert len(fitted.anchor_sizes) == 4


def test_anchors_that_miss_most_of_the_objects_are_fitted_unasked(tmp_path, caplog):
    boxes = squares(0, 90.0, 20)
    with caplog.at_level(logging.WARNING, logger="geodet"):
        settled = settle_anchors(tileset(tmp_path, boxes), configured())
    missed = (slow_overlaps(boxes, configured().model) < 0.5).mean()
    assert missed == 1
    assert (slow_overlaps(boxes, settled.model) >= 0.5).all()
    (message,) = caplog.messages
    assert (
        "miss 100 % of the training objects at IoU 0.5; fitted anchors are used, which miss 0 %"
        in (message)
    )
    assert f"anchor_sizes = {list(settled.model.anchor_sizes)}" in message
    assert "--set model.anchors=given" in message
    assert settled.model.anchors == "given"


def test_anchors_that_miss_less_than_half_are_kept(tmp_path, caplog):
    boxes = np.concatenate([squares(0, 12.0, 12), squares(0, 90.0, 8)])
    settled = settle_anchors(tileset(tmp_path, boxes), configured())
    assert settled == configured(anchors="given")
    assert "miss 40 %" in caplog.text
