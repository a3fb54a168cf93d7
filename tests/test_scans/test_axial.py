import numpy as np
import pytest

from cranium.errors import CraniumError
from cranium.scans.axial import order, to_axial
from tests.dicom_files import CORONAL, SAGITTAL


def test_feet_first_and_prone():
    """Rows and columns run the other way; the first pixel of a slice is then the last."""
    corners = np.array([[10, 20, z] for z in (0, 5.0)])
    across, down = np.array([-0.5, 0, 0]), np.array([0, -1.0, 0])
    orientation, geometry = to_axial('x', corners, across, down, (3, 5))
    assert orientation.axes == (0, 1, 2) and orientation.reverse == (False, True, True)
    assert geometry.corners.tolist() == [[8, 18, 0], [8, 18, 5]]
    assert geometry.across.tolist() == [0.5, 0, 0] and geometry.down.tolist() == [0, 1, 0]


def test_a_picture_on_its_side():
    """Columns run to the back, rows to the right."""
    across, down = np.array([0, 0.5, 0]), np.array([-1.0, 0, 0])
    orientation, geometry = to_axial('x', np.array([[10, 20, 0.0]]), across, down, (3, 5))
    assert orientation.axes == (0, 2, 1) and orientation.reverse == (False, False, True)
    assert geometry.corners.tolist() == [[8, 20, 0]]
    assert geometry.across.tolist() == [1, 0, 0] and geometry.down.tolist() == [0, 0.5, 0]


def test_coronal_slices():
    """Four slices of 2 x 3 pixels become two of 4 x 3: from the last row upwards."""
    across, down = np.array(CORONAL[:3]) * 0.5, np.array(CORONAL[3:]) * 0.75
    corners = np.array([[1, y, 100] for y in (0, 2, 4, 6.0)])
    orientation, geometry = to_axial('x', corners, across, down, (2, 3))
    stored = np.arange(4 * 2 * 3).reshape(4, 2, 3)
    slices = orientation.apply(stored)
    assert slices.shape == (2, 4, 3)
    assert slices[0].tolist() == stored[:, 1].tolist()
    assert geometry.corners.tolist() == [[1, 0, 99.25], [1, 0, 100]]
    assert geometry.pixel_mm == (2, 0.5)
    assert geometry.normal.tolist() == [0, 0, 1]


def test_sagittal_slices():
    across, down = np.array(SAGITTAL[:3]), np.array(SAGITTAL[3:])
    corners = np.array([[x, 5, 50] for x in (-1, 0, 1.0)])
    orientation, geometry = to_axial('x', corners, across, down, (2, 4))
    stored = np.arange(3 * 2 * 4).reshape(3, 2, 4)
    assert (orientation.apply(stored)[1] == stored[:, 0].T).all()
    assert geometry.corners.tolist() == [[-1, 5, 49], [-1, 5, 50]]
    assert geometry.point(0, 3, 2).tolist() == [1, 8, 49]


@pytest.mark.parametrize(
    ('corners', 'message'),
    [
        ([[0, y, 0] for y in (0, 2.5, 5)], r'coronal slices 2.5 mm apart, too coarse .*up to 2 mm'),
        ([[0, y, 0] for y in (0, 1, 3)], r'coronal slices that are no even, straight grid'),
        ([[y / 3, y, 0] for y in (0, 1, 2)], r'coronal slices that are no even, straight grid'),
        ([[0, 0, 0]], r'a coronal slice, where axial ones are needed'),
    ],
)
def test_what_cannot_be_turned(corners, message):
    across, down = np.array(CORONAL[:3]), np.array(CORONAL[3:])
    with pytest.raises(CraniumError, match=f'^here: {message}.*; reconstruct axial slices'):
        to_axial('here', np.array(corners, float), across, down, (2, 2))


def test_order_is_along_the_normal_towards_the_head():
    corners = np.array([[0, 0, z] for z in (3, 1, 2.0)])
    for across in ([1, 0, 0], [-1, 0, 0]):  # the cross product points up or down
        numbers = order(corners, np.array(across, float), np.array([0, 1.0, 0]))
        assert numbers.tolist() == [1, 2, 0]


def test_order_of_tilted_slices_is_not_that_of_their_corners():
    """These slide back along themselves while they rise: their corners go down."""
    down = np.array([0, 0.8, -0.6])
    corners = np.array([[0, 0, 0], [0, 9, -6.0]])  # 0.6 x 9 - 0.8 x 6 = 0.6 mm higher
    assert order(corners, np.array([1.0, 0, 0]), down).tolist() == [0, 1]
