import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import ExifTags, Image

from cranium.errors import CraniumError
from cranium.preparation.images import decode_gray, encode_png, jpeg_size, uniform_png
from tests.conftest import ROOT

GRADIENT = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


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


def test_decode_is_pillows(encode_jpeg):
    data = encode_jpeg(GRADIENT, quality=40)
    assert np.array_equal(decode_gray(data, 'x'), np.asarray(Image.open(io.BytesIO(data))))
    assert jpeg_size(encode_jpeg(GRADIENT[:4]), 'x') == (4, 16)


def test_rgb_with_equal_channels_is_gray():
    gray = Image.fromarray(GRADIENT)
    data = encode(gray.convert('RGB'), 'JPEG', quality=100, subsampling=0)
    assert np.abs(decode_gray(data, 'x').astype(int) - GRADIENT).max() <= 2


NOISE = np.random.RandomState(0).randint(0, 255, (64, 64), np.uint8)
JPEG = encode(Image.fromarray(NOISE), 'JPEG')
COLORED = np.stack([GRADIENT, GRADIENT.T, GRADIENT], axis=-1)
BAD = {
    'zero bytes': (b'', 'empty \\(0 bytes\\)'),
    'not an image': (b'<html>Sign in to download</html>', 'not a readable JPEG'),
    'truncated in the header': (JPEG[:100], 'not a readable JPEG|truncated'),
    'truncated in the pixels': (JPEG[: len(JPEG) // 2], 'damaged .Premature end'),
    'truncated at the end': (JPEG[:-40], 'damaged .Premature end'),
    'the last bytes lost': (JPEG[:-2], 'damaged .Premature end'),
    '16-bit': (encode(Image.fromarray(GRADIENT.astype(np.uint16)), 'PNG'), 'a PNG file .*I;16'),
    'CMYK': (encode(Image.fromarray(GRADIENT).convert('CMYK'), 'JPEG'), 'a CMYK image'),
    'color': (encode(Image.fromarray(COLORED), 'JPEG'), 'a RGB image'),
    'too large': (encode(Image.new('L', (8192, 4096)), 'JPEG'), '8192 x 4096 pixels, too large'),
}


@pytest.mark.parametrize(('data', 'message'), BAD.values(), ids=BAD)
def test_bad_files_are_named(data, message):
    with pytest.raises(CraniumError, match=message) as caught:
        decode_gray(data, 'scans/7.jpg')
    assert str(caught.value).startswith('scans/7.jpg: ')
    assert '\n' not in str(caught.value)


REAL = (ROOT / 'data/sample/Patients_CT/066/brain/14.jpg').read_bytes()


@pytest.mark.parametrize('start', range(2_000, len(REAL) - 1_000, 4_000))
def test_damage_that_pillow_decodes_without_a_word(start):
    """A block of zeros, a hole, and a file that was cut and closed."""
    damaged = (
        REAL[:start] + bytes(500) + REAL[start + 500 :],
        REAL[:start] + REAL[start + 500 :],
        REAL[:start] + REAL[-2:],
    )
    for data in damaged:
        Image.open(io.BytesIO(data)).load()
        with pytest.raises(
            CraniumError, match=r'^x\.jpg: damaged \(.*; replace it by the original'
        ):
            decode_gray(data, 'x.jpg')


def test_an_image_that_exif_turns():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    turned = encode(Image.fromarray(GRADIENT), 'JPEG', exif=exif)
    for read in (decode_gray, jpeg_size):
        with pytest.raises(CraniumError, match=r'^x: turned by EXIF \(orientation 3\); replace it'):
            read(turned, 'x')
    exif[ExifTags.Base.Orientation] = 1
    upright = encode(Image.fromarray(GRADIENT), 'JPEG', exif=exif)
    assert decode_gray(upright, 'x').shape == (16, 16)
