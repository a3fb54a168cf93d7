import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cranium.head import (
    head_angle,
    head_center,
    head_mask,
    head_to_slice_affine,
    make_warp,
    shrink,
    shrunk_to_whole_affine,
    warp_hu,
    whole_to_shrunk_affine,
)
from cranium.windows import BRAIN


def head(angle=0.0, center=(160, 170), size=(325, 325)):
    """An ellipse with a nose, a bright rim and two dark ventricles, turned clockwise."""
    x, y = np.meshgrid(np.arange(size[1]) - center[0], np.arange(size[0]) - center[1])
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    across, along = x * cos + y * sin, -x * sin + y * cos
    radius = np.hypot(across / 90, along / 120)
    image = np.where(radius < 1, 90, 0) + np.where((radius > 0.9) & (radius < 1), 150, 0)
    image[np.hypot((np.abs(across) - 15) / 7, along / 25) < 1] = 40
    image[np.hypot(across / 12, (along + 122) / 12) < 1] = 70
    return image.astype(np.uint8)


def hu_head(*args, **kwargs):
    """The same in HU, in air."""
    gray = head(*args, **kwargs)
    return np.where(gray > 0, BRAIN.to_hu(gray), np.int16(-1000))


def test_center_of_an_off_centre_head():
    assert head_center(head(center=(150, 180))) == pytest.approx((150, 179), abs=1.5)


def test_headrest_does_not_count():
    image = head()
    image[315:318, 20:300] = 255
    assert head_center(image) == head_center(head())


def test_mask_is_the_largest_region_filled():
    image = np.zeros((20, 20), np.uint8)
    image[2:14, 2:14] = 255  # skull
    image[5:11, 5:11] = 0  # and air in it
    image[16:19, :] = 200  # the table
    expected = np.zeros((20, 20), bool)
    expected[2:14, 2:14] = True
    np.testing.assert_array_equal(head_mask(image), expected)
    assert not head_mask(np.zeros((5, 5), np.uint8)).any()


def test_no_head():
    assert head_center(np.zeros((64, 64), np.uint8)) is None
    assert head_angle([np.zeros((64, 64), np.uint8)]) == 0


@pytest.mark.parametrize('angle', [-40, -17, 0, 5, 33])
def test_angle_of_one_slice(angle):
    assert head_angle([head(angle)]) == pytest.approx(angle, abs=1.5)


def test_angle_of_a_scan_is_that_of_its_large_slices():
    small = cv2.resize(head(-30), (80, 80))
    scan = [np.pad(small, 122)[:325, :325], *[head(12)] * 3]
    assert head_angle(scan) == pytest.approx(12, abs=1.5)


def test_affine_of_an_upright_head_is_a_shift():
    matrix = head_to_slice_affine((100, 50), 0, 1, (3, 5))
    assert np.array_equal(matrix, [[1, 0, 98], [0, 1, 49], [0, 0, 1]])


def test_affine_by_hand():
    """Two pixels to one, turned by a quarter: right in head space is down in the slice."""
    matrix = head_to_slice_affine((10, 20), 90, 2, (3, 3))
    assert matrix @ [1, 1, 1] == pytest.approx([10, 20, 1])
    assert matrix @ [2, 1, 1] == pytest.approx([10, 22, 1])
    mirrored = head_to_slice_affine((10, 20), 90, 2, (3, 3), np.diag([-1, 1, 1]))
    assert mirrored @ [2, 1, 1] == pytest.approx([10, 18, 1])


@given(angle=st.integers(-44, 44), x=st.integers(140, 180), y=st.integers(140, 180))
def test_aligned_head_is_its_own_mirror_image(angle, x, y):
    image, size = cv2.GaussianBlur(head(angle, (x, y)), (0, 0), 2), (192, 160)
    upright = make_warp(head_to_slice_affine((x, y), angle, 1.45, size), size)(image)
    flip = np.diag([-1, 1, 1])
    mirrored = make_warp(head_to_slice_affine((x, y), angle, 1.45, size, flip), size)(image)
    assert np.abs(upright.astype(int) - mirrored).mean() < 1
    assert np.abs(mirrored.astype(int) - upright[:, ::-1]).mean() < 1


def test_a_displacement_moves_what_is_read():
    image = np.arange(25, dtype=np.uint8).reshape(5, 5)
    right = np.zeros((2, 5, 5), np.float32)
    right[0] = 1
    moved = make_warp(np.eye(3), (5, 5), right)(image)
    assert np.array_equal(moved[:, :4], image[:, 1:])


def test_without_a_displacement_both_ways_of_resampling_agree():
    image, matrix = head(20), head_to_slice_affine((160, 170), 20, 1.3, (64, 64))
    smooth = cv2.GaussianBlur(image, (0, 0), 3)
    still = make_warp(matrix, (64, 64), np.zeros((2, 64, 64), np.float32))
    assert np.abs(make_warp(matrix, (64, 64))(smooth).astype(int) - still(smooth)).max() <= 3


@pytest.mark.parametrize('displacement', [None, np.zeros((2, 4, 4), np.float32)])
@pytest.mark.parametrize('channels', [2, 6])
def test_beyond_the_edge_of_a_slice_is_air(displacement, channels):
    """Half a pixel into each: the first is half outside."""
    image = np.full((3, 3, channels), 40, np.int16)
    shift = np.array([[1, 0, -1.5], [0, 1, 0], [0, 0, 1.0]])
    moved = warp_hu(make_warp(shift, (4, 4), displacement), image)
    assert moved.dtype == np.int16
    assert moved[0, :, -1].tolist() == [-1000, -480, 40, 40]
    assert (moved[..., 0] == moved[..., -1]).all() and (moved[3] == -1000).all()


def test_hu_keep_their_whole_range():
    image = np.array([[-32768, -2000, 0, 3000, 32767]], np.int16)
    assert np.array_equal(warp_hu(make_warp(np.eye(3), (1, 5)), image), image)


def test_shrink_takes_means_of_whole_blocks():
    image = np.array([[0, 4, 9], [4, 8, 9], [9, 9, 9]], np.uint8)
    assert np.array_equal(shrink(image, 2), [[4]])
    assert shrink(image, 1) is image


def test_a_shrunk_pixel_is_the_middle_of_its_block():
    assert shrunk_to_whole_affine(2) @ [0, 3, 1] == pytest.approx([0.5, 6.5, 1])
    assert np.array_equal(shrunk_to_whole_affine(1), np.eye(3))
    assert whole_to_shrunk_affine(2) @ [0.5, 6.5, 1] == pytest.approx([0, 3, 1])


def test_where_symmetry_tells_nothing_a_head_is_rather_upright():
    """Discs of noise: without a prior the angles would be anywhere up to the largest."""
    angles = []
    for seed in range(8):
        disc = np.zeros((325, 325), np.uint8)
        cv2.circle(disc, (160, 170), 110, 1, -1)
        noise = np.random.default_rng(seed).integers(60, 200, disc.shape, dtype=np.uint8)
        angles.append(abs(head_angle([disc * noise])))
    assert np.median(angles) < 12
