"""The record of a slice, and the table of all slices: a DataFrame, on disk ``slices.csv``.

Counts are kept, not masks, so that whole data sets can be gathered from many processes, and every
figure of a run follows from its ``slices.csv``. The columns:

======================== ==========================================================================
patient, slice           name of the patient, ``049``; number of the slice within the scan
tp, fp, fn, tn           pixels of hemorrhage in both masks, the prediction only, the truth only,
                         neither
dice, iou, precision,    of hemorrhage, from these counts; nan where undefined
sensitivity, specificity
volume_error             predicted minus true pixels
assd, hd95, nsd          surface distances in ``unit`` and normalized surface Dice; nan where
                         undefined
true_lesions             of each lesion its pixels and whether it was found, ``622:1 14:0``
predicted_lesions        of each lesion its pixels and whether it is true
true_contrasts           of each true lesion its HU minus that of its surroundings, in the same
                         order, ``23.41 nan``; empty where the image does not tell HU
score                    log-odds of hemorrhage in the slice, smoothed along the scan where that
                         was asked for; nan where none were predicted
score_raw                log-odds of the slice by itself
calibration_gaps         see :func:`measures.calibration_gaps`; empty without probabilities
types                    hemorrhage types of the diagnosis joined by ``+``; ``unknown`` where it
                         lacks the slice
unit                     of distances, ``px`` or ``mm``
pixel_volume             of a pixel in ml; nan where unknown
image_file, truth_file,  where to find them; empty where unknown
prediction_file
======================== ==========================================================================
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from cranium.errors import CraniumError
from cranium.evaluation import measures
from cranium.slices import slice_name

SURFACE_TOLERANCE = 2.0
LESION_IOU = 0.1
UNKNOWN = 'unknown'

# What stands in the place of what a record lacks; its type is that of the column.
_DEFAULTS: dict[str, Any] = {
    'patient': '',
    **dict.fromkeys(('slice', 'tp', 'fp', 'fn', 'tn'), 0),
    **dict.fromkeys(('dice', 'iou', 'precision', 'sensitivity', 'specificity'), math.nan),
    'volume_error': 0,
    **dict.fromkeys(('assd', 'hd95', 'nsd'), math.nan),
    **dict.fromkeys(('true_lesions', 'predicted_lesions', 'true_contrasts'), ''),
    **dict.fromkeys(('score', 'score_raw'), math.nan),
    'calibration_gaps': '',
    'types': UNKNOWN,
    'unit': 'px',
    'pixel_volume': math.nan,
    **dict.fromkeys(('image_file', 'truth_file', 'prediction_file'), ''),
}
COLUMNS = list(_DEFAULTS)
_DTYPES = {name: type(default) for name, default in _DEFAULTS.items()}

# Log-odds beyond this are as good as certain; infinite ones have no ROC curve.
_MOST = float(np.finfo(np.float32).max)


def measure_slice(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    probability: NDArray[Any] | None = None,
    log_odds: NDArray[Any] | None = None,
    *,
    score: float = math.nan,
    patient: str,
    slice: int,
    spacing: Sequence[float] | None = None,
    thickness: float = math.nan,
    **about: str,
) -> dict[str, Any]:
    """Measure a predicted mask against the true one.

    Args:
        truth (ndarray): (H, W), 0 background, 1 hemorrhage, 255 not to be counted.
        prediction (ndarray): (H, W), 0 or 1.
        probability (ndarray, optional): (H, W), predicted probability of hemorrhage.
        log_odds (ndarray, optional): Likewise. They rank slices however sure the model is, where
            probabilities of 1 would tie. Defaults to those of ``probability``.
        score (float): Log-odds of hemorrhage in the slice. Defaults to the highest of a pixel.
        patient (str): Patient.
        slice (int): Number of the slice.
        spacing (sequence, optional): Height and width of a pixel in mm, for distances in mm.
        thickness (float): Distance between slices in mm, for volumes in ml.
        **about: Further columns, such as ``image_file``.

    Raises:
        CraniumError: If the shapes differ, or a label or a probability is not what it must be; the
            message names the slice.
    """
    try:
        is_true, is_predicted, counted = measures.binary_masks(truth, prediction)
        counts = measures.count_pixels(is_true, is_predicted, counted)
        gaps = ''
        if probability is not None:
            of_bins = measures.calibration_gaps(is_true, probability, counted=counted)
            gaps = ' '.join(map(repr, of_bins.tolist()))
            if math.isnan(score):
                score = _highest_log_odds(probability, log_odds, counted)
    except ValueError as error:
        raise CraniumError(f'{slice_name(patient, slice)}: {error}') from error
    return {
        'patient': patient,
        'slice': slice,
        **counts._asdict(),
        **(_shape(is_true, is_predicted, spacing) if counts.tp + counts.fp + counts.fn else {}),
        'score_raw': float(np.clip(score, -_MOST, _MOST)),
        'calibration_gaps': gaps,
        'unit': 'px' if spacing is None else 'mm',
        'pixel_volume': math.nan if spacing is None else math.prod(spacing) * thickness / 1000,
        **about,
    }


def slice_table(
    rows: Iterable[Mapping[str, Any]] | pd.DataFrame, score_smoothing: float = 0.0
) -> pd.DataFrame:
    """Make the table of slices from records of :func:`measure_slice`, or anew from such a table.

    Returns:
        DataFrame: With ``COLUMNS``, ordered by patient and slice, so that sums do not depend on
        the order in which slices came, not even in the last digit.

    Raises:
        CraniumError: If there are no slices, or one is there more than once.
    """
    table = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows))
    if table.empty:
        raise CraniumError('no slices were measured; is the data set empty?')
    twice = table[table.duplicated(['patient', 'slice'])]
    if len(twice):
        msg = f'{len(twice)} slices were measured more than once, first {name_first(twice)}'
        raise CraniumError(f'{msg}; evaluate each slice once')
    table = table.sort_values(['patient', 'slice'], ignore_index=True)
    missing = {name: default for name, default in _DEFAULTS.items() if name not in table}
    table = table.assign(**missing).fillna(_DEFAULTS)[COLUMNS]
    tp, fp, fn, tn = (table[name].to_numpy() for name in ('tp', 'fp', 'fn', 'tn'))
    derived = {
        'dice': measures.dice(tp, fp, fn),
        'iou': measures.iou(tp, fp, fn),
        'precision': measures.precision(tp, fp),
        'sensitivity': measures.sensitivity(tp, fn),
        'specificity': measures.specificity(tn, fp),
        'volume_error': fp - fn,
        'score': smooth_scores(table, score_smoothing),
    }
    return table.assign(**derived).astype(_DTYPES)


def smooth_scores(slices: pd.DataFrame, score_smoothing: float) -> measures.FloatArray:
    """Score each slice with its neighbours: hemorrhage goes on from slice to slice, noise does not.

    Gaussian weights along the scan have the standard deviation ``score_smoothing``, in slices; 0
    leaves the scores as they are. Where slices are missing or have no score (nan, which stays), the
    weights of the others make up for them.
    """
    scores = slices['score_raw'].to_numpy(float, copy=True)
    if not score_smoothing:
        return scores
    patients, numbers = slices['patient'].to_numpy(), slices['slice'].to_numpy(float)
    known = ~np.isnan(scores)
    for patient in np.unique(patients):
        scan = (patients == patient) & known
        distances = np.subtract.outer(numbers[scan], numbers[scan]) / score_smoothing
        weights = np.exp(-(distances**2) / 2)
        scores[scan] = weights @ scores[scan] / weights.sum(axis=1)
    return scores


def with_types(slices: pd.DataFrame, diagnosis: pd.DataFrame) -> pd.DataFrame:
    """Give each slice the ``types`` of its diagnosis; ``unknown`` where it lacks the slice."""
    key = ['patient', 'slice']
    slices = slices.drop(columns='types', errors='ignore')
    return slices.merge(diagnosis[[*key, 'types']], 'left', key).fillna({'types': UNKNOWN})


def read_slices(file: str | Path) -> pd.DataFrame:
    """Read ``slices.csv`` back, without loss; a CraniumError names a file that is none."""
    floats = [name for name, kind in _DTYPES.items() if kind is float]
    try:
        # As text first: pandas reads numbers with an error in the last digit.
        text = pd.read_csv(file, dtype=str, na_filter=False)
        if 'true_contrasts' not in text:
            text['true_contrasts'] = ''  # as earlier versions wrote it
        slices = text[COLUMNS].replace({name: {'': 'nan'} for name in floats}).astype(_DTYPES)
    except (ValueError, KeyError) as error:  # pandas' own errors are ValueErrors
        msg = f'{file}: not a slices.csv of this version of Cranium ({error})'
        raise CraniumError(f'{msg}; run the evaluation again') from error
    if slices.empty:
        raise CraniumError(f'{file}: no slices in it; run the evaluation again')
    return slices


def name_first(slices: pd.DataFrame, most: int = 3) -> str:
    """The names of the first few slices."""
    named = zip(slices['patient'][:most], slices['slice'][:most])
    return ', '.join(slice_name(patient, int(number)) for patient, number in named)


def _highest_log_odds(
    probability: NDArray[Any], log_odds: NDArray[Any] | None, counted: measures.BoolArray | None
) -> float:
    """Of the pixels that count; nan where none does."""
    pixels = probability if log_odds is None else log_odds
    pixels = pixels if counted is None else pixels[counted]
    if not pixels.size:
        return math.nan
    highest = float(pixels.max())
    return float(logit(min(highest, 1 - 2.0**-53))) if log_odds is None else highest  # 1 has none


def _shape(
    is_true: measures.BoolArray,
    is_predicted: measures.BoolArray,
    spacing: Sequence[float] | None,
) -> dict[str, Any]:
    distances = measures.surface_distances(is_true, is_predicted, spacing or 1.0)
    match = measures.match_lesions(is_true, is_predicted, LESION_IOU)
    return {
        'assd': measures.average_symmetric_surface_distance(*distances),
        'hd95': measures.hausdorff_distance_95(*distances),
        'nsd': measures.normalized_surface_dice(*distances, SURFACE_TOLERANCE),
        'true_lesions': _join(match.truth_sizes, match.truth_matched),
        'predicted_lesions': _join(match.prediction_sizes, match.prediction_matched),
    }


def _join(sizes: NDArray[np.int64], matched: measures.BoolArray) -> str:
    return ' '.join(f'{size}:{int(found)}' for size, found in zip(sizes, matched))
