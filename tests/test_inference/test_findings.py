from dataclasses import replace

import numpy as np
import pytest

from cranium.evaluation.platt import Calibration
from cranium.inference.findings import (
    describe_slices,
    find_lesions,
    pixel_area_mm2,
    slice_files,
    volume_ml,
)
from cranium.inference.spec import OperatingPoint
from cranium.scans.scan import Geometry, Orientation, Scan

# Gantry tilt: slices at 0, 4 and 11 mm along the normal, sheared against each other.
TILT = np.radians(18.5)
ACROSS, DOWN = np.array([0.5, 0, 0]), 0.4 * np.array([0, np.cos(TILT), np.sin(TILT)])
CORNERS = np.array([[0, 0, 0], [0, 0, 4 / np.cos(TILT)], [0, 0, 11 / np.cos(TILT)]])


def scan(**fields):
    hu = np.zeros((3, 8, 10), np.int16)
    return Scan(hu, 'a', 'a.dcm', geometry=Geometry(CORNERS, ACROSS, DOWN), **fields)


def masks(*pixels):
    found = np.zeros((3, 8, 10), np.uint8)
    for pixel in pixels:
        found[pixel] = 1
    return found


def test_volume_is_by_distances_along_the_normal():
    """The slices stand for 4, 5.5 and 7 mm; a pixel is 0.2 mm2."""
    found = masks((0, 1, 1), (1, 1, 1), (1, 1, 2), (2, 7, 9))
    assert pixel_area_mm2(scan()) == pytest.approx(0.2)
    assert volume_ml(scan(), found) == pytest.approx(0.2 * (4 + 2 * 5.5 + 7) / 1000)


def test_without_geometry_nothing_is_guessed():
    lone = Scan(np.zeros((3, 8, 10), np.int16), 'a', 'a.png')
    found = masks((0, 1, 1))
    assert volume_ml(lone, found) is None
    assert pixel_area_mm2(lone) is None
    (lesion,) = find_lesions(lone, found)
    assert (lesion.volume_ml, lesion.centroid_mm, lesion.pixels) == (None, None, 1)
    (first, *_) = describe_slices(lone, found, np.zeros(3), OperatingPoint())
    assert (first.area_mm2, first.position_mm, first.pixels) == (None, None, 1)
    assert pixel_area_mm2(replace(lone, pixel_mm=0.5)) == 0.25


def test_a_lone_slice_has_an_area_and_no_volume():
    hu = np.zeros((1, 8, 10), np.int16)
    lone = Scan(hu, 'a', 'a.dcm', geometry=Geometry(CORNERS[:1], ACROSS, DOWN))
    found = masks((0, 1, 1))[:1]
    assert volume_ml(lone, found) is None
    assert find_lesions(lone, found)[0].volume_ml is None
    assert describe_slices(lone, found, np.zeros(1), OperatingPoint())[0].area_mm2 == pytest.approx(
        0.2
    )


def test_what_touches_at_a_corner_over_slices_is_one_lesion():
    found = masks((0, 1, 1), (1, 2, 2), (1, 2, 3), (2, 6, 6))
    first, second = find_lesions(scan(), found)
    assert (first.number, first.pixels) == (1, 3)
    assert first.volume_ml == pytest.approx(0.2 * (4 + 5.5 + 5.5) / 1000)
    assert first.box == ((0, 1, 1), (2, 3, 4))
    assert first.centroid == pytest.approx((2 / 3, 5 / 3, 2))
    assert second.box == ((2, 6, 6), (3, 7, 7))
    assert second.centroid_mm == pytest.approx(CORNERS[2] + 6 * ACROSS + 6 * DOWN)


def test_the_largest_lesion_in_ml_comes_first():
    """Two pixels of 4 mm are less than two of 7 mm; three of 4 mm less than two of 7 mm."""
    found = masks((0, 1, 1), (0, 1, 2), (0, 1, 3), (2, 1, 1), (2, 1, 2))
    assert [lesion.pixels for lesion in find_lesions(scan(), found)] == [2, 3]
    flat = Scan(scan().hu, 'a', 'a.png')
    assert [lesion.pixels for lesion in find_lesions(flat, found)] == [3, 2]


def test_slices_reach_their_threshold():
    found = describe_slices(scan(), masks(), np.array([1.0, 2, 3]), OperatingPoint(2.0))
    assert [each.hemorrhage for each in found] == [False, True, True]
    assert [each.number for each in found] == [1, 2, 3]
    assert [each.position_mm for each in found] == pytest.approx([0, 4, 11])


def test_slices_have_a_probability_where_the_network_is_calibrated():
    scores = np.array([1.0, 2, 3])
    found = describe_slices(
        scan(), masks(), scores, OperatingPoint(calibration=Calibration(2.0, -4.0))
    )
    # Log-odds of -2, 0 and 2.
    expected = [1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2))]
    assert [each.hemorrhage_probability for each in found] == pytest.approx(expected)
    unknown = describe_slices(scan(), masks(), scores, OperatingPoint(2.0))
    assert [each.hemorrhage_probability for each in unknown] == [None] * 3


def test_files_of_slices():
    names = ('a', 'b', 'c')
    assert slice_files(scan()) == ['', '', '']
    assert slice_files(scan(files=('all.dcm',))) == ['all.dcm'] * 3
    assert slice_files(scan(files=names)) == ['a', 'b', 'c']
    turned = Orientation(reverse=(True, False, False))
    assert slice_files(scan(files=names, orientation=turned)) == ['c', 'b', 'a']
    coronal = Orientation((1, 0, 2))
    assert slice_files(scan(files=names, orientation=coronal)) == ['', '', '']


def test_no_lesions():
    assert find_lesions(scan(), masks()) == ()
    assert volume_ml(scan(), masks()) == 0
