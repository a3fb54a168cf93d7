import numpy as np
import pytest

from cranium.errors import CraniumError
from cranium.inference.arrays import scan_of_array


def test_a_slice_and_a_stack():
    lone = scan_of_array(np.full((4, 5), -30.4), None, 'array')
    assert lone.hu.shape == (1, 4, 5)
    assert lone.hu.dtype == np.int16
    assert lone.hu[0, 0, 0] == -30
    assert lone.restore(lone.hu).shape == (4, 5)
    assert (lone.geometry, lone.remarks) == (None, ())
    stack = scan_of_array(np.full((3, 4, 5), -1, np.int32), (5, 0.4, 0.5), 'array')
    assert stack.restore(stack.hu).shape == (3, 4, 5)
    assert stack.geometry.positions_mm.tolist() == [0, 5, 10]
    assert stack.geometry.pixel_mm == (0.4, 0.5)


def test_spacing_of_a_lone_slice():
    for spacing in ((0.4, 0.5), (5, 0.4, 0.5)):
        assert scan_of_array(np.zeros((4, 5)), spacing, 'a').geometry.pixel_mm == (0.4, 0.5)


def test_what_lies_beyond_16_bits_is_as_far_as_they_reach():
    assert scan_of_array([[1e6, -1e6]], None, 'a').hu.tolist() == [[[32767, -32768]]]


def test_no_value_below_0_is_told():
    (remark,) = scan_of_array(np.full((4, 5), 30), None, 'a').remarks
    assert 'Hounsfield units?' in remark


@pytest.mark.parametrize(
    'array, spacing, message',
    [
        (np.zeros((4, 5), np.uint8), None, r'array: the type is uint8; .*BRAIN.to_hu'),
        (np.zeros((4, 5), bool), None, 'the type is bool'),
        (np.zeros((4, 5, 3)), None, r'the shape is \(4, 5, 3\); give Hounsfield'),
        (np.zeros((1, 2, 4, 5)), None, r'the shape is \(1, 2, 4, 5\)'),
        (np.zeros((0, 5)), None, r'the shape is \(0, 5\)'),
        (np.array([[np.nan, np.inf, 1]]), None, '2 values are no numbers; put -1000'),
        (np.zeros((3, 4, 5)), (0.4, 0.5), r'spacing is \(0.4, 0.5\); give mm between slices'),
        (np.zeros((3, 4, 5)), (5, 0, 0.5), r'spacing is \(5, 0, 0.5\)'),
        (np.zeros((3, 4, 5)), (5, np.nan, 0.5), r'spacing is \(5, nan, 0.5\)'),
    ],
)
def test_refused(array, spacing, message):
    with pytest.raises(CraniumError, match=message):
        scan_of_array(array, spacing, 'array')
