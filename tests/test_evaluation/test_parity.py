"""The measures against second implementations: scikit-learn, MONAI and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import calibration, metrics

from cranium.evaluation import measures

from .masks import blobs, mask_pairs, perturbed, real_masks


@settings(max_examples=40, deadline=None)  # scikit-learn takes its time
@given(mask_pairs())
def test_overlap_equals_scikit_learn(pair):
    truth, prediction = (mask.ravel() for mask in pair)
    tp, fp, fn, tn = measures.count_pixels(*measures.binary_masks(truth, prediction))
    expected = metrics.confusion_matrix(truth, prediction, labels=[0, 1])
    assert [[tn, fp], [fn, tp]] == expected.tolist()
    options = {'zero_division': np.nan}
    assert [
        measures.dice(tp, fp, fn),
        measures.iou(tp, fp, fn),
        measures.precision(tp, fp),
        measures.sensitivity(tp, fn),
        measures.specificity(tn, fp),
    ] == pytest.approx(
        [
            metrics.f1_score(truth, prediction, **options),
            metrics.jaccard_score(truth, prediction) if tp + fp + fn else np.nan,
            metrics.precision_score(truth, prediction, **options),
            metrics.recall_score(truth, prediction, **options),
            metrics.recall_score(truth, prediction, pos_label=0, **options),
        ],
        abs=1e-12,
        nan_ok=True,
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=60))
def test_youden_equals_scikit_learn(cases):
    truth, score = (np.array(column) for column in zip(*cases))
    if truth.all() or not truth.any():
        return
    false_positive_rate, sensitivity, _ = metrics.roc_curve(truth, score)
    threshold = measures.youden_threshold(truth, score.astype(float))
    called = score >= threshold
    gained = called[truth].mean() - called[~truth].mean()
    assert gained == pytest.approx(max((sensitivity - false_positive_rate)[1:]))
    assert threshold in score


@pytest.mark.parametrize('bins', [1, 10, 15])
def test_calibration_equals_scikit_learn(bins):
    rng = np.random.default_rng(bins)
    probability = rng.random(5000) ** 3
    truth = rng.random(5000) < probability**1.5
    frequency, mean = calibration.calibration_curve(truth, probability, n_bins=bins)
    counts = np.histogram(probability, bins=bins, range=(0, 1))[0]
    expected = np.sum(np.abs(frequency - mean) * counts[counts > 0]) / 5000
    gaps = measures.calibration_gaps(truth, probability, bins)
    assert measures.expected_calibration_error(gaps, 5000) == pytest.approx(expected)


def brute_force_distances(truth, prediction):
    """Every border pixel against every other, borders found pixel by pixel."""

    def border(mask):
        padded = np.pad(mask, 1)
        return [
            (y, x)
            for y, x in np.argwhere(mask)
            if not all(
                (padded[y, x + 1], padded[y + 2, x + 1], padded[y + 1, x], padded[y + 1, x + 2])
            )
        ]

    first, second = border(truth), border(prediction)
    distance = [[np.hypot(a - c, b - d) for c, d in second] for a, b in first]
    return [min(row) for row in distance], [min(column) for column in zip(*distance)]


@settings(deadline=None)
@given(mask_pairs(max_side=9))
def test_surface_distances_equal_brute_force(pair):
    truth, prediction = pair
    if not (truth.any() and prediction.any()):
        return
    expected = brute_force_distances(truth, prediction)
    result = measures.surface_distances(truth, prediction)
    for ours, theirs in zip(result, expected):
        assert ours == pytest.approx(theirs)


def assert_distances_equal_monai(truth, prediction, tolerance=2.0):
    torch = pytest.importorskip('torch')
    monai = pytest.importorskip('monai.metrics')
    one_hot = [torch.from_numpy(np.stack([1 - m, m])[None]) for m in (prediction, truth)]
    distances = measures.surface_distances(truth, prediction)
    assd = monai.compute_average_surface_distance(*one_hot, symmetric=True)
    hd95 = monai.compute_hausdorff_distance(*one_hot, percentile=95)
    nsd = monai.compute_surface_dice(*one_hot, class_thresholds=[tolerance])
    ours = [
        measures.average_symmetric_surface_distance(*distances),
        measures.hausdorff_distance_95(*distances),
        measures.normalized_surface_dice(*distances, tolerance),
    ]
    assert ours == pytest.approx([assd.item(), hd95.item(), nsd.item()], rel=1e-5)


@pytest.mark.filterwarnings('ignore:monai:FutureWarning')
@pytest.mark.parametrize('seed', range(8))
def test_surface_distances_equal_monai(seed):
    rng = np.random.default_rng(seed)
    truth = blobs(rng)
    assert_distances_equal_monai(truth, perturbed(rng, truth))


def brute_force_matches(truth, prediction, threshold):
    """The most pairs and among them the most IoU, by trying every pairing."""

    def lesions(mask):
        left, found = {tuple(p) for p in np.argwhere(mask)}, []
        while left:
            todo = [left.pop()]
            lesion = set(todo)
            while todo:
                y, x = todo.pop()
                near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
                left -= near
                lesion |= near
                todo += near
            found.append(lesion)
        return found

    first, second = lesions(truth), lesions(prediction)
    ious = [[len(a & b) / len(a | b) for b in second] for a in first]

    def best(row, free):
        if row == len(first):
            return 0, 0.0
        options = [best(row + 1, free)]
        for column in free:
            if ious[row][column] >= threshold:
                pairs, total = best(row + 1, free - {column})
                options.append((pairs + 1, total + ious[row][column]))
        return max(options)

    return len(first), len(second), best(0, frozenset(range(len(second))))


@settings(deadline=None)
@given(mask_pairs(max_side=7), st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.75]))
def test_lesions_equal_a_brute_force_matcher(pair, threshold):
    match = measures.match_lesions(*pair, threshold)
    num_truth, num_prediction, (pairs, _) = brute_force_matches(*pair, threshold)
    assert len(match.truth_sizes) == num_truth
    assert len(match.prediction_sizes) == num_prediction
    assert match.truth_matched.sum() == match.prediction_matched.sum() == pairs


@pytest.mark.slow
@pytest.mark.parametrize('index', range(0, 24, 2))
def test_real_masks(index):
    masks = real_masks()
    rng = np.random.default_rng(index)
    truth = masks[index]
    prediction = perturbed(rng, truth)
    assert_distances_equal_monai(truth, prediction)
    match = measures.match_lesions(truth, prediction)
    small = [mask[::5, ::5] for mask in (truth, prediction)]
    assert match.truth_sizes.sum() == truth.sum()
    match = measures.match_lesions(*small)
    assert match.truth_matched.sum() == brute_force_matches(*small, 0.1)[2][0]
