"""Measures of segmentation and detection, as pure functions on numpy arrays.

Three conventions hold throughout:

- Whatever is undefined is ``nan``, never 0 or 1: a ratio with an empty denominator, a distance to
  a surface that does not exist, an AUC of one class. Averaging code has to say how many cases it
  left out for that.
- Measures of overlap take pixel counts, not masks. Counts add up, so the same function gives the
  figure of a slice, of a patient (all pixels of the patient) and of the data set; and it works
  element by element on arrays of counts.
- Masks are boolean or 0/1, of any shape and number of axes, the truth first.

Which measure to quote for what: A. Reinke et al., "Understanding metric-related pitfalls in image
analysis validation", Nat Methods 21:182-194, 2024, doi:10.1038/s41592-023-02150-0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

FloatArray = NDArray[np.float64]


class LesionMatch(NamedTuple):
    """The lesions of a truth and of a prediction, and which of them belong together.

    Attributes:
        truth_sizes (ndarray): int64 of shape (n,), pixels of each true lesion.
        truth_matched (ndarray): bool of shape (n,), whether a predicted lesion was matched to it.
        prediction_sizes (ndarray): int64 of shape (m,), pixels of each predicted lesion.
        prediction_matched (ndarray): bool of shape (m,); a lesion that is not is a false positive.
    """

    truth_sizes: NDArray[np.int64]
    truth_matched: NDArray[np.bool_]
    prediction_sizes: NDArray[np.int64]
    prediction_matched: NDArray[np.bool_]


def confusion_matrix(
    truth: NDArray, prediction: NDArray, num_classes: int = 2, ignore_index: int = 255
) -> NDArray[np.int64]:
    """Count the pixels of each true class by the class predicted for them.

    Args:
        truth (ndarray): Integer labels of any shape; of floats, whole numbers.
        prediction (ndarray): Likewise, of the same shape.
        num_classes (int): Classes are 0 to ``num_classes - 1``. Defaults to 2.
        ignore_index (int): Pixels with this true label do not count. Defaults to 255.

    Returns:
        ndarray: int64 of shape (num_classes, num_classes); row: truth, column: prediction. All
        zeros where no pixel counts.

    Raises:
        ValueError: If the shapes differ, or a label is none of the classes.
    """
    truth, prediction = _as_labels(truth, 'truth'), _as_labels(prediction, 'prediction')
    _check_same_shape(truth, prediction)
    if truth.size and (ignore_index < num_classes or truth.max() >= num_classes):
        # Only then may pixels have to be ignored; looking for them first would cost every slice.
        counted = truth != ignore_index
        truth, prediction = truth[counted], prediction[counted]
    for name, labels in (('truth', truth), ('prediction', prediction)):
        if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
            unknown = sorted(set(np.unique(labels).tolist()) - set(range(num_classes)))
            raise ValueError(
                f'the {name} holds the labels {unknown[:5]}; expected are 0 to {num_classes - 1}'
                + (f', or {ignore_index} for pixels to ignore' if name == 'truth' else '')
            )
    num_codes = num_classes**2
    # A byte a pixel is enough for few classes, and counting is bound by memory.
    code_type = np.uint8 if num_codes <= 256 else np.intp
    code = truth.astype(code_type) * code_type(num_classes)
    code += prediction.astype(code_type, copy=False)
    if num_codes <= 16:
        # Comparing bytes is vectorised: ten times as fast as bincount, which works on int64.
        counts = np.array([np.count_nonzero(code == value) for value in range(num_codes)])
    else:
        counts = np.bincount(code.ravel(), minlength=num_codes)
    return counts.reshape(num_classes, num_classes)


def class_counts(confusion: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Split a confusion matrix into the counts of each class against all others.

    Args:
        confusion (ndarray): Shape (..., C, C), row: truth, column: prediction.

    Returns:
        tuple[ndarray, ...]: True positives, false positives, false negatives and true negatives,
        each of shape (..., C).
    """
    tp = np.diagonal(confusion, axis1=-2, axis2=-1)
    fp = confusion.sum(axis=-2) - tp
    fn = confusion.sum(axis=-1) - tp
    tn = confusion.sum(axis=(-2, -1))[..., None] - tp - fp - fn
    return tp, fp, fn, tn


