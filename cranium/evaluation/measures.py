"""Measures of segmentation and detection, as pure functions on NumPy arrays.

- What is undefined is nan, never 0 or 1: a ratio with an empty denominator, the distance to a
  surface that does not exist. Code that averages says how many cases it left out for that.
- Measures of overlap take pixel counts, which add up: the same function gives the figure of a
  slice, of a patient and of the data set, also element by element on arrays.
- Masks are boolean or 0/1 and come in pairs of one shape, the truth first; other pairs are a
  ValueError.

Which measure to quote for what: A. Reinke et al., "Understanding metric-related pitfalls in image
analysis validation", Nat Methods 21:182-194, 2024, doi:10.1038/s41592-023-02150-0.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from cranium.slices import IGNORE_INDEX

Labels = NDArray[Any]
Counts = Any  # an int, or an array of int64 or float64; float32 is not exact beyond 2**24
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


class PixelCounts(NamedTuple):
    """Pixels of a pair of masks: true positives, false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int


class LesionMatch(NamedTuple):
    """Pixels of each true and predicted lesion (int64), and whether it was matched (bool)."""

    truth_sizes: NDArray[np.int64]
    truth_matched: BoolArray
    prediction_sizes: NDArray[np.int64]
    prediction_matched: BoolArray


def binary_masks(
    truth: Labels, prediction: Labels
) -> tuple[BoolArray, BoolArray, BoolArray | None]:
    """Turn two label maps into masks of hemorrhage, checking their labels.

    Args:
        truth (ndarray): 0 background, 1 hemorrhage, 255 not to be counted.
        prediction (ndarray): 0 or 1, of the same shape.

    Returns:
        tuple: True and predicted hemorrhage, False where pixels do not count; and which pixels
        count, None where all do.
    """
    _check_same_shape(truth, prediction)
    is_true, is_predicted = truth == 1, prediction == 1
    _check_labels('prediction', prediction, is_predicted | (prediction == 0))
    counted = is_true | (truth == 0)
    if counted.all():
        return is_true, is_predicted, None
    _check_labels('truth', truth, counted | (truth == IGNORE_INDEX))
    return is_true, is_predicted & counted, counted


def count_pixels(
    is_true: BoolArray, is_predicted: BoolArray, counted: BoolArray | None = None
) -> PixelCounts:
    """Count the pixels of masks from :func:`binary_masks`."""
    tp = int(np.count_nonzero(is_true & is_predicted))
    fp = int(np.count_nonzero(is_predicted)) - tp
    fn = int(np.count_nonzero(is_true)) - tp
    total = is_true.size if counted is None else int(np.count_nonzero(counted))
    return PixelCounts(tp, fp, fn, total - tp - fp - fn)


def dice(tp: Counts, fp: Counts, fn: Counts) -> FloatArray:
    """Dice similarity coefficient, ``2 TP / (2 TP + FP + FN)``; nan where both masks are empty.

    L. R. Dice, Ecology 26(3):297-302, 1945, doi:10.2307/1932409.
    """
    return _ratio(2 * tp, 2 * tp + fp + fn)


def iou(tp: Counts, fp: Counts, fn: Counts) -> FloatArray:
    """Intersection over union, ``TP / (TP + FP + FN)``; nan where both masks are empty.

    P. Jaccard, New Phytologist 11(2):37-50, 1912, doi:10.1111/j.1469-8137.1912.tb05611.x.
    """
    return _ratio(tp, tp + fp + fn)


def precision(tp: Counts, fp: Counts) -> FloatArray:
    """Share of what was predicted that is true, ``TP / (TP + FP)``; nan without a prediction."""
    return _ratio(tp, tp + fp)


def sensitivity(tp: Counts, fn: Counts) -> FloatArray:
    """Share of what is true that was found (recall; mmseg's ``Acc``), ``TP / (TP + FN)``."""
    return precision(tp, fn)


def specificity(tn: Counts, fp: Counts) -> FloatArray:
    """Share of the negatives that was called negative, ``TN / (TN + FP)``."""
    return precision(tn, fp)


