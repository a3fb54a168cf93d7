import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmseg.structures import SegDataSample

from cranium.head import head_to_slice_affine
from cranium.inference.grid import OUTSIDE, Box, hysteresis, map_back, reach, union
from cranium.models.aligned_encoder_decoder import _hysteresis, _map_back


def test_shift_by_whole_pixels():
    """Pixel (row 2, column 1) of the aligned image is (row 7, column 4) of the slice."""
    log_odds = np.full((4, 4), -5, np.float32)
    log_odds[2, 1] = 8
    found = map_back(log_odds, np.array([[1, 0, 3], [0, 1, 5], [0, 0, 1.0]]), Box((0, 0), (12, 10)))
    assert found.shape == (12, 10)
    assert found.dtype == np.float32
    assert np.argwhere(found > 0).tolist() == [[7, 4]]
    assert (found[7, 4], found[6, 4], found[0, 9]) == pytest.approx((8, -5, OUTSIDE))


def test_between_pixels_it_is_exact():
    """A pixel of the slice at a tenth between two of the aligned image."""
    log_odds = np.array([[0, 1], [0, 1]], np.float32)
    affine = np.array([[1, 0, -0.1], [0, 1, 0], [0, 0, 1.0]])
    assert map_back(log_odds, affine, Box((0, 0), (2, 1)))[0, 0] == pytest.approx(0.1, abs=1e-6)


@given(
    st.tuples(st.floats(-20, 80), st.floats(-20, 80)),
    st.floats(-44, 44),
    st.floats(0.3, 4),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_same_as_the_segmentor(center, angle, scale, shape):
    log_odds = np.random.default_rng(0).normal(0, 5, (16, 12)).astype(np.float32)
    affine = head_to_slice_affine(center, angle, scale, log_odds.shape)
    logits = torch.from_numpy(np.stack([np.zeros_like(log_odds), log_odds]))
    sample = SegDataSample(metainfo=dict(head_to_slice_affine=affine, ori_shape=shape))
    expected = _map_back(logits, sample)[1].numpy()
    found = map_back(log_odds, affine, Box((0, 0), shape))
    assert np.abs(found - expected).max() < 1e-3
    # What is above a threshold lies in the reach of the pixels that are, and is the same there.
    box = reach(log_odds > 4, affine, shape)
    outside = expected.copy()
    outside[box.inside] = OUTSIDE
    assert not (outside > 4.001).any()
    if min(box.shape) > 0:
        assert np.abs(map_back(log_odds, affine, box) - expected[box.inside]).max() < 1e-3


def test_reach_by_hand():
    """Pixels (1, 2) and (2, 2) of the aligned image, which lies 3 to the right and 5 below."""
    pixels = np.zeros((4, 4), bool)
    pixels[1:3, 2] = True
    affine = np.array([[1, 0, 3], [0, 1, 5], [0, 0, 1.0]])
    assert reach(pixels, affine, (20, 20)) == Box((5, 4), (9, 7))
    assert reach(pixels, affine, (7, 20)) == Box((5, 4), (7, 7))
    assert reach(np.zeros((4, 4), bool), affine, (20, 20)).shape == (0, 0)


def test_union():
    empty, one, other = Box((0, 0), (0, 0)), Box((5, 4), (9, 7)), Box((6, 1), (8, 9))
    assert union([one, empty, other]) == Box((5, 1), (9, 9))
    assert union([empty, empty]) == empty


@given(st.integers(0, 2**32 - 1), st.sampled_from([(-2.0, 1.0), (0.0, 0.0), (-1.0, 5.0)]))
def test_hysteresis_is_the_segmentors(seed, thresholds):
    log_odds = np.random.default_rng(seed).normal(-1, 1.5, (9, 11)).astype(np.float32)
    expected = _hysteresis(torch.from_numpy(log_odds), *thresholds).numpy()
    found = hysteresis(log_odds, *thresholds)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)
