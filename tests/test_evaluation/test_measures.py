"""The measures against cases worked out by hand, invariances and the bad input they refuse."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cranium.evaluation import measures

from .masks import mask_pairs

TRUTH = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]])
PREDICTION = np.array([[0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0]])  # TP 2, FP 1, FN 2, TN 7

EMPTY, FULL = np.zeros((3, 5), int), np.ones((3, 5), int)


def test_importing_the_measures_needs_no_torch():
    code = 'import sys, cranium.evaluation.measures; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def count(truth, prediction):
    return measures.count_pixels(*measures.binary_masks(truth, prediction))


class TestCounts:
    def test_literal(self):
        assert count(TRUTH, PREDICTION) == (2, 1, 2, 7)
        assert count(TRUTH.astype(np.float32), PREDICTION.astype(bool)) == (2, 1, 2, 7)
        assert count(TRUTH[:0], PREDICTION[:0]) == (0, 0, 0, 0)

    def test_ignored_pixels_do_not_count(self):
        truth = TRUTH.astype(np.uint8)
        truth[0, 3] = truth[1, 1] = 255
        assert count(truth, PREDICTION) == (2, 0, 1, 7)
        assert count(np.full((3, 4), 255), PREDICTION) == (0, 0, 0, 0)

    @pytest.mark.parametrize('label', [2, 128, -1, 0.7, np.nan])
    def test_unknown_labels(self, label):
        other = TRUTH.astype(float)
        other[0, 0] = label
        with pytest.raises(ValueError, match=rf'the truth holds the labels \[{label}'):
            count(other, PREDICTION)
        with pytest.raises(ValueError, match=rf'the prediction holds the labels \[{label}'):
            count(TRUTH, other)

    def test_255_is_no_prediction(self):
        with pytest.raises(ValueError, match=r'the prediction holds the labels \[255\]'):
            count(TRUTH, PREDICTION * 255)

    def test_shapes_differ(self):
        with pytest.raises(ValueError, match=r'truth has the shape \(3, 4\), the prediction \(4,'):
            count(TRUTH, PREDICTION.T)


class TestOverlap:
    def test_literal(self):
        tp, fp, fn, tn = 2, 1, 2, 7
        assert measures.dice(tp, fp, fn) == 4 / 7
        assert measures.iou(tp, fp, fn) == 2 / 5
        assert measures.precision(tp, fp) == 2 / 3
        assert measures.sensitivity(tp, fn) == 1 / 2
        assert measures.specificity(tn, fp) == 7 / 8

    def test_empty_against_empty_is_undefined(self):
        assert np.isnan([measures.dice(0, 0, 0), measures.iou(0, 0, 0)]).all()
        assert np.isnan([measures.precision(0, 0), measures.sensitivity(0, 0)]).all()
        assert np.isnan(measures.specificity(0, 0))

    def test_works_element_by_element(self):
        result = measures.dice(np.array([1, 0, 3]), np.array([0, 0, 1]), np.array([2, 0, 1]))
        assert np.array_equal(result, [0.5, np.nan, 0.75], equal_nan=True)

    def test_counts_beyond_float32_are_exact(self):
        assert measures.sensitivity(2**24 + 1, 0) == 1


class TestSurfaceDistances:
    def test_literal(self):
        # Two columns of three pixels, four apart; the prediction lacks the last pixel.
        truth, prediction = np.zeros((2, 5, 6), bool)
        truth[1:4, 0] = True
        prediction[1:3, 4] = True
        distances = measures.surface_distances(truth, prediction)
        assert distances[0].tolist() == [4, 4, 17**0.5]
        assert distances[1].tolist() == [4, 4]
        assert measures.average_symmetric_surface_distance(*distances) == pytest.approx(
            (16 + 17**0.5) / 5
        )
        # Between the second and third of three values, nine tenths of the way.
        assert measures.hausdorff_distance_95(*distances) == pytest.approx(4 + 0.9 * (17**0.5 - 4))
        assert measures.normalized_surface_dice(*distances, tolerance=4) == 4 / 5

    def test_only_the_border_counts(self):
        block = np.zeros((7, 7), bool)
        block[1:6, 1:6] = True
        ring = block.copy()
        ring[2:5, 2:5] = False
        to_block, to_ring = measures.surface_distances(ring, block)
        assert len(to_ring) == 16 and not to_ring.any()
        assert measures.normalized_surface_dice(to_block, to_ring, 0) == 1

    def test_beyond_the_image_is_outside(self):
        assert len(measures.surface_distances(FULL, FULL)[0]) == 12

    def test_spacing_scales_each_axis(self):
        truth, prediction = np.zeros((2, 4, 4), bool)
        truth[0, 0] = prediction[3, 2] = True
        (distance,), _ = measures.surface_distances(truth, prediction, spacing=(2.0, 0.5))
        assert distance == pytest.approx(37**0.5)

    def test_volumes(self):
        truth, prediction = np.zeros((2, 3, 3, 3), bool)
        truth[0, 0, 0] = prediction[2, 1, 2] = True
        assert measures.surface_distances(truth, prediction)[0] == [3.0]

    @pytest.mark.parametrize(('truth', 'prediction'), [(EMPTY, FULL), (FULL, EMPTY)])
    def test_empty_against_full(self, truth, prediction):
        distances = measures.surface_distances(truth, prediction)
        assert np.isnan(measures.average_symmetric_surface_distance(*distances))
        assert np.isnan(measures.hausdorff_distance_95(*distances))
        assert measures.normalized_surface_dice(*distances, tolerance=100) == 0


class TestMatchLesions:
    def test_literal(self):
        truth = np.array([[1, 1, 0, 0, 1, 0, 1], [1, 1, 0, 0, 0, 0, 1]])
        prediction = np.array([[1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0, 0]])
        match = measures.match_lesions(truth, prediction)
        assert match.truth_sizes.tolist() == [4, 1, 2]
        assert match.truth_matched.tolist() == [True, False, False]
        assert match.prediction_sizes.tolist() == [3, 1]
        assert match.prediction_matched.tolist() == [True, False]

    def test_lesions_that_touch_at_a_corner_are_one(self):
        truth = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]])
        assert measures.match_lesions(truth, truth).truth_sizes.tolist() == [2]

    def test_one_prediction_over_two_lesions_finds_one(self):
        truth = np.array([[1, 1, 1, 0, 1, 1, 1, 1]])
        match = measures.match_lesions(truth, np.ones_like(truth))
        assert match.truth_matched.tolist() == [False, True]

    def test_as_many_pairs_as_can_be(self):
        truth = np.array([[1] * 10 + [0] + [1] * 4])
        prediction = np.array([[1, 0] + [1] * 13])
        # The wide prediction has 8/15 of IoU with the first lesion and 4/13 with the second, the
        # single pixel 1/10 with the first: one pair of more IoU, or two pairs of less.
        match = measures.match_lesions(truth, prediction, iou_threshold=0.1)
        assert match.truth_matched.all() and match.prediction_matched.all()

    def test_among_as_many_pairs_those_of_most_iou(self):
        truth = np.array([[1, 1, 1, 1, 0, 1, 1]])
        match = measures.match_lesions(truth, np.ones_like(truth), iou_threshold=0.1)
        assert match.truth_matched.tolist() == [True, False]

    def test_the_threshold_is_reached_not_passed(self):
        truth, prediction = np.array([[1, 1, 0]]), np.array([[1, 0, 0]])
        assert measures.match_lesions(truth, prediction, iou_threshold=0.5).truth_matched.all()
        assert not measures.match_lesions(truth, prediction, iou_threshold=0.51).truth_matched.any()

    def test_empty(self):
        assert [len(part) for part in measures.match_lesions(EMPTY, EMPTY)] == [0, 0, 0, 0]
        assert measures.match_lesions(EMPTY, FULL).prediction_matched.tolist() == [False]
        assert measures.match_lesions(FULL, EMPTY).truth_matched.tolist() == [False]


class TestDetection:
    TRUTH = np.array([0, 1, 0, 1, 1])
    SCORE = np.array([0.1, 0.4, 0.4, 0.8, 0.05])

    def test_youden(self):
        # 0.8: 1/3 + 1; 0.4: 2/3 + 1/2; 0.1: 2/3 + 0; 0.05: 1 + 0.
        assert measures.youden_threshold(self.TRUTH, self.SCORE) == 0.8

    def test_the_highest_of_several_thresholds(self):
        # From 0.9 on 1/2 + 1, from 0.7 on 1 + 1/2.
        score = np.array([0.9, 0.8, 0.7, 0.6])
        assert measures.youden_threshold(np.array([1, 0, 1, 0]), score) == 0.9

    def test_a_score_that_is_not_known_has_no_threshold(self):
        assert np.isnan(measures.youden_threshold(self.TRUTH, np.where(self.TRUTH, np.nan, 1)))

    @pytest.mark.parametrize('truth', [np.zeros(5), np.ones(5), np.zeros(0)])
    def test_one_class_only(self, truth):
        score = self.SCORE[: len(truth)]
        assert np.isnan(measures.youden_threshold(truth, score))


class TestCalibration:
    def test_literal(self):
        truth = np.array([[0, 1], [1, 0]])
        probability = np.array([[0.2, 0.4], [0.9, 1.0]])
        gaps = measures.calibration_gaps(truth, probability, bins=2)
        assert gaps == pytest.approx([0.6 - 1, 1.9 - 1])
        assert measures.expected_calibration_error(gaps, 4) == pytest.approx(1.3 / 4)

    def test_a_bin_includes_its_lower_edge(self):
        gaps = measures.calibration_gaps(np.array([1, 0]), np.array([0.5, 0.4]), bins=2)
        assert gaps == pytest.approx([0.4, -0.5])

    def test_no_pixels(self):
        gaps = measures.calibration_gaps(np.zeros((0, 2)), np.zeros((0, 2)))
        assert gaps.tolist() == [0] * 15
        assert np.isnan(measures.expected_calibration_error(gaps, 0))

    @pytest.mark.parametrize('bad', [-0.01, 1.01, np.inf])
    def test_not_a_probability(self, bad):
        with pytest.raises(ValueError, match='outside of 0 to 1'):
            measures.calibration_gaps(np.zeros((1, 2)), np.array([[0.5, bad]]))

    def test_of_what_is_not_a_number_nothing_is_known(self):
        gaps = measures.calibration_gaps(np.zeros((1, 2)), np.array([[0.5, np.nan]]))
        assert np.isnan(gaps).all() and len(gaps) == 15

    def test_sums_over_slices_are_those_of_all_pixels(self):
        rng = np.random.default_rng(0)
        truth, probability = rng.integers(0, 2, (4, 9, 9)), rng.random((4, 9, 9))
        parts = sum(measures.calibration_gaps(t, p) for t, p in zip(truth, probability))
        assert parts == pytest.approx(measures.calibration_gaps(truth, probability))


def all_measures(truth, prediction):
    tp, fp, fn, tn = count(truth, prediction)
    distances = measures.surface_distances(truth, prediction)
    match = measures.match_lesions(truth, prediction, 0.3)
    lesions = [
        sorted(zip(sizes.tolist(), matched.tolist())) for sizes, matched in (match[:2], match[2:])
    ]
    numbers = [
        measures.dice(tp, fp, fn),
        measures.specificity(tn, fp),
        measures.average_symmetric_surface_distance(*distances),
        measures.hausdorff_distance_95(*distances),
        measures.normalized_surface_dice(*distances, tolerance=1),
    ]
    return numbers, lesions


@given(mask_pairs())
def test_turning_and_flipping_change_nothing(pair):
    numbers, lesions = all_measures(*pair)
    for turn in (np.flipud, np.fliplr, np.transpose):
        turned_numbers, turned_lesions = all_measures(*map(turn, pair))
        assert turned_numbers == pytest.approx(numbers, nan_ok=True)
        # Which of several equally good pairings is taken may depend on the order of lesions.
        assert [sum(m for _, m in part) for part in turned_lesions] == [
            sum(m for _, m in part) for part in lesions
        ]


@given(mask_pairs(), st.integers(1, 4), st.integers(1, 4))
def test_moving_both_masks_in_a_larger_image_changes_nothing(pair, down, right):
    grow = ((down + 1, 5 - down + 1), (right + 1, 5 - right + 1))
    here = [np.pad(mask, 1) for mask in pair]
    there = [np.pad(mask, grow) for mask in pair]
    (dice, _, *distances), lesions = all_measures(*here)
    (moved_dice, _, *moved_distances), moved_lesions = all_measures(*there)
    assert moved_dice == pytest.approx(dice, nan_ok=True)
    assert moved_distances == pytest.approx(distances, nan_ok=True)
    assert moved_lesions == lesions


@given(mask_pairs())
def test_swapping_truth_and_prediction(pair):
    truth, prediction = pair
    (dice, _, *distances), _ = all_measures(truth, prediction)
    (swapped_dice, _, *swapped_distances), _ = all_measures(prediction, truth)
    assert swapped_dice == pytest.approx(dice, nan_ok=True)
    assert swapped_distances == pytest.approx(distances, nan_ok=True)


@given(mask_pairs())
def test_a_perfect_prediction(pair):
    mask, _ = pair
    (dice, specificity, assd, hd95, nsd), lesions = all_measures(mask, mask)
    expected = 1 if mask.any() else np.nan
    assert [dice, nsd] == pytest.approx([expected] * 2, nan_ok=True)
    assert [assd, hd95] == pytest.approx([expected - 1] * 2, nan_ok=True)
    assert specificity == pytest.approx(np.nan if mask.all() else 1, nan_ok=True)
    assert all(matched for part in lesions for _, matched in part)
