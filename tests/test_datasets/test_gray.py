import cv2
import numpy as np
import pytest

from cranium.datasets import GrayChannels
from cranium.errors import CraniumError

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize(
    'image',
    [GRAY, GRAY[..., None], np.dstack([GRAY] * 3), np.dstack([GRAY] * 3 + [GRAY * 0 + 255])],
    ids=['gray', 'a channel', 'colours', 'transparency'],
)
def test_one_or_three_equal_channels_of_any_picture(image):
    assert np.array_equal(GrayChannels(1)(dict(img=image))['img'], GRAY)
    assert np.array_equal(GrayChannels(3)(dict(img=image))['img'], np.dstack([GRAY] * 3))


def test_colours_are_those_of_opencv():
    blue = np.zeros((2, 2, 3), np.uint8)
    blue[..., 0] = 200
    expected = cv2.cvtColor(blue, cv2.COLOR_BGR2GRAY)
    assert expected[0, 0] == 23  # 0.114 * 200
    assert np.array_equal(GrayChannels(1)(dict(img=blue))['img'], expected)
    assert np.array_equal(GrayChannels(3)(dict(img=blue))['img'], blue)


@pytest.mark.parametrize('kind', [np.uint16, np.int16, np.float32])
def test_hu_is_refused(kind):
    results = dict(img=GRAY.astype(kind), img_path='049_001.png')
    with pytest.raises(
        CraniumError, match=r'049_001\.png holds .*; expected gray values of 8 bits'
    ):
        GrayChannels(3)(results)
