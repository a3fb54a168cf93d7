"""The results of a run and their files: ``summary.json``, ``slices.csv``, ``patients.csv``."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cranium.errors import CraniumError
from cranium.evaluation.calibration import Calibrations
from cranium.evaluation.cohort import Cohort
from cranium.evaluation.estimate import Estimate, format_table
from cranium.evaluation.records import (
    LESION_IOU,
    SURFACE_TOLERANCE,
    UNKNOWN,
    name_first,
    read_slices,
    slice_table,
)
from cranium.evaluation.statistics import SEED
from cranium.evaluation.summary import (
    CONTRASTS_HU,
    LESION_SIZES_PX,
    OperatingPoint,
    check_operating_point,
    choose_operating_point,
    patient_table,
    summarize,
)
from cranium.slices import patient_name

SUMMARY = 'summary.json'
SLICES = 'slices.csv'
PATIENTS = 'patients.csv'

# Where results lie in the folder of a run: of `mim test`, of a test beside the training, of a
# whole cross-validation.
PLACES = ('evaluation', 'test/evaluation', 'pooled')

# Fewer patients with hemorrhage than this say little about others; a test set of the authors'
# folds holds 4 to 10.
FEW_PATIENTS = 10


@dataclass(frozen=True)
class Results:
    """What an evaluation found.

    Attributes:
        slices (DataFrame): The table of slices, see :mod:`cranium.evaluation.records`.
        figures (dict): Estimates by name.
        cases (dict): Numbers of slices and patients, with hemorrhage and in all.
        operating_point (OperatingPoint): Thresholds that other patients may be tested at.
        used_operating_point (OperatingPoint, optional): Thresholds that were used here.
        options (dict): Settings that the figures depend on.
        warnings (list): What a reader of the figures has to know.
        provenance (dict): Where model and data come from.
    """

    slices: pd.DataFrame
    figures: dict[str, Estimate]
    cases: dict[str, int]
    operating_point: OperatingPoint
    used_operating_point: OperatingPoint | None = None
    options: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)


def evaluate(
    slices: pd.DataFrame | Iterable[Mapping[str, Any]],
    *,
    leave_out: Collection[int | str] = (),
    operating_point: OperatingPoint | Mapping[str, OperatingPoint] | None = None,
    calibrations: Calibrations | None = None,
    score_smoothing: float = 0.0,
    provenance: Mapping[str, Any] = {},
    warnings: Sequence[str] = (),
    replicates: int = 10_000,
) -> Results:
    """Compute all figures from a table of slices, or from records of ``measure_slice``.

    Args:
        slices (DataFrame | iterable): Of which ``score_raw`` is smoothed here.
        leave_out (collection): Patients that the authors' Dice is also given without.
        operating_point (OperatingPoint | mapping, optional): Thresholds chosen on other patients,
            or by patient, as in a cross-validation.
        calibrations (Calibrations, optional): Fitted on other patients.
        score_smoothing (float): See :func:`~cranium.evaluation.records.smooth_scores`.
        provenance (mapping): Where model and data come from.
        warnings (sequence): Warnings to hand on.
        replicates (int): Draws of patients for the intervals. Defaults to 10,000.
    """
    cohort = Cohort(slice_table(slices, score_smoothing), replicates)
    one_for_all = operating_point if isinstance(operating_point, OperatingPoint) else None
    if one_for_all:
        check_operating_point(one_for_all, cohort, score_smoothing)
    dropped = sorted(map(patient_name, leave_out))
    figures, failures = summarize(cohort, dropped, operating_point, calibrations)
    options = {
        'replicates': replicates,
        'seed': SEED,
        'interval': 'percentile bootstrap over patients, 95 %',
        'surface_tolerance': SURFACE_TOLERANCE,
        'distance_unit': cohort.unit,
        'lesion_iou': LESION_IOU,
        'lesion_sizes_px': LESION_SIZES_PX,
        'contrasts_hu': CONTRASTS_HU,
        'score': cohort.score_kind,
        'score_smoothing': score_smoothing,
        'left_out_patients': dropped,
    }
    return Results(
        slices=cohort.slices,
        figures=figures,
        cases={
            'slices': len(cohort.slices),
            'hemorrhage_slices': int(cohort.hemorrhage.sum()),
            'patients': len(cohort.patients),
            'hemorrhage_patients': int(cohort.patient_hemorrhage.sum()),
        },
        operating_point=choose_operating_point(cohort, score_smoothing),
        used_operating_point=one_for_all,
        options=options,
        warnings=[
            *warnings,
            *failures,
            *_warnings(cohort, figures, operating_point is None, dropped),
        ],
        provenance=dict(provenance),
    )


def write_results(results: Results, folder: str | Path) -> None:
    """Write ``summary.json``, ``slices.csv`` and ``patients.csv``.

    An old summary goes first and the new one comes last and at once, so that a folder with a
    summary is a whole one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    patients = patient_table(Cohort(results.slices, replicates=0))
    for table, name in ((results.slices, SLICES), (patients, PATIENTS)):
        table.to_csv(folder / name, index=False, lineterminator='\n')
    summary = asdict(replace(results, slices=results.slices[:0]))
    del summary['slices']
    # JSON has no nan and no infinity: null.
    summary = json.loads(json.dumps(summary), parse_constant=lambda name: None)
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    partial = folder / f'{SUMMARY}.part'
    partial.write_text(text + '\n', encoding='utf-8')
    partial.replace(folder / SUMMARY)