def surface_distances(
    truth: Labels, prediction: Labels, spacing: ArrayLike = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Distances from each mask's border to the nearest border pixel of the other.

    The border are the pixels of a mask with a neighbour (along an axis) outside of it; beyond the
    image is outside. Distances run between pixel centres. MONAI defines both alike.

    Args:
        truth (ndarray): Mask of any shape.
        prediction (ndarray): Mask of the same shape.
        spacing (array_like): Size of a pixel in mm, along each axis or along all.

    Returns:
        tuple[ndarray, ndarray]: float64, of the border pixels of the truth and of those of the
        prediction. Where one mask is empty, the distances from the other are ``inf``.
    """
    truth, prediction = np.asarray(truth, bool), np.asarray(prediction, bool)
    _check_same_shape(truth, prediction)
    scale = np.broadcast_to(np.asarray(spacing, float), (truth.ndim,))
    box = _bounding_box(truth | prediction)
    first, second = (
        np.argwhere(mask[box] & ~ndimage.binary_erosion(mask[box])) * scale
        for mask in (truth, prediction)
    )
    if not (len(first) and len(second)):
        return np.full(len(first), np.inf), np.full(len(second), np.inf)
    return cKDTree(second).query(first)[0], cKDTree(first).query(second)[0]


def average_symmetric_surface_distance(to_prediction: FloatArray, to_truth: FloatArray) -> float:
    """Mean of :func:`surface_distances`, both directions together (ASSD); nan with an empty mask.

    T. Heimann et al., IEEE Trans Med Imaging 28(8):1251-1265, 2009, doi:10.1109/TMI.2009.2013851.
    """
    if not len(to_prediction) or not len(to_truth):
        return np.nan
    return float(np.concatenate([to_prediction, to_truth]).mean())


def hausdorff_distance_95(to_prediction: FloatArray, to_truth: FloatArray) -> float:
    """95th percentile of :func:`surface_distances`, the larger direction; nan with an empty mask.

    D. P. Huttenlocher et al., IEEE Trans PAMI 15(9):850-863, 1993, doi:10.1109/34.232073; as MONAI
    does. A percentile of both directions taken together is usually smaller.
    """
    if not len(to_prediction) or not len(to_truth):
        return np.nan
    return float(max(np.percentile(to_prediction, 95), np.percentile(to_truth, 95)))


def normalized_surface_dice(
    to_prediction: FloatArray, to_truth: FloatArray, tolerance: float
) -> float:
    """Share of both borders that lies within (or at) a tolerance of the other (NSD), 0 to 1.

    S. Nikolov et al., J Med Internet Res 23(7):e26151, 2021, doi:10.2196/26151; counted in border
    pixels, as MONAI does. 0 where one mask is empty, nan where both are.
    """
    within = np.count_nonzero(to_prediction <= tolerance) + np.count_nonzero(to_truth <= tolerance)
    return float(_ratio(float(within), float(len(to_prediction) + len(to_truth))))


def label_lesions(mask: BoolArray) -> tuple[NDArray[np.int64], int]:
    """Number the connected components of a mask from 1; pixels touching at a corner connect."""
    labels, number = ndimage.label(mask, np.ones((3,) * mask.ndim, bool), np.int64)
    return labels, number


def match_lesions(truth: Labels, prediction: Labels, iou_threshold: float = 0.1) -> LesionMatch:
    """Find the lesions of both masks and pair them one to one.

    Lesions are those of :func:`label_lesions`. A true and a predicted lesion can be paired when
    their IoU reaches the threshold (above 0, at most 1). Of all pairings it is the one with the
    most pairs, and among those the one with the largest total IoU. Above a threshold of 0.5 there
    is no choice, and the result is that of panoptic quality: A. Kirillov et al., CVPR 2019,
    doi:10.1109/CVPR.2019.00963. The default is nnDetection's: M. Baumgartner et al., MICCAI 2021,
    doi:10.1007/978-3-030-87240-3_51.
    """
    truth, prediction = np.asarray(truth, bool), np.asarray(prediction, bool)
    _check_same_shape(truth, prediction)
    box = _bounding_box(truth | prediction)
    truth_labels, num_truth = label_lesions(truth[box])
    prediction_labels, num_prediction = label_lesions(prediction[box])
    overlaps = np.bincount(
        (truth_labels * (num_prediction + 1) + prediction_labels).ravel(),
        minlength=(num_truth + 1) * (num_prediction + 1),
    ).reshape(num_truth + 1, num_prediction + 1)
    truth_sizes, prediction_sizes = overlaps[1:].sum(axis=1), overlaps[:, 1:].sum(axis=0)
    intersections = overlaps[1:, 1:]
    ious = intersections / (truth_sizes[:, None] + prediction_sizes - intersections)
    # A pair is worth more than all the IoU that any pairing could gain by doing without it.
    worth = np.where(ious >= iou_threshold, min(ious.shape) + ious, 0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    paired = ious[rows, columns] >= iou_threshold
    truth_matched, prediction_matched = np.zeros(num_truth, bool), np.zeros(num_prediction, bool)
    truth_matched[rows[paired]] = True
    prediction_matched[columns[paired]] = True
    return LesionMatch(truth_sizes, truth_matched, prediction_sizes, prediction_matched)


def youden_threshold(truth: Labels, score: FloatArray) -> float:
    """The highest score at which sensitivity and specificity add up to the most.

    W. J. Youden, Cancer 3(1):32-35, 1950,
    doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3. Truth and scores are of shape
    (n,); a score that reaches the threshold is positive. nan where a class is missing or a score is
    nan.
    """
    positives, negatives = (
        np.sort(score[np.asarray(truth, bool) == kind]) for kind in (True, False)
    )
    if not (len(positives) and len(negatives)) or np.isnan(score).any():
        return np.nan
    thresholds = np.unique(score)[::-1]
    # The shares below a threshold.
    missed = np.searchsorted(positives, thresholds) / len(positives)
    specificity = np.searchsorted(negatives, thresholds) / len(negatives)
    return float(thresholds[np.argmax(specificity - missed)])


def calibration_gaps(
    truth: Labels, probability: Labels, bins: int = 15, counted: BoolArray | None = None
) -> FloatArray:
    """Sum, within each bin of predicted probability, of probability minus truth.

    These sums add up over slices, which is why calibration is kept in them.

    Args:
        truth (ndarray): Mask of any shape.
        probability (ndarray): Of the same shape, 0 to 1.
        bins (int): Bins of equal width; each includes its lower edge, the last also 1.
        counted (ndarray, optional): bool of the same shape, which pixels count. Defaults to all.

    Returns:
        ndarray: float64 of shape (bins,), in pixels; all nan where a probability is nan.
    """
    truth, probability = np.asarray(truth), np.asarray(probability)
    _check_same_shape(truth, probability)
    if counted is not None:
        truth, probability = truth[counted], probability[counted]
    if not probability.size:
        return np.zeros(bins)
    lowest, highest = probability.min(), probability.max()
    if np.isnan(lowest):
        return np.full(bins, np.nan)
    if lowest < 0 or highest > 1:
        raise ValueError('some probabilities are outside of 0 to 1')
    # Nearly all pixels lie in the first bin; only the others are sorted into theirs.
    others = probability[probability >= 1 / bins]
    sums = np.bincount(_bin(others, bins), others, bins).astype(np.float64)
    sums[0] += probability.sum(dtype=np.float64) - others.sum(dtype=np.float64)
    return sums - np.bincount(_bin(probability[truth != 0], bins), minlength=bins)


def expected_calibration_error(gaps: FloatArray, num_pixels: ArrayLike) -> FloatArray:
    """Mean over pixels of the distance between predicted probability and frequency, by bins (ECE).

    M. Pakdaman Naeini et al., AAAI 2015, doi:10.1609/aaai.v29i1.9602, of the probability of
    hemorrhage, not of the confidence in the class predicted. ``gaps`` of shape (..., bins) are sums
    of :func:`calibration_gaps` over ``num_pixels`` pixels (...).
    """
    return _ratio(np.abs(gaps).sum(axis=-1), num_pixels)


def _bin(probability: Labels, bins: int) -> NDArray[np.intp]:
    return np.minimum((probability * bins).astype(np.intp), bins - 1)


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> FloatArray:
    """Divide, with nan for an empty denominator and without a warning."""
    with np.errstate(divide='ignore', invalid='ignore'):
        quotient = np.divide(numerator, denominator)
    result: FloatArray = np.where(np.asarray(denominator) == 0, np.nan, quotient)[()]
    return result


def _check_same_shape(truth: Labels, prediction: Labels) -> None:
    if truth.shape != prediction.shape:
        msg = f'the truth has the shape {truth.shape}, the prediction {prediction.shape}'
        raise ValueError(msg)


def _check_labels(name: str, labels: Labels, known: BoolArray) -> None:
    if not known.all():
        unknown = np.unique(labels[~known])[:5].tolist()
        msg = f'the {name} holds the labels {unknown}; expected are 0 and 1'
        raise ValueError(msg + (f', or {IGNORE_INDEX} to ignore' if name == 'truth' else ''))


def _bounding_box(mask: BoolArray) -> tuple[slice, ...]:
    """The part of the image that a mask lies in; most of a head slice is not worth looking at."""
    axes = range(mask.ndim)
    inside = (np.flatnonzero(mask.any(tuple({*axes} - {axis}))) for axis in axes)
    return tuple(slice(found[0], found[-1] + 1) if len(found) else slice(0) for found in inside)
