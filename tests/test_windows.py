"""CT windows and how HU are stored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cranium.windows import BONE, BRAIN, Window, decode_hu, encode_hu


def test_gray_to_hu():
    # -20 + 120 / 255 g
    assert BRAIN.to_hu(np.array([0, 110, 255], np.uint8)).tolist() == [-20, 32, 100]
    assert BONE.to_hu(np.array([0, 100, 255], np.uint8)).tolist() == [-900, 355, 2300]


def test_hu_to_gray():
    assert BRAIN.to_gray(np.array([-1000, -20, 40, 100, 2000])).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize('window', [Window(50, 70), Window(29.6, 72.2), BONE])
def test_a_picture_survives(window):
    # A gray value is at least 0.27 HU, so HU in whole numbers may be off by two gray values.
    gray = np.arange(256, dtype=np.uint8)
    back = window.to_gray(window.to_hu(gray)).astype(int)
    assert abs(back - gray).max() <= (0 if window.width >= 255 else 2)


@given(hnp.arrays(np.int16, (3, 4), elements=st.integers(-3000, 4000)))
def test_16_bits_hold_all(hu):
    assert encode_hu(hu).dtype == np.uint16
    assert (decode_hu(encode_hu(hu)) == hu).all()


def test_water_is_32768():
    assert encode_hu(np.zeros((1, 1), np.int16)).tolist() == [[32768]]