def dice(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> FloatArray:
    """Dice similarity coefficient, ``2 TP / (2 TP + FP + FN)``.

    L. R. Dice, Ecology 26(3):297-302, 1945, doi:10.2307/1932409.

    Args:
        tp (array_like): True positive pixels.
        fp (array_like): False positive pixels.
        fn (array_like): False negative pixels.

    Returns:
        ndarray: float64, 0 to 1; nan where truth and prediction are both empty.
    """
    tp, fp, fn = _as_floats(tp, fp, fn)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def iou(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> FloatArray:
    """Intersection over union (Jaccard index), ``TP / (TP + FP + FN)``.

    P. Jaccard, New Phytologist 11(2):37-50, 1912, doi:10.1111/j.1469-8137.1912.tb05611.x.

    Args:
        tp (array_like): True positive pixels.
        fp (array_like): False positive pixels.
        fn (array_like): False negative pixels.

    Returns:
        ndarray: float64, 0 to 1; nan where truth and prediction are both empty.
    """
    tp, fp, fn = _as_floats(tp, fp, fn)
    return _ratio(tp, tp + fp + fn)


def precision(tp: ArrayLike, fp: ArrayLike) -> FloatArray:
    """Share of what was predicted that is true (positive predictive value), ``TP / (TP + FP)``.

    Args:
        tp (array_like): True positives (pixels, lesions or cases).
        fp (array_like): False positives.

    Returns:
        ndarray: float64, 0 to 1; nan where nothing was predicted.
    """
    tp, fp = _as_floats(tp, fp)
    return _ratio(tp, tp + fp)


def sensitivity(tp: ArrayLike, fn: ArrayLike) -> FloatArray:
    """Share of what is true that was found (recall), ``TP / (TP + FN)``.

    mmseg calls the same figure of a class its accuracy (``Acc``).

    Args:
        tp (array_like): True positives (pixels, lesions or cases).
        fn (array_like): False negatives.

    Returns:
        ndarray: float64, 0 to 1; nan where the truth is empty.
    """
    tp, fn = _as_floats(tp, fn)
    return _ratio(tp, tp + fn)


def specificity(tn: ArrayLike, fp: ArrayLike) -> FloatArray:
    """Share of the negatives that was left alone, ``TN / (TN + FP)``.

    Args:
        tn (array_like): True negatives (pixels or cases).
        fp (array_like): False positives.

    Returns:
        ndarray: float64, 0 to 1; nan where all is positive in truth.
    """
    tn, fp = _as_floats(tn, fp)
    return _ratio(tn, tn + fp)


def volume_error(fp: ArrayLike, fn: ArrayLike, pixel_volume: ArrayLike = 1.0) -> FloatArray:
    """Predicted minus true volume; negative where hemorrhage was missed.

    Args:
        fp (array_like): False positive pixels.
        fn (array_like): False negative pixels.
        pixel_volume (array_like): Volume of a pixel in ml, which makes the error one in ml; nan
            where it is unknown. Defaults to 1, an error in pixels.

    Returns:
        ndarray: float64; 0 where truth and prediction are both empty, for then they agree.
    """
    fp, fn, pixel_volume = _as_floats(fp, fn, pixel_volume)
    return (fp - fn) * pixel_volume


def surface_distances(
    truth: NDArray, prediction: NDArray, spacing: ArrayLike = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Distances from each mask's border to the nearest border pixel of the other.

    The border are the pixels of a mask with a neighbour (along an axis) outside of it; beyond the
    image is outside. Distances run between pixel centres. MONAI defines both alike.

    Args:
        truth (ndarray): Mask of any shape.
        prediction (ndarray): Mask of the same shape.
        spacing (array_like): Size of a pixel along each axis, for distances in mm; one number
            serves all axes. Defaults to 1, distances in pixels.

    Returns:
        tuple[ndarray, ndarray]: float64 of shape (border pixels of the truth,) and (border pixels
        of the prediction,). Where one mask is empty, the distances from the other are ``inf``;
        those from the empty one are an array of length 0.

    Raises:
        ValueError: If the shapes differ.
    """
    truth, prediction = np.asarray(truth, bool), np.asarray(prediction, bool)
    _check_same_shape(truth, prediction)
    scale = np.broadcast_to(np.asarray(spacing, float), (truth.ndim,))
    box = _bounding_box(truth | prediction)
    borders = [np.argwhere(_border(mask[box])) * scale for mask in (truth, prediction)]
    if not all(map(len, borders)):
        return tuple(np.full(len(border), np.inf) for border in borders)
    to_prediction, _ = cKDTree(borders[1]).query(borders[0])
    to_truth, _ = cKDTree(borders[0]).query(borders[1])
    return to_prediction, to_truth


def average_symmetric_surface_distance(to_prediction: FloatArray, to_truth: FloatArray) -> float:
    """Mean of the surface distances in both directions taken together (ASSD).

    T. Heimann et al., IEEE Trans Med Imaging 28(8):1251-1265, 2009,
    doi:10.1109/TMI.2009.2013851.

    Args:
        to_prediction (ndarray): From :func:`surface_distances`.
        to_truth (ndarray): Likewise.

    Returns:
        float: In the unit of the distances; nan where either mask is empty.
    """
    if not len(to_prediction) or not len(to_truth):
        return np.nan
    return float(np.concatenate([to_prediction, to_truth]).mean())


def hausdorff_distance_95(to_prediction: FloatArray, to_truth: FloatArray) -> float:
    """95th percentile of the surface distances, the larger of the two directions (HD95).

    D. P. Huttenlocher et al., IEEE Trans PAMI 15(9):850-863, 1993, doi:10.1109/34.232073. The
    percentile (linear between order statistics) is taken in each direction, then the maximum, as
    MONAI does. DeepMind's surface-distance takes the maximum of both directions too, but of
    percentiles weighted by the size of surface elements, so its figures differ a little. The
    percentile of both directions taken together, which others call HD95, is usually smaller.

    Args:
        to_prediction (ndarray): From :func:`surface_distances`.
        to_truth (ndarray): Likewise.

    Returns:
        float: In the unit of the distances; nan where either mask is empty.
    """
    if not len(to_prediction) or not len(to_truth):
        return np.nan
    return float(max(np.percentile(to_prediction, 95), np.percentile(to_truth, 95)))


def normalized_surface_dice(
    to_prediction: FloatArray, to_truth: FloatArray, tolerance: float
) -> float:
    """Share of both borders that lies within a tolerance of the other (NSD).

    S. Nikolov et al., J Med Internet Res 23(7):e26151, 2021, doi:10.2196/26151; counted in border
    pixels, as MONAI does, not in the length of interpolated surface elements.

    Args:
        to_prediction (ndarray): From :func:`surface_distances`.
        to_truth (ndarray): Likewise.
        tolerance (float): In the unit of the distances; a distance equal to it is within.

    Returns:
        float: 0 to 1; 0 where one mask is empty, nan where both are.
    """
    within = np.count_nonzero(to_prediction <= tolerance) + np.count_nonzero(to_truth <= tolerance)
    return float(_ratio(float(within), float(len(to_prediction) + len(to_truth))))


def match_lesions(truth: NDArray, prediction: NDArray, iou_threshold: float = 0.1) -> LesionMatch:
    """Find the lesions of both masks and pair them one to one.

    A lesion is a connected component; pixels that touch at a corner are connected. A true and a
    predicted lesion can be paired when their IoU reaches the threshold. Among the possible
    pairings it is the one with the most pairs, and among those the one with the largest total IoU
    (the assignment problem). At thresholds above 0.5 there is no choice, and the result is that
    of panoptic quality: A. Kirillov et al., CVPR 2019, doi:10.1109/CVPR.2019.00963. The default
    of 0.1 is nnDetection's for medical detection: M. Baumgartner et al., MICCAI 2021,
    doi:10.1007/978-3-030-87240-3_51.

    Args:
        truth (ndarray): Mask of any shape.
        prediction (ndarray): Mask of the same shape.
        iou_threshold (float): Least IoU of a pair, above 0. Defaults to 0.1.

    Returns:
        LesionMatch: Sizes and matches, arrays of length 0 for an empty mask.

    Raises:
        ValueError: If the shapes differ or the threshold is not above 0 and at most 1.
    """
    truth, prediction = np.asarray(truth, bool), np.asarray(prediction, bool)
    _check_same_shape(truth, prediction)
    if not 0 < iou_threshold <= 1:
        raise ValueError(f'iou_threshold must be above 0 and at most 1, not {iou_threshold}')
    box = _bounding_box(truth | prediction)
    truth_labels, num_truth = _components(truth[box])
    prediction_labels, num_prediction = _components(prediction[box])
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


def roc(truth: NDArray, score: NDArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Receiver operating characteristic.

    Args:
        truth (ndarray): bool or 0/1 of shape (n,).
        score (ndarray): float of shape (n,); the higher, the more likely positive.

    Returns:
        tuple[ndarray, ndarray, ndarray]: False positive rate, sensitivity and the thresholds (a
        case is called positive when its score reaches it; the first is ``inf``), as scikit-learn
        gives them. Of length 0 where a class is missing.
    """
    from sklearn.metrics import roc_curve  # takes most of a second to import

    if not _has_both_classes(truth):
        return np.empty(0), np.empty(0), np.empty(0)
    return roc_curve(truth, score)


def precision_recall(truth: NDArray, score: NDArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision-recall curve.

    Args:
        truth (ndarray): bool or 0/1 of shape (n,).
        score (ndarray): float of shape (n,); the higher, the more likely positive.

    Returns:
        tuple[ndarray, ndarray, ndarray]: Precision, sensitivity and the thresholds (one fewer),
        as scikit-learn gives them. Of length 0 where a class is missing.
    """
    from sklearn.metrics import precision_recall_curve

    if not _has_both_classes(truth):
        return np.empty(0), np.empty(0), np.empty(0)
    return precision_recall_curve(truth, score)


def roc_auc(truth: NDArray, score: NDArray) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half.

    J. A. Hanley and B. J. McNeil, Radiology 143(1):29-36, 1982,
    doi:10.1148/radiology.143.1.7063747.

    Args:
        truth (ndarray): bool or 0/1 of shape (n,).
        score (ndarray): float of shape (n,).

    Returns:
        float: 0 to 1; nan where a class is missing.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, score)) if _has_both_classes(truth) else np.nan


def average_precision(truth: NDArray, score: NDArray) -> float:
    """Area under the precision-recall curve, as a sum of steps and not of trapezoids.

    J. Davis and M. Goadrich, ICML 2006, doi:10.1145/1143844.1143874, on why not trapezoids. Its
    chance level is the prevalence, so compare it only within one set of cases.

    Args:
        truth (ndarray): bool or 0/1 of shape (n,).
        score (ndarray): float of shape (n,).

    Returns:
        float: 0 to 1; nan where a class is missing.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, score)) if _has_both_classes(truth) else np.nan


def youden_threshold(truth: NDArray, score: NDArray) -> float:
    """Threshold with the largest sum of sensitivity and specificity.

    W. J. Youden, Cancer 3(1):32-35, 1950,
    doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.

    Args:
        truth (ndarray): bool or 0/1 of shape (n,).
        score (ndarray): float of shape (n,).

    Returns:
        float: The highest such threshold, to be reached by a positive, and always a score of a
        case; nan where a class is missing. A figure at a threshold chosen on the same cases
        flatters.
    """
    false_positive_rate, true_positive_rate, thresholds = roc(truth, score)
    if not len(thresholds):
        return np.nan
    gained = np.where(np.isfinite(thresholds), true_positive_rate - false_positive_rate, -np.inf)
    return float(thresholds[np.argmax(gained)])


def calibration_gaps(truth: NDArray, probability: NDArray, bins: int = 15) -> FloatArray:
    """Sum, within each bin of predicted probability, of probability minus truth.

    These sums add up over slices, which is why calibration is kept in them.

    Args:
        truth (ndarray): Mask of any shape.
        probability (ndarray): Of the same shape, the predicted probabilities, 0 to 1.
        bins (int): Bins of equal width; each includes its lower edge, the last also 1. Defaults
            to 15.

    Returns:
        ndarray: float64 of shape (bins,), in pixels; 0 for an empty bin.

    Raises:
        ValueError: If the shapes differ, or a probability is nan or not within 0 to 1.
    """
    truth, probability = np.asarray(truth), np.asarray(probability)
    _check_same_shape(truth, probability)
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError('some probabilities are nan or outside of 0 to 1')
    which = (probability * bins).astype(np.intp).ravel()
    sums = np.bincount(which, weights=probability.ravel(), minlength=bins + 1)
    sums -= np.bincount(which[truth.ravel() != 0], minlength=bins + 1)
    sums[-2] += sums[-1]
    return sums[:-1]


def expected_calibration_error(gaps: NDArray, num_pixels: ArrayLike) -> FloatArray:
    """Mean over pixels of the distance between predicted probability and frequency, by bins (ECE).

    M. Pakdaman Naeini et al., AAAI 2015, doi:10.1609/aaai.v29i1.9602. Calibrated is here the
    probability of hemorrhage, not the confidence in the class predicted. Where nearly all pixels
    are background and known as such, the figure is small for every model.

    Args:
        gaps (ndarray): float of shape (..., bins), from :func:`calibration_gaps`, or a sum of
            several of them.
        num_pixels (array_like): Of shape (...), the pixels that went into it.

    Returns:
        ndarray: float64 of shape (...), 0 to 1; nan without pixels.
    """
    return _ratio(np.abs(gaps).sum(axis=-1), *_as_floats(num_pixels))


def _as_labels(labels: ArrayLike, name: str) -> NDArray:
    """The labels as whole numbers."""
    labels = np.asarray(labels)
    if labels.dtype.kind in 'biu':
        return labels
    with np.errstate(invalid='ignore'):
        whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise ValueError(f'the {name} holds labels that are not whole numbers')
    return whole


def _as_floats(*arrays: ArrayLike) -> tuple[FloatArray, ...]:
    """Float64, so that sums of many pixels do not lose any (float32 does from 2**24 on)."""
    return tuple(np.asarray(array, np.float64) for array in arrays)


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> FloatArray:
    """Divide, with nan for an empty denominator and without a warning."""
    with np.errstate(divide='ignore', invalid='ignore'):
        quotient = np.divide(numerator, denominator)
    return np.where(np.asarray(denominator) == 0, np.nan, quotient)[()]


def _check_same_shape(truth: NDArray, prediction: NDArray) -> None:
    if truth.shape != prediction.shape:
        raise ValueError(
            f'the truth has the shape {truth.shape}, the prediction {prediction.shape}'
        )


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The part of the image that a mask lies in; most of a head slice is not worth looking at."""
    boxes = ndimage.find_objects(mask.view(np.uint8))
    return boxes[0] if boxes else (slice(0),) * mask.ndim


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask & ~ndimage.binary_erosion(mask)


def _components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    labels, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim, bool))
    return labels.astype(np.int64), count


def _has_both_classes(truth: NDArray) -> bool:
    truth = np.asarray(truth, bool)
    return bool(truth.any() and not truth.all())
