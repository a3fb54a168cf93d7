"""Tests of the slices of a series as layers of equal distance."""

import numpy as np
import pytest

from cranium.errors import CraniumError
from cranium.inference.nifti_grid import regular_grid
from cranium.scans.scan import Geometry

from .made import axial


def grid_of(positions, across=(1, 0, 0), down=(0, 1, 0)):
    return regular_grid(Geometry(np.array(positions, float), np.array(across), np.array(down)), 's')


def test_even_slices_are_the_layers():
    grid = regular_grid(axial(3, 5.0, (0.5, 0.4)), 's')
    assert grid.slices.tolist() == [0, 1, 2]
    assert grid.affine.tolist() == [[-0.4, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 5, 0], [0, 0, 0, 1]]
    assert np.array_equal(grid.upright, grid.affine)


def test_uneven_slices_fill_layers_of_the_smallest_distance():
    grid = grid_of([(0, 0, 0), (0, 0, 2), (0, 0, 7)])
    # Layers at 0, 2, 4, 6, 8 mm; the middle between the last two slices is at 4.5.
    assert grid.slices.tolist() == [0, 1, 1, 2, 2]
    assert grid.affine[2, 2] == 2


def test_distances_that_the_scanner_rounded_are_one():
    grid = grid_of([(0, 0, 0), (0, 0, 4.99), (0, 0, 10), (0, 0, 15)])
    assert grid.slices.tolist() == [0, 1, 2, 3]
    assert grid.affine[2, 2] == pytest.approx(5)


def test_a_tilted_gantry_shears():
    tilt = np.radians(20)
    down = (0, np.cos(tilt), -np.sin(tilt))
    grid = grid_of([(0, 0, 0), (0, 0, 6), (0, 0, 12)], down=down)
    assert grid.slices.tolist() == [0, 1, 2]
    # From layer to layer along the table, not along the normal.
    assert np.allclose(grid.affine[:3, 2], [0, 0, 6])
    # The upright form steps by the distance along the normal: the volume of a voxel stays.
    assert np.linalg.norm(grid.upright[:3, 2]) == pytest.approx(6 * np.cos(tilt))
    assert np.linalg.det(grid.upright) == pytest.approx(np.linalg.det(grid.affine))


def test_every_slice_has_a_layer():
    rng = np.random.default_rng(0)
    for _ in range(50):
        heights = np.cumsum(rng.uniform(0.6, 8, 20))
        grid = grid_of([(0, 0, height) for height in heights])
        assert set(grid.slices) == set(range(20))
        assert (np.diff(grid.slices) >= 0).all()


def test_slices_beside_a_line_are_refused():
    with pytest.raises(CraniumError, match=r's: slices lie up to 3\.0 mm beside .*save mask'):
        grid_of([(0, 0, 0), (3, 0, 5), (0, 0, 10)])


def test_a_lone_slice_is_one_layer():
    assert grid_of([(1, 2, 3)]).slices.tolist() == [0]
