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
from cranium.slices import IGNORE_INDEX, slice_name

SURFACE_TOLERANCE = 2.0
LESION_IOU = 0.1
UNKNOWN = 'unknown'

_COUNTS = ('patient', 'slice', 'tp', 'fp', 'fn', 'tn')
_DERIVED = ('dice', 'iou', 'precision', 'sensitivity', 'specificity', 'volume_error')
# What a record may lack, with what then stands in its place.
_DEFAULTS: dict[str, Any] = {
    'assd': math.nan,
    'hd95': math.nan,
    'nsd': math.nan,
    'true_lesions': '',
    'predicted_lesions': '',
    'score': math.nan,
    'score_raw': math.nan,
    'calibration_gaps': '',
    'types': UNKNOWN,
    'unit': 'px',
    'pixel_volume': math.nan,
    'image_file': '',
    'truth_file': '',
    'prediction_file': '',
}
COLUMNS = (*_COUNTS, *_DERIVED, *_DEFAULTS)
_DTYPES: dict[str, type] = {
    'patient': str,
    **dict.fromkeys((*_COUNTS[1:], 'volume_error'), int),
    **dict.fromkeys(_DERIVED[:-1], float),
    **{name: type(default) for name, default in _DEFAULTS.items()},
}
_FLOATS = tuple(name for name, kind in _DTYPES.items() if kind is float)

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
    ignore_index: int = IGNORE_INDEX,
    **about: str,
) -> dict[str, Any]:
    """Measure a predicted mask against the true one.

    Args:
        truth (ndarray): (H, W), 0 background, 1 hemorrhage, ``ignore_index`` not to be counted.
        prediction (ndarray): (H, W), 0 or 1.
        probability (ndarray, optional): (H, W), predicted probability of hemorrhage.
        log_odds (ndarray, optional): Likewise. They rank slices however sure the model is, where
            probabilities of 1 would tie. Defaults to those of ``probability``.
        score (float): Log-odds of hemorrhage in the slice. Defaults to the highest of a pixel.
        patient (str): Patient.
        slice (int): Number of the slice.
        spacing (sequence, optional): Height and width of a pixel in mm, for distances in mm.
        thickness (float): Distance between slices in mm, for volumes in ml. Defaults to nan.
        ignore_index (int): Defaults to 255.
        **about: Further columns, such as ``image_file``.

    Returns:
        dict: A row of the table of slices, without what follows from its other cells.

    Raises:
        CraniumError: If the shapes differ, or a label or a probability is not what it must be; the
            message names the slice.
    """
    try:
        is_true, is_predicted, counted = measures.binary_masks(truth, prediction, ignore_index)
        counts = measures.count_pixels(is_true, is_predicted, counted)
        gaps = ''
        if probability is not None:
            of_bins = measures.calibration_gaps(is_true, probability, counted=counted)
            gaps = ' '.join(map(repr, of_bins.tolist()))
            if math.isnan(score):
                score = _highest_log_odds(probability, log_odds, counted)
        shape = _shape(is_true, is_predicted, spacing) if counts.tp + counts.fp + counts.fn else {}
    except ValueError as error:
        raise CraniumError(f'{slice_name(patient, slice)}: {error}') from error
    return {
        'patient': patient,
        'slice': slice,
        **counts._asdict(),
        **shape,
        'score_raw': float(np.clip(score, -_MOST, _MOST)),
        'calibration_gaps': gaps,
        'unit': 'px' if spacing is None else 'mm',
        'pixel_volume': math.nan if spacing is None else math.prod(spacing) * thickness / 1000,
        **about,
    }


def slice_table(
    rows: Iterable[Mapping[str, Any]] | pd.DataFrame, score_smoothing: float = 0.0
) -> pd.DataFrame:
    """Make the table of slices from records, or anew from such a table.

    Args:
        rows (iterable | DataFrame): From :func:`measure_slice`.
        score_smoothing (float): See :func:`smooth_scores`. Defaults to 0: each slice by itself.

    Returns:
        DataFrame: With ``COLUMNS``, ordered by patient and slice, so that sums do not depend on
        the order in which slices came, not even in the last digit.

    Raises:
        CraniumError: If there are no slices, or one is there more than once.
    """
    table = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows))
    if table.empty:
        raise CraniumError('no slices were measured; is the data set empty?')
    for name, default in _DEFAULTS.items():
        table[name] = table[name].fillna(default) if name in table else default
    twice = table[table.duplicated(['patient', 'slice'])]
    if len(twice):
        msg = f'{len(twice)} slices were measured more than once, first {name_first(twice)}'
        raise CraniumError(f'{msg}; evaluate each slice once')
    table = table.sort_values(['patient', 'slice'], ignore_index=True)
    tp, fp, fn, tn = (table[name].to_numpy() for name in ('tp', 'fp', 'fn', 'tn'))
    table['dice'] = measures.dice(tp, fp, fn)
    table['iou'] = measures.iou(tp, fp, fn)
    table['precision'] = measures.precision(tp, fp)
    table['sensitivity'] = measures.sensitivity(tp, fn)
    table['specificity'] = measures.specificity(tn, fp)
    table['volume_error'] = fp - fn
    table['score'] = smooth_scores(table, score_smoothing)
    return table.astype(_DTYPES)[list(COLUMNS)]


def smooth_scores(slices: pd.DataFrame, score_smoothing: float) -> measures.FloatArray:
    """Score each slice with its neighbours: hemorrhage goes on from slice to slice, noise does not.

    Args:
        slices (DataFrame): With ``patient``, ``slice`` and ``score_raw``, in any order.
        score_smoothing (float): Standard deviation of the Gaussian weights along the scan, in
            slices; 0 leaves the scores as they are.

    Returns:
        ndarray: float64 of shape (n,), weighted means. Where slices of a scan are missing or have
        no score (nan, which stays), the weights of the others make up for them.
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
    """Give each slice the hemorrhage types of its diagnosis.

    Args:
        slices (DataFrame): Of slices.
        diagnosis (DataFrame): With ``patient``, ``slice`` and ``types``, as from
            :func:`~cranium.diagnosis.read_diagnosis` or :func:`~cranium.manifest.read_manifest`.

    Returns:
        DataFrame: A copy; ``types`` is ``unknown`` where the diagnosis lacks the slice.
    """
    key = ['patient', 'slice']
    found = slices.drop(columns='types', errors='ignore').merge(
        diagnosis[[*key, 'types']], 'left', key
    )
    return found.fillna({'types': UNKNOWN})


def read_slices(file: str | Path) -> pd.DataFrame:
    """Read ``slices.csv`` back, without loss.

    Args:
        file (str | Path): The file.

    Returns:
        DataFrame: With ``COLUMNS``.

    Raises:
        OSError: If the file cannot be read.
        CraniumError: If it is no such table or has no rows; the message names the file.
    """
    try:
        text = pd.read_csv(file, dtype=str, keep_default_na=False)
        cells = {name: text[name].to_numpy(object, copy=True) for name in COLUMNS}
        for name in _FLOATS:
            cells[name][cells[name] == ''] = 'nan'
        # NumPy's conversion is exact, which that of pandas is not.
        slices = pd.DataFrame({name: cells[name].astype(_DTYPES[name]) for name in COLUMNS})
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
