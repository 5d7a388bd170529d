import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from geodet.geometry.boxes import Detections, paired_iou
from geodet.geometry.oriented_boxes import with_longer_side_first
from geodet.models.box_coding import decode_oriented, encode_oriented
from geodet.models.decode import decode
from geodet.models.engine import Outputs

ANCHORS = np.array([[0.0, 0, 16, 16], [8, 4, 40, 20]])
seeds = st.integers(0, 2**32 - 1)


def make_rows(seed, count=2):
    rng = np.random.default_rng(seed)
    sides = rng.uniform(2, 30, (count, 2)) + np.array([[1.0, 0]])
    rows = np.hstack([rng.uniform(0, 30, (count, 2)), sides, rng.uniform(-2, 2, (count, 1))])
    return with_longer_side_first(rows)


def shapes(rows):
    rows = with_longer_side_first(np.asarray(rows, float))
    return Detections.of_oriented(rows, np.ones(len(rows)), np.zeros(len(rows))).shapes


@given(seeds)
def test_decoding_is_the_inverse_of_encoding(seed):
    rows = make_rows(seed)
    back = decode_oriented(encode_oriented(rows, ANCHORS), ANCHORS)
    assert np.allclose(paired_iou(shapes(rows), shapes(back)), 1, atol=1e-6)


@given(seeds)
def test_tensors_are_coded_as_arrays_are(seed):
    rows = make_rows(seed)
    deltas = encode_oriented(torch.from_numpy(rows), torch.from_numpy(ANCHORS))
    assert np.allclose(deltas.numpy(), encode_oriented(rows, ANCHORS))
    back = decode_oriented(deltas, torch.from_numpy(ANCHORS)).numpy()
    assert np.allclose(back, decode_oriented(deltas.numpy(), ANCHORS))


@given(seeds, st.floats(1e-6, 1e-3))
def test_the_code_does_not_jump_where_the_angle_does(seed, step):
    rows = make_rows(seed)
    ends = np.array([-np.pi / 2 + step, np.pi / 2 - step])
    before, after = (np.column_stack([rows[:, :4], np.full(2, end)]) for end in ends)
    difference = encode_oriented(before, ANCHORS) - encode_oriented(after, ANCHORS)
    assert np.abs(difference).max() < 5 * step


def test_a_square_has_no_angle():
    square = np.array([[5.0, 5, 10, 10, 0.3]])
    assert np.allclose(encode_oriented(square, ANCHORS[:1])[0, 4:], 0)


def test_outputs_become_oriented_detections_without_duplicates():
    rows = make_rows(3)
    deltas = encode_oriented(rows, ANCHORS).astype(np.float32)
    anchors, deltas = np.repeat(ANCHORS, 2, axis=0), np.repeat(deltas, 2, axis=0)
    logits = np.array([[2.0], [1.0], [3.0], [-9.0]], np.float32)
    outputs = Outputs(logits[None], deltas[None], anchors.astype(np.float32))
    (one,) = decode(outputs, score_threshold=0.5, iou_threshold=0.9, max_candidates=9)
    assert len(one.detections) == 2
    assert (paired_iou(one.detections.shapes, shapes(rows[::-1])) > 0.999).all()
