import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cranium.datasets.sample import neighbors
from cranium.evaluation.records import smooth_scores
from cranium.inference.layers import plan_layers

EVEN = np.arange(6) * 5.0


def test_thick_slices_are_used_themselves():
    positions = np.array([0.0, 4, 8, 15, 22])  # as a scanner's whose distance changes
    layers = plan_layers(positions)
    assert layers.positions.tolist() == positions.tolist()
    hu = np.arange(5 * 4, dtype=np.int16).reshape(5, 2, 2)
    assert all(np.array_equal(layers.hu(hu, index), hu[index]) for index in range(5))
    assert layers.to_slices(np.array([5.0, 3, 1, 2, 4])).tolist() == [5, 3, 1, 2, 4]


def test_thin_slices_become_slabs_of_5_mm_by_hand():
    """Ten slices of 1 mm cover -0.5 to 9.5 mm: slabs about 2, 4.5 and 7 mm."""
    layers = plan_layers(np.arange(10.0))
    assert layers.positions == pytest.approx([2, 4.5, 7])
    hu = np.arange(10, dtype=np.int16)[:, None, None] * np.full((1, 2, 2), 10, np.int16)
    # The first is the mean of 0 to 40; the second of half of 20, 30 to 60 and half of 70.
    assert [layers.hu(hu, index)[0, 0] for index in range(3)] == [20, 45, 70]
    # A slice at 3 mm lies 1 / 2.5 of the way from the first slab to the second; ends take theirs.
    values = layers.to_slices(np.array([0.0, 10.0, 30.0]))
    assert values == pytest.approx([0, 0, 0, 4, 8, 14, 22, 30, 30, 30])


def test_slices_of_3_mm_are_thin_and_of_more_are_not():
    """Three of 3 mm cover -1.5 to 7.5 mm."""
    assert plan_layers(np.array([0.0, 3, 6])).positions == pytest.approx([1, 3, 5])
    assert plan_layers(np.array([0.0, 3.1, 6.2])).positions.tolist() == [0, 3.1, 6.2]


def test_a_few_thin_slices_are_one_slab():
    layers = plan_layers(np.array([0.0, 1, 2]))
    assert layers.positions == pytest.approx([1])
    hu = np.array([10, 20, 60], np.int16)[:, None, None]
    assert layers.hu(hu, 0).tolist() == [[30]]
    assert layers.to_slices(np.array([7.0])).tolist() == [7, 7, 7]


def test_thin_and_thick_slices_in_one_scan():
    """As of 2.5 mm at the base of the skull and 5 mm above."""
    layers = plan_layers(np.array([0.0, 2.5, 5, 7.5, 12.5, 17.5]))
    # Four slices of 2.5 mm cover -1.25 to 8.75 mm.
    assert layers.positions == pytest.approx([1.25, 3.75, 6.25, 12.5, 17.5])
    values = layers.to_slices(np.array([0.0, 2, 4, 6, 8]))
    assert values == pytest.approx([0, 1, 3, 4, 6, 8])


@given(
    st.lists(
        st.sampled_from([0.5, 0.625, 1, 1.25, 2, 2.5, 3, 3.5, 5, 7, 12]), min_size=0, max_size=40
    )
)
def test_every_slice_is_seen_and_lies_in_its_layers(gaps):
    positions = np.concatenate([[0.0], np.cumsum(gaps)])
    layers = plan_layers(positions)
    assert (np.diff(layers.positions) > 0).all()
    seen = np.zeros(len(positions))
    for index, (first, weights) in enumerate(layers.members):
        assert weights.sum() == pytest.approx(1)
        assert (weights >= 0).all()
        seen[first : first + len(weights)] += weights
        inside = positions[first : first + len(weights)]
        assert abs(layers.positions[index] - weights @ inside) <= 1.5
        assert np.ptp(inside) <= 5 + 3
    assert (seen > 0).all()
    # What rises evenly along the scan does so in the slices, but for their ends.
    found = layers.to_slices(layers.positions)
    assert (np.abs(found - positions) <= 2.5 + 1e-9).all()
    assert (np.diff(found) >= -1e-9).all()


def test_neighbours_are_taken_by_millimetres():
    assert plan_layers(EVEN).neighbors(2, 1) == [1, 2, 3]
    assert plan_layers(EVEN).neighbors(2, 2) == [0, 1, 2, 3, 4]
    assert plan_layers(EVEN).neighbors(0, 1) == [0, 0, 1]
    assert plan_layers(EVEN).neighbors(5, 1) == [4, 5, 5]
    gap = plan_layers(np.array([0.0, 7, 17, 25]))
    assert gap.neighbors(1, 1) == [0, 1, 1]  # 10 mm away is none
    assert gap.neighbors(2, 1) == [2, 2, 3]
    slabs = plan_layers(np.arange(0, 60, 1.0))
    for index in (2, 7, 15):
        below, _, above = (slabs.positions[each] for each in slabs.neighbors(index, 1))
        assert above - below == pytest.approx(10, abs=0.3)


@given(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=8), st.data())
def test_neighbours_of_numbered_slices_are_those_of_the_training(gaps, data):
    numbers = np.concatenate([[1], 1 + np.cumsum(gaps)]).tolist()
    scan = {number: number for number in numbers}
    index = data.draw(st.integers(0, len(numbers) - 1))
    found = plan_layers(5.0 * np.array(numbers)).neighbors(index, 1)
    assert [numbers[each] for each in found] == neighbors(scan, numbers[index], 1)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9), st.sampled_from([0.0, 0.5, 1.0]))
def test_scores_are_smoothed_as_in_the_evaluation(scores, deviation):
    table = pd.DataFrame(dict(patient='049', slice=range(len(scores)), score_raw=scores))
    layers = plan_layers(5.0 * np.arange(len(scores)))
    assert layers.smooth(np.array(scores), deviation) == pytest.approx(
        smooth_scores(table, deviation)
    )
