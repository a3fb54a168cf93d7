"""Statistics of a group of patients, with intervals by resampling the patients.

Slices of one patient resemble each other, so it is the patient that is drawn. To draw some of
them twice and others not at all is to weight them with whole numbers. Every statistic here takes
an array of weights, float64 of shape (R, P) with one row per draw and one column per patient, and
computes all draws at once, float64 of shape (R,). The first row is all ones: the statistic of the
patients as they are. The values of patients or slices, of shape (n,), come with ``owner``, the
index of the patient of each. What is undefined in a draw is nan.

B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile
intervals); C. A. Field and A. H. Welsh, J R Stat Soc B 69(3):369-390, 2007,
doi:10.1111/j.1467-9868.2007.00593.x (resampling clusters).
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Owner = NDArray[np.intp]

# Draws that are worked on together where a draw takes an array of its own; bounds the memory.
CHUNK = 1000
SEED = 0


def patient_weights(num_patients: int, replicates: int = 10_000, seed: int = SEED) -> FloatArray:
    """How often each patient is drawn, float64 of shape (1 + replicates, num_patients)."""
    weights = np.ones((1 + replicates, num_patients))
    chances = np.full(num_patients, 1 / num_patients)
    weights[1:] = np.random.default_rng(seed).multinomial(num_patients, chances, replicates)
    return weights


def interval(replicates: FloatArray) -> tuple[float, float]:
    """95 % percentile interval of draws, undefined ones left out; nan where none is left."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - 0.95) / 2, (1 + 0.95) / 2])
    return float(low), float(high)


def patient_sums(values: NDArray[np.generic], owner: Owner, num_patients: int) -> FloatArray:
    """Add up what belongs to each patient: float64 of shape (num_patients,)."""
    return np.bincount(owner, values, num_patients).astype(np.float64)


def weighted_ratio(
    weights: FloatArray, numerator: FloatArray, denominator: FloatArray
) -> FloatArray:
    """Ratio of two sums over patients, both of shape (P,); nan where the second adds up to 0."""
    bottom = weights @ denominator
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(bottom == 0, np.nan, (weights @ numerator) / bottom)


def weighted_mean(weights: FloatArray, values: FloatArray, owner: Owner) -> FloatArray:
    """Mean of values, undefined ones (nan) left out."""
    defined = ~np.isnan(values)
    sums = patient_sums(values[defined], owner[defined], weights.shape[1])
    counts = patient_sums(defined, owner, weights.shape[1])
    return weighted_ratio(weights, sums, counts)


def weighted_median(weights: FloatArray, values: FloatArray, owner: Owner) -> FloatArray:
    """Median of values, undefined ones (nan) left out."""
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # nan come last
    values, owner = values[order], owner[order]
    medians = np.full(len(weights), np.nan)
    if not len(values):
        return medians
    for start in range(0, len(weights), CHUNK):
        reached = np.cumsum(weights[start : start + CHUNK, owner], axis=1)
        count = reached[:, -1:]
        lower = (reached <= (count - 1) // 2).sum(axis=1)
        upper = (reached <= count // 2).sum(axis=1)
        drawn = count[:, 0] > 0
        middle = (values[lower[drawn]] + values[upper[drawn]]) / 2
        medians[start : start + CHUNK][drawn] = middle
    return medians


def weighted_auc(
    weights: FloatArray, truth: NDArray[np.bool_], score: FloatArray, owner: Owner
) -> FloatArray:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half.

    J. A. Hanley and B. J. McNeil, Radiology 143(1):29-36, 1982,
    doi:10.1148/radiology.143.1.7063747. Pairs that the positive wins are counted once for each pair
    of patients; a draw then needs a product of matrices and no sorting. nan where a class is
    missing.
    """
    num_patients = weights.shape[1]
    of_patient = np.eye(num_patients)[owner]
    wins = np.zeros((num_patients, num_patients))
    for start in range(0, np.count_nonzero(truth), CHUNK):
        positives = np.flatnonzero(truth)[start : start + CHUNK]
        ahead = score[positives, None] - score[None, ~truth]
        wins += of_patient[positives].T @ ((np.sign(ahead) + 1) / 2) @ of_patient[~truth]
    pairs = (weights @ of_patient[truth].sum(axis=0)) * (weights @ of_patient[~truth].sum(axis=0))
    won = ((weights @ wins) * weights).sum(axis=1)
    return np.where(pairs == 0, np.nan, won / np.where(pairs == 0, 1, pairs))


def weighted_average_precision(
    weights: FloatArray, truth: NDArray[np.bool_], score: FloatArray, owner: Owner
) -> FloatArray:
    """Area under the precision-recall curve, as a sum of steps and not of trapezoids.

    J. Davis and M. Goadrich, ICML 2006, doi:10.1145/1143844.1143874, on why not trapezoids. Its
    chance level is the prevalence. Sensitivity rises at scores of positives only, so precision is
    needed at those alone; there the positives and the cases in all that reach the score are sums
    over patients. nan where a class is missing.
    """
    of_patient = np.eye(weights.shape[1])[owner]
    thresholds = np.unique(score[truth])
    at_threshold = (score[truth, None] == thresholds).T.astype(float) @ of_patient[truth]
    positives = np.cumsum(at_threshold[::-1], axis=0)[::-1]
    order = np.argsort(score)
    reach = len(score) - np.searchsorted(score[order], thresholds)
    cases = np.cumsum(of_patient[order[::-1]], axis=0)[reach - 1]
    num_positives, num_cases = of_patient[truth].sum(axis=0), of_patient.sum(axis=0)
    results = np.empty(len(weights))
    for start in range(0, len(weights), CHUNK):
        draw = weights[start : start + CHUNK]
        drawn_positives, drawn_cases = draw @ num_positives, draw @ num_cases
        # A score that no drawn case reaches adds nothing, so what it is divided by is no matter.
        gained = (draw @ at_threshold.T) * (draw @ positives.T) / np.maximum(draw @ cases.T, 1)
        undefined = (drawn_positives == 0) | (drawn_positives == drawn_cases)
        total = gained.sum(axis=1) / np.maximum(drawn_positives, 1)
        results[start : start + CHUNK] = np.where(undefined, np.nan, total)
    return results
