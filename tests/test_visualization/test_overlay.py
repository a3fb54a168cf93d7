import base64
import io

import numpy as np
import pytest
from PIL import Image

from cranium.visualization.overlay import (
    COLOURS,
    PREDICTION,
    TRUTH,
    data_uri,
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


def test_overlay_changes_the_pixels_of_the_outline_only():
    picture = overlay(GRAY, {TRUTH: square(8)}, side=128)
    assert picture.size == (64, 128)
    line = outline(square(16, 32, (128, 64)))
    assert np.array_equal(where(picture, TRUTH), line)
    assert (np.asarray(picture)[~line] == 100).all()


def test_a_prediction_is_dashed_and_lets_the_truth_show_through():
    picture = overlay(GRAY, {TRUTH: square(8), PREDICTION: square(8)}, side=128)
    truth, prediction = where(picture, TRUTH), where(picture, PREDICTION)
    assert np.array_equal(truth | prediction, outline(square(16, 32, (128, 64))))
    assert 0.3 < prediction.sum() / (truth | prediction).sum() < 0.7
    # Dashes on every side of the square.
    for side in (np.s_[15, :], np.s_[48, :], np.s_[:, 15], np.s_[:, 48]):
        assert truth[side].sum() > 8 and prediction[side].sum() > 8


def test_a_single_pixel_keeps_its_outline_when_scaled_down():
    for corner in range(8, 12):
        assert np.asarray(outline_layer(square(corner, 1), TRUTH, (13, 26)))[..., 3].any()
    assert not np.asarray(outline_layer(square(8, 0), TRUTH, (13, 26))).any()


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
