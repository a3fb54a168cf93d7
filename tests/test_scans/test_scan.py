import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cranium.errors import CraniumError
from cranium.scans.scan import Geometry, Orientation, Scan


def a_scan(hu, **kwargs):
    return Scan(np.asarray(hu, np.int16), 'name', 'here/scan', **kwargs)


class TestOrientation:
    def test_slices_of_a_nifti(self):
        """Stored as x to the right, y to the front, z up; a slice shows the front at the top."""
        stored = np.arange(2 * 3 * 2).reshape(2, 3, 2)  # value = 6 x + 2 y + z
        slices = Orientation((2, 1, 0), (False, True, True)).apply(stored)
        assert slices.tolist() == [
            [[10, 4], [8, 2], [6, 0]],
            [[11, 5], [9, 3], [7, 1]],
        ]

    def test_each_axis_may_be_reversed(self):
        stored = np.arange(8).reshape(2, 2, 2)
        for axis in range(3):
            reverse = tuple(number == axis for number in range(3))
            reversed_ = Orientation(reverse=reverse).apply(stored)
            assert (reversed_ == np.flip(stored, axis)).all()

    @given(
        st.permutations([0, 1, 2]),
        st.tuples(st.booleans(), st.booleans(), st.booleans()),
        st.tuples(*[st.integers(1, 4)] * 3),
    )
    def test_undo(self, axes, reverse, shape):
        stored = np.arange(np.prod(shape)).reshape(shape)
        orientation = Orientation(tuple(axes), reverse)
        slices = orientation.apply(stored)
        assert slices.shape == tuple(shape[axis] for axis in axes)
        assert (orientation.undo(slices) == stored).all()


class TestGeometry:
    def test_of_a_tilted_gantry(self):
        """By the 3-4-5 triangle: slices go down by 3 on 4 to the back, and are 10 mm apart along z.

        Their normal is (0, 0.6, 0.8), so 10 mm along z are 8 mm through the slices.
        """
        corners = np.array([[0, 0, 0], [0, 0, 10], [0, 0, 30.0]])
        geometry = Geometry(corners, np.array([0.5, 0, 0]), np.array([0, 0.8, -0.6]))
        assert geometry.pixel_mm == pytest.approx((1.0, 0.5))  # height first
        assert geometry.normal == pytest.approx([0, 0.6, 0.8])
        assert geometry.positions_mm == pytest.approx([0, 8, 24])
        assert geometry.thickness_mm == pytest.approx([8, 12, 16])

    def test_uneven_distances(self):
        corners = np.array([[0, 0, z] for z in (0, 2, 6, 16.0)])
        geometry = Geometry(corners, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
        assert geometry.thickness_mm == pytest.approx([2, 3, 7, 10])

    def test_a_lone_slice_has_no_thickness(self):
        geometry = Geometry(np.zeros((1, 3)), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
        assert np.isnan(geometry.thickness_mm).tolist() == [True]

    def test_points(self):
        corners = np.array([[-10, -20, 0], [-10, -20, 5], [-10, -21, 15.0]])
        geometry = Geometry(corners, np.array([0.5, 0, 0]), np.array([0, 2.0, 0]))
        assert geometry.point(0, 0, 0) == pytest.approx([-10, -20, 0])
        assert geometry.point(1, 3, 4) == pytest.approx([-8, -14, 5])
        assert geometry.point(1.5, 0.5, 0) == pytest.approx([-10, -19.5, 10])


class TestScan:
    @pytest.mark.parametrize(
        'hu',
        [np.zeros((2, 2), np.int16), np.zeros((1, 2, 2), np.int32), np.zeros((0, 2, 2), np.int16)],
    )
    def test_what_is_no_scan(self, hu):
        with pytest.raises(CraniumError, match=r'here/scan: shape .* a scan is int16 of the shape'):
            Scan(hu, 'name', 'here/scan')

    def test_a_position_for_each_slice(self):
        geometry = Geometry(np.zeros((1, 3)), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
        with pytest.raises(CraniumError, match='here/scan: 2 slices at 1 positions'):
            a_scan(np.zeros((2, 1, 1)), geometry=geometry)

    def test_restoring_the_frames_of_a_file(self):
        """Slices 0, 1 and 2 are the frames 2, 0 and 1, mirrored."""
        scan = a_scan(
            np.zeros((3, 1, 2)),
            orientation=Orientation(reverse=(False, False, True)),
            frames=(2, 0, 1),
        )
        found = np.array([[[1, 2]], [[3, 4]], [[5, 6]]])
        assert scan.restore(found).tolist() == [[[4, 3]], [[6, 5]], [[2, 1]]]

    def test_restoring_the_shape_of_an_array(self):
        scan = a_scan(np.zeros((1, 2, 3)), shape=(2, 3))
        assert scan.restore(np.arange(6).reshape(1, 2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