def read_results(folder: str | Path) -> Results:
    """Read back what :func:`write_results` wrote, from where :func:`find_results` finds it."""
    folder = find_results(folder)
    return Results(slices=read_slices(folder / SLICES), **read_summary(folder / SUMMARY))


def describe_results(results: Results, folder: str | Path) -> str:
    """The table of figures, the warnings, and where the files are: what a command prints."""
    notes = [f'Note: {warning}' for warning in results.warnings]
    return '\n'.join([format_table(results.figures), *notes, f'All figures are in {folder}'])


def find_results(folder: str | Path) -> Path:
    """Find the folder with the ``summary.json`` of a run: itself, or one of ``PLACES`` in it.

    A CraniumError names what there is if there are several.
    """
    folder = Path(folder)
    places = [folder, *(folder / place for place in PLACES)]
    found = [place for place in places if (place / SUMMARY).is_file()]
    if found and (len(found) == 1 or found[0] == folder):
        return found[0]
    below = found or sorted(file.parent for file in folder.rglob(SUMMARY))
    if below:
        names = ', '.join(map(str, below))
        raise CraniumError(f'{folder}: which results are meant? Name one of {names}')
    raise CraniumError(f'{folder}: no {SUMMARY}; make one with mim test or cranium evaluate')


def read_summary(file: str | Path) -> dict[str, Any]:
    """Read ``summary.json`` as what :class:`Results` holds besides its slices."""
    try:
        summary = json.loads(Path(file).read_text(encoding='utf-8'))
        used = summary['used_operating_point']
        return {
            **{key: summary[key] for key in ('cases', 'options', 'warnings', 'provenance')},
            'figures': {
                name: Estimate(**_with_nan(figure)) for name, figure in summary['figures'].items()
            },
            'operating_point': _operating_point(summary['operating_point']),
            'used_operating_point': used and _operating_point(used),
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f'no {error}' if isinstance(error, KeyError) else error
        msg = f'{file}: not a summary written by this version of Cranium ({what})'
        raise CraniumError(f'{msg}; run the evaluation again') from error


def read_operating_point(file: str | Path) -> OperatingPoint:
    """Read the thresholds that a run on validation patients chose, from its ``summary.json``."""
    point: OperatingPoint = read_summary(file)['operating_point']
    return point


def _warnings(
    cohort: Cohort,
    figures: Mapping[str, Estimate],
    no_operating_point: bool,
    dropped: Collection[str],
) -> list[str]:
    slices = cohort.slices
    bleeding = cohort.patients[cohort.patient_hemorrhage].tolist()
    nobody = sorted(set(dropped) - set(bleeding))
    alone = [name for name, figure in figures.items() if figure.patients == 1]
    unscored = slices[slices['score'].isna() & (cohort.score_kind == 'log-odds')]
    broken = slices[slices['calibration_gaps'].str.startswith('nan')]
    unknown = int((slices['types'] == UNKNOWN).sum())
    found = {
        f'Of the patients to leave out, {", ".join(nobody)} are not among those tested with '
        'hemorrhage, so leaving them out changes nothing.': nobody,
        f'{cohort.ignored} slices were left out, since no pixel of theirs counts: their true masks '
        'are 255 throughout, as of slices without a label.': cohort.ignored,
        f'Only {len(bleeding)} patients with hemorrhage were tested; the intervals are wide, and '
        'with so few they are too narrow rather than too wide.': len(bleeding) < FEW_PATIENTS,
        f'{len(alone)} figures rest on a single patient and have no interval, first '
        f'{", ".join(alone[:3])}: drawing one patient again and again says nothing about others.': (
            alone and len(cohort.weights) > 1
        ),
        'Nothing was predicted on any slice: the model finds no hemorrhage at all.': (
            bleeding and not cohort.predicted.any()
        ),
        f'{len(broken)} slices have probabilities that are not a number, first '
        f'{name_first(broken)}: the model has diverged.': len(broken),
        f'{len(unscored)} slices have no log-odds of hemorrhage but others have, first '
        f'{name_first(unscored)}: figures of detection by score are undefined.': len(unscored),
        'No sensitivity and specificity at a threshold of the score: a threshold has to be chosen '
        'on validation patients (operating_point), never on those tested.': no_operating_point,
        f'The diagnosis does not know {unknown} of the slices; they are left out of the figures by '
        'hemorrhage type.': 0 < unknown < len(slices),
        'No figures by contrast: no image of a bleed is known that gives HU (16 bits, or 8 bits in '
        'the brain window).': bleeding and not slices['true_contrasts'].any(),
        'No figures by hemorrhage type: no diagnosis that knows the slices.': (
            unknown == len(slices)
        ),
    }
    return [text for text, holds in found.items() if holds]


def _operating_point(values: Mapping[str, Any]) -> OperatingPoint:
    return OperatingPoint(**{**_with_nan(values), 'patients': tuple(values['patients'])})


def _with_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: math.nan if value is None else value for key, value in values.items()}
