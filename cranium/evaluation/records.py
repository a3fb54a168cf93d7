"""What is kept of a slice once it is measured, and the table of all slices, ``slices.csv``.

Counts are kept, not masks: a record takes some hundred bytes, so whole data sets can be gathered
from many processes, and every figure of a run can be computed again from its ``slices.csv``.
"""

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from cranium.evaluation import measures

HEMORRHAGE_TYPES = (
    'Intraventricular',
    'Intraparenchymal',
    'Subarachnoid',
    'Epidural',
    'Subdural',
)
SURFACE_TOLERANCE = 2.0
LESION_IOU = 0.1
UNKNOWN = 'unknown'
MANIFEST = 'manifest.csv'

Lesions = tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class SliceRecord:
    """The measurements of one slice, from which every figure is aggregated.

    Attributes:
        patient (str): Patient, such as ``'049'``.
        slice (int): Number of the slice within the patient.
        tp (int): Pixels of hemorrhage in truth and prediction.
        fp (int): Pixels of hemorrhage in the prediction only.
        fn (int): Pixels of hemorrhage in the truth only.
        tn (int): Pixels of hemorrhage in neither.
        assd (float): Average symmetric surface distance in ``unit``; nan where undefined.
        hd95 (float): 95th percentile of the Hausdorff distance in ``unit``; likewise.
        nsd (float): Normalised surface Dice; likewise.
        true_lesions (tuple): Of each true lesion its pixels and whether it was found.
        predicted_lesions (tuple): Of each predicted lesion its pixels and whether it is true.
        score (float): Log-odds of hemorrhage in the slice; nan where none are predicted.
        calibration_gaps (tuple): See :func:`measures.calibration_gaps`; empty likewise.
        types (tuple, optional): Hemorrhage types of the diagnosis; None where it is not known.
        unit (str): Unit of the distances, ``'px'`` or ``'mm'``.
        pixel_volume (float): Volume of a pixel in ml; nan where it is unknown.
        image_file (str): File of the image, for pictures; empty where unknown.
        truth_file (str): File of the true mask.
        prediction_file (str): File of the predicted mask.
    """

    patient: str
    slice: int
    tp: int
    fp: int
    fn: int
    tn: int
    assd: float = math.nan
    hd95: float = math.nan
    nsd: float = math.nan
    true_lesions: Lesions = ()
    predicted_lesions: Lesions = ()
    score: float = math.nan
    calibration_gaps: tuple[float, ...] = field(default=(), repr=False)
    types: tuple[str, ...] | None = None
    unit: str = 'px'
    pixel_volume: float = math.nan
    image_file: str = ''
    truth_file: str = ''
    prediction_file: str = ''

    @property
    def name(self) -> str:
        """``<patient>_<slice, three digits>``, as the files of the prepared tree are named."""
        return f'{self.patient}_{self.slice:03d}'

    @property
    def hemorrhage(self) -> bool:
        """Whether the truth holds hemorrhage."""
        return self.tp + self.fn > 0

    @property
    def dice(self) -> float:
        """Dice of hemorrhage; nan where truth and prediction are both empty."""
        return float(measures.dice(self.tp, self.fp, self.fn))


def measure_slice(
    truth: NDArray,
    prediction: NDArray,
    probability: NDArray | None = None,
    score: float = math.nan,
    *,
    patient: str,
    slice: int,
    spacing: Sequence[float] | None = None,
    thickness: float = math.nan,
    ignore_index: int = 255,
    **about: object,
) -> SliceRecord:
    """Measure a predicted mask against the true one.

    Args:
        truth (ndarray): (H, W), 0 background, 1 hemorrhage, ``ignore_index`` not to be counted.
        prediction (ndarray): (H, W), 0 or 1.
        probability (ndarray, optional): (H, W), predicted probability of hemorrhage.
        score (float): Predicted log-odds of hemorrhage in the slice. Defaults to nan: those of the
            highest probability.
        patient (str): Patient.
        slice (int): Number of the slice.
        spacing (sequence, optional): Height and width of a pixel in mm, for distances in mm.
        thickness (float): Distance between slices in mm, for volumes in ml. Defaults to nan.
        ignore_index (int): Defaults to 255.
        **about: Further fields of :class:`SliceRecord` that say where the slice comes from.

    Returns:
        SliceRecord: The measurements.

    Raises:
        ValueError: If the shapes differ, or a label or a probability is not what it must be; the
            message names the slice.
    """
    try:
        confusion = measures.confusion_matrix(truth, prediction, 2, ignore_index)
        (tn, fp), (fn, tp) = confusion.tolist()
        is_true, is_predicted = truth == 1, prediction == 1
        counted = None
        if tn + fp + fn + tp < truth.size:
            counted = truth != ignore_index
            is_true &= counted
            is_predicted &= counted
        calibration = _calibration(is_true, probability, score, counted)
        shape = _shape(is_true, is_predicted, spacing) if tp + fn + fp else {}
    except ValueError as error:
        raise ValueError(f'{patient}_{slice:03d}: {error}') from None
    return SliceRecord(
        patient=patient,
        slice=slice,
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
        unit='px' if spacing is None else 'mm',
        pixel_volume=math.nan if spacing is None else math.prod(spacing) * thickness / 1000,
        **calibration,
        **shape,
        **about,
    )


