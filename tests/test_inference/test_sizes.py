import cv2
import numpy as np
import pytest

from cranium.inference.sizes import isotropic_affine, pixel_size
from cranium.scans.scan import Geometry, Scan
from cranium.views import ShrunkSlice
from tests.test_head import hu_head


def scan(shape, spacing=None, **fields):
    hu = np.zeros((1, *shape), np.int16)
    geometry = None
    if spacing:
        row, column = spacing
        geometry = Geometry(np.zeros((1, 3)), np.array([column, 0, 0]), np.array([0, row, 0]))
    return Scan(hu, 'a', 'a', geometry=geometry, **fields)


def test_square_pixels_stay():
    for spacing in (None, (0.45, 0.45), (0.45, 0.4501)):
        assert np.array_equal(isotropic_affine(scan((100, 80), spacing)), np.eye(3))


def test_oblong_pixels_become_square():
    """100 rows of 1 mm become 200 of 0.5 mm: its first is a quarter above the scan's first."""
    affine = isotropic_affine(scan((100, 80), (1.0, 0.5)))
    assert (affine @ [7, 0, 1])[:2] == pytest.approx([7, -0.25])
    assert (affine @ [7, 199, 1])[:2] == pytest.approx([7, 99.25])


def test_the_size_is_that_of_the_file():
    assert pixel_size(scan((100, 80), (1.0, 0.5)), []) == (0.5, [])
    assert pixel_size(scan((100, 80), pixel_mm=0.7), []) == (0.7, [])


def test_of_ct_ichs_pictures_it_is_known():
    size, (remark,) = pixel_size(scan((650, 650)), [])
    assert size == 0.36
    assert 'taken for 0.36 mm' in remark


@pytest.mark.parametrize('shape', [(400, 500), (500, 400), (500, 500)])
def test_a_picture_shows_no_more_than_250_mm(shape):
    """Or else the small section of a head near the vertex would be taken for a large one."""
    hu = np.full(shape, -1000, np.int16)
    hu[150:250, 150:250] = 30  # 100 pixels of 1.53 mm would be 765 mm in all
    size, _ = pixel_size(scan(shape), [ShrunkSlice.of(hu, 1)])
    assert size == 0.5


@pytest.mark.parametrize('side', [256, 512, 800])
def test_else_it_is_estimated_from_the_head(side):
    """The same head in a picture of other size; 325 pixels of hu_head are 234 mm of ct-ich."""
    hu = cv2.resize(hu_head(), (side, side), interpolation=cv2.INTER_AREA)
    size, (remark,) = pixel_size(scan((side, side)), [ShrunkSlice.of(hu, 2)])
    whole = ShrunkSlice.of(hu_head(), 1)
    reference, _ = pixel_size(scan((325, 325)), [whole])
    assert size == pytest.approx(reference * 325 / side, rel=0.02)
    assert f'taken for {size:.2f} mm' in remark
