import base64
import io

import numpy as np
import pytest
from PIL import Image

from cranium.visualization.overlay import (
    COLOURS,
    CSS,
    PREDICTION,
    TRUTH,
    data_uri,
    layer_uri,
    outline,
    outline_layer,
    overlay,
    read_gray,
)
from cranium.windows import encode_hu

GRAY = np.full((64, 32), 100, np.uint8)


def square(corner, size=16, shape=GRAY.shape):
    mask = np.zeros(shape, bool)
    mask[corner : corner + size, corner : corner + size] = True
    return mask


def where(picture, kind):
    return (np.asarray(picture) == COLOURS[kind]).all(axis=-1)


def test_outline_lies_around_a_region_and_hides_none_of_it():
    mask = np.zeros((4, 4), bool)
    mask[1, 1] = True
    assert outline(mask).astype(int).tolist() == [
        [1, 1, 1, 0],
        [1, 0, 1, 0],
        [1, 1, 1, 0],
        [0, 0, 0, 0],
    ]


def test_a_broader_outline_has_no_gap_to_the_region():
    mask = np.zeros((7, 7), bool)
    mask[3, 3] = True
    expected = np.zeros((7, 7), bool)
    expected[1:6, 1:6] = True
    expected[3, 3] = False
    assert np.array_equal(outline(mask, width=2), expected)


@pytest.mark.parametrize(
    ('kind', 'width', 'inside'), [(TRUTH, 2, (98, 112, 120)), (PREDICTION, 1, (142, 120, 70))]
)
def test_outline_and_fill(kind, width, inside):
    picture = overlay(GRAY, {kind: square(8)}, side=128)
    assert picture.size == (64, 128)
    region = square(16, 32, (128, 64))
    line = outline(region, width)
    assert np.array_equal(where(picture, kind), line)
    pixels = np.asarray(picture)
    assert (pixels[~line & ~region] == 100).all()
    # 0.15 * (86, 180, 233) + 0.85 * 100; 0.3 * (240, 165, 0) + 0.7 * 100; rounded to 1 / 255.
    assert np.abs(pixels[region] - np.array(inside, float)).max() <= 1


def test_where_both_coincide_the_truth_shows_around_the_prediction():
    picture = overlay(GRAY, {TRUTH: square(8), PREDICTION: square(8)}, side=128)
    region = square(16, 32, (128, 64))
    assert np.array_equal(where(picture, PREDICTION), outline(region))
    assert np.array_equal(where(picture, TRUTH), outline(region, 2) & ~outline(region))
    for kind in (TRUTH, PREDICTION):  # what both say looks like neither alone
        alone = overlay(GRAY, {kind: square(8)}, side=128)
        difference = np.subtract(picture, alone, dtype=float)[region]
        assert np.abs(difference).max(axis=-1).min() > 8


def test_no_fill_lies_over_a_line():
    picture = overlay(GRAY, {TRUTH: square(16, 8), PREDICTION: square(8, 32)}, side=64)
    assert np.array_equal(where(picture, TRUTH), outline(square(16, 8), 2))


@pytest.mark.parametrize(('size', 'width'), [((256, 768), 2), ((769, 256), 4)])
def test_lines_grow_with_the_picture(size, width):
    mask = np.zeros(size[::-1], bool)
    mask[100:150, 100:150] = True
    line = np.asarray(outline_layer(mask, TRUTH, size))[..., 3] == 255
    assert np.array_equal(line, outline(mask, width))


def test_a_single_pixel_keeps_its_outline_when_scaled_down():
    for corner in range(8, 12):
        assert np.asarray(outline_layer(square(corner, 1), TRUTH, (13, 26)))[..., 3].any()
    assert not np.asarray(outline_layer(square(8, 0), TRUTH, (13, 26))).any()


def test_colours_for_pages():
    assert '--truth: rgb(86, 180, 233); --truth-fill: rgb(86, 180, 233, 0.15);' in CSS
    assert '--prediction: rgb(240, 165, 0); --prediction-fill: rgb(240, 165, 0, 0.3);' in CSS


def test_an_address_holds_the_same_layer():
    layer = outline_layer(square(8), PREDICTION, (64, 128))
    content = base64.b64decode(layer_uri(layer).partition(',')[2])
    assert np.array_equal(Image.open(io.BytesIO(content)).convert('RGBA'), layer)
    assert len(content) < 400


def test_reading_gray_values_and_hounsfield_units(tmp_path):
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(gray).save(tmp_path / 'gray.png')
    assert np.array_equal(read_gray(tmp_path / 'gray.png'), gray)
    hu = np.array([[-1000, -20, 40, 100, 2000]], np.int16)
    Image.fromarray(encode_hu(hu)).save(tmp_path / 'hu.png')
    # 0 at -20 HU, 255 at 100 HU.
    assert read_gray(tmp_path / 'hu.png').tolist() == [[0, 0, 128, 255, 255]]


@pytest.mark.parametrize('format', ['PNG', 'WEBP'])
def test_data_uri_holds_the_picture(format):
    head, _, content = data_uri(Image.fromarray(GRAY), format).partition(',')
    assert head == f'data:image/{format.lower()};base64'
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert picture.format == format and np.abs(np.asarray(picture.convert('L')) - 100.0).max() < 3