def smooth_scores(records: Sequence[SliceRecord], slices: float) -> list[SliceRecord]:
    """Score each slice with its neighbours: hemorrhage goes on from slice to slice, noise does not.

    Args:
        records (sequence): Records; those of a patient need not come together.
        slices (float): Standard deviation of the Gaussian weights along the scan, in slices.

    Returns:
        list[SliceRecord]: The same in the same order, with the weighted means as scores. Where
        slices of a scan are missing or have no score (nan, which stays), the weights of the others
        make up for them.
    """
    numbers, scores = (np.array([getattr(r, name) for r in records]) for name in ('slice', 'score'))
    patients = np.array([r.patient for r in records])
    smooth = np.full(len(records), np.nan)
    for patient in np.unique(patients):
        (scan,) = np.nonzero((patients == patient) & ~np.isnan(scores))
        distances = np.subtract.outer(numbers[scan], numbers[scan]) / slices
        weights = np.exp(-(distances**2) / 2)
        smooth[scan] = weights @ scores[scan] / weights.sum(axis=1)
    return [replace(record, score=float(score)) for record, score in zip(records, smooth)]


def with_types(
    records: Iterable[SliceRecord], diagnosis: Mapping[tuple[str, int], tuple[str, ...]]
) -> list[SliceRecord]:
    """Give each record the hemorrhage types of its slice.

    Args:
        records (iterable): Records.
        diagnosis (mapping): Types by patient and slice, from :func:`read_diagnosis`.

    Returns:
        list[SliceRecord]: The records; ``types`` is None where the diagnosis lacks the slice.
    """
    return [replace(r, types=diagnosis.get((r.patient, r.slice))) for r in records]


def read_diagnosis(file: str | Path) -> dict[tuple[str, int], tuple[str, ...]]:
    """Read the data set's ``hemorrhage_diagnosis.csv``.

    Args:
        file (str | Path): The CSV, with or without a byte order mark.

    Returns:
        dict: Hemorrhage types by patient (three digits) and slice.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If a column is missing or a number is none; the message names the file.
    """
    diagnosis = {}
    with open(file, encoding='utf-8-sig', newline='') as lines:
        reader = csv.DictReader(lines)
        wanted = {'PatientNumber', 'SliceNumber', *HEMORRHAGE_TYPES}
        if missing := sorted(wanted - set(reader.fieldnames or ())):
            raise ValueError(
                f'{file}: no column {", ".join(missing)}; expected is the hemorrhage_diagnosis.csv '
                'of the ct-ich data set'
            )
        for row in reader:
            try:
                key = f'{int(row["PatientNumber"]):03d}', int(row['SliceNumber'])
                diagnosis[key] = tuple(kind for kind in HEMORRHAGE_TYPES if int(row[kind] or 0))
            except (ValueError, TypeError):
                raise ValueError(
                    f'{file}: line {reader.line_num} is not a row of numbers; download it again'
                ) from None
    return diagnosis


def read_manifest(tree: str | Path) -> dict[tuple[str, int], tuple[str, ...]]:
    """Read the hemorrhage types from the ``manifest.csv`` of a prepared tree.

    Args:
        tree (str | Path): The folder that holds ``images`` and ``masks``.

    Returns:
        dict: As :func:`read_diagnosis`; empty where the tree has no manifest.

    Raises:
        ValueError: If the manifest is none of Cranium's; the message names it.
    """
    file = Path(tree) / MANIFEST
    if not file.is_file():
        return {}
    try:
        with open(file, encoding='utf-8', newline='') as lines:
            return {
                (row['patient'], int(row['slice'])): tuple(filter(None, row['types'].split('+')))
                for row in csv.DictReader(lines)
            }
    except (KeyError, ValueError, AttributeError, csv.Error):
        raise ValueError(
            f'{file}: not a manifest of Cranium; prepare the data again, or move it away'
        ) from None


def parse_name(file: str | Path) -> tuple[str, int]:
    """Tell patient and slice from a file name.

    Args:
        file (str | Path): ``<patient>_<slice>`` with any suffix, such as ``049_021.png``.

    Returns:
        tuple[str, int]: ``('049', 21)``.

    Raises:
        ValueError: If the name is none like that.
    """
    match = re.fullmatch(r'(.+)_(\d+)', Path(file).name.split('.')[0])
    if not match:
        raise ValueError(
            f'{file}: the name does not tell patient and slice; expected is <patient>_<slice>, '
            'such as 049_021.png'
        )
    return match[1], int(match[2])


def patient_name(patient: int | str) -> str:
    """Name of a patient that is given by number or by name, such as ``'070'`` for 70."""
    text = str(patient)
    return f'{int(text):03d}' if text.isdecimal() else text


