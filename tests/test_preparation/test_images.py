import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from cranium.preparation.images import encode_png, uniform_png


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_png_keeps_every_gray_pixel(pixels):
    image = Image.open(io.BytesIO(encode_png(pixels)))
    assert (image.format, image.mode) == ('PNG', 'L')
    assert np.array_equal(np.asarray(image), pixels)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.uint16, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_png_keeps_every_pixel_of_16_bit(pixels):
    image = Image.open(io.BytesIO(encode_png(pixels)))
    assert (image.format, image.mode) == ('PNG', 'I;16')
    assert np.array_equal(np.asarray(image), pixels)


def test_uniform_mask():
    pixels = np.asarray(Image.open(io.BytesIO(uniform_png(3, 5, 255))))
    assert pixels.tolist() == [[255] * 5] * 3
    assert uniform_png(3, 5, 255) is uniform_png(3, 5, 255)  # encoded once