def check_unique(records: Iterable[SliceRecord]) -> None:
    """Make sure that no slice counts twice.

    Args:
        records (iterable): Records.

    Raises:
        ValueError: If a slice is there more than once; the message names the first few.
    """
    seen, twice = set(), []
    for record in records:
        if record.name in seen:
            twice.append(record.name)
        seen.add(record.name)
    if twice:
        raise ValueError(
            f'{len(twice)} slices were measured more than once, first {", ".join(twice[:3])}; '
            'evaluate each slice once'
        )


def write_slices(records: Iterable[SliceRecord], file: str | Path) -> None:
    """Write ``slices.csv``, a row a slice; what is undefined stays blank.

    Args:
        records (iterable): Records.
        file (str | Path): The file to write.
    """
    names = [f.name for f in fields(SliceRecord)]
    derived = {
        'dice': lambda r: r.dice,
        'iou': lambda r: float(measures.iou(r.tp, r.fp, r.fn)),
        'precision': lambda r: float(measures.precision(r.tp, r.fp)),
        'sensitivity': lambda r: float(measures.sensitivity(r.tp, r.fn)),
        'specificity': lambda r: float(measures.specificity(r.tn, r.fp)),
        'volume_error': lambda r: r.fp - r.fn,
    }
    with open(file, 'w', encoding='utf-8', newline='') as lines:
        writer = csv.writer(lines)
        writer.writerow([*names[:6], *derived, *names[6:]])
        for record in records:
            cells = [_to_cell(name, getattr(record, name)) for name in names]
            extra = [_to_cell(name, function(record)) for name, function in derived.items()]
            writer.writerow([*cells[:6], *extra, *cells[6:]])


def read_slices(file: str | Path) -> list[SliceRecord]:
    """Read ``slices.csv`` back, without loss.

    Args:
        file (str | Path): The file.

    Returns:
        list[SliceRecord]: The records.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no such table; the message names the file and the line.
    """
    with open(file, encoding='utf-8', newline='') as lines:
        reader = csv.DictReader(lines)
        records = []
        for row in reader:
            try:
                values = {f.name: _from_cell(f.name, row[f.name]) for f in fields(SliceRecord)}
            except (KeyError, ValueError, TypeError, AttributeError):
                raise ValueError(
                    f'{file}: line {reader.line_num} is not a row of a slices.csv written by '
                    'Cranium; run the evaluation again'
                ) from None
            records.append(SliceRecord(**values))
    if not records:
        raise ValueError(f'{file}: no slices in it; run the evaluation again')
    check_unique(records)
    return records


def _calibration(
    is_true: NDArray[np.bool_],
    probability: NDArray | None,
    score: float,
    counted: NDArray[np.bool_] | None,
) -> dict[str, object]:
    if probability is None:
        return {'score': score}
    if counted is not None and probability.shape == counted.shape:
        is_true, probability = is_true[counted], probability[counted]
    gaps = measures.calibration_gaps(is_true, probability)
    if math.isnan(score) and probability.size:
        score = float(logit(probability.max()))
    return {'score': score, 'calibration_gaps': tuple(gaps.tolist())}


def _shape(
    is_true: NDArray[np.bool_], is_predicted: NDArray[np.bool_], spacing: Sequence[float] | None
) -> dict[str, object]:
    distances = measures.surface_distances(is_true, is_predicted, spacing or 1.0)
    match = measures.match_lesions(is_true, is_predicted, LESION_IOU)
    return {
        'assd': measures.average_symmetric_surface_distance(*distances),
        'hd95': measures.hausdorff_distance_95(*distances),
        'nsd': measures.normalized_surface_dice(*distances, SURFACE_TOLERANCE),
        'true_lesions': tuple(zip(match.truth_sizes.tolist(), match.truth_matched.tolist())),
        'predicted_lesions': tuple(
            zip(match.prediction_sizes.tolist(), match.prediction_matched.tolist())
        ),
    }


def _to_cell(name: str, value: object) -> str:
    if name in ('true_lesions', 'predicted_lesions'):
        return ' '.join(f'{size}:{int(matched)}' for size, matched in value)
    if name == 'calibration_gaps':
        return ' '.join(map(repr, value))
    if name == 'types':
        return UNKNOWN if value is None else ' '.join(value)
    if isinstance(value, float):
        return '' if math.isnan(value) else repr(value)
    return str(value)


def _from_cell(name: str, cell: str) -> object:
    if name in ('true_lesions', 'predicted_lesions'):
        pairs = (lesion.split(':') for lesion in cell.split())
        return tuple((int(size), matched == '1') for size, matched in pairs)
    if name == 'calibration_gaps':
        return tuple(map(float, cell.split()))
    if name == 'types':
        return None if cell == UNKNOWN else tuple(cell.split())
    if name in ('slice', 'tp', 'fp', 'fn', 'tn'):
        return int(cell)
    if name in ('assd', 'hd95', 'nsd', 'score', 'pixel_volume'):
        return float(cell) if cell else math.nan
    return cell
