"""The files of a run: ``summary.json``, ``slices.csv``, ``patients.csv``; and the printed table."""

import csv
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cranium.evaluation.records import (
    LESION_IOU,
    SURFACE_TOLERANCE,
    SliceRecord,
    patient_name,
    read_slices,
    write_slices,
)
from cranium.evaluation.summary import (
    LESION_SIZES,
    Cohort,
    Figure,
    OperatingPoint,
    choose_operating_point,
    patient_dice,
    summarize,
)

SUMMARY = 'summary.json'
SLICES = 'slices.csv'
PATIENTS = 'patients.csv'

# Fewer patients with hemorrhage than this say little about others; a test set of the authors'
# folds holds 4 to 10.
FEW_PATIENTS = 10


@dataclass(frozen=True)
class Results:
    """What an evaluation found.

    Attributes:
        records (list): Records of the slices.
        figures (dict): Figures by name.
        cases (dict): Numbers of slices and patients, with hemorrhage and in all.
        operating_point (OperatingPoint): Thresholds that other patients may be tested at.
        used_operating_point (OperatingPoint, optional): Thresholds that were used here.
        options (dict): Settings that the figures depend on.
        warnings (list): What a reader of the figures has to know.
        provenance (dict): Where model and data come from.
    """

    records: list[SliceRecord]
    figures: dict[str, Figure]
    cases: dict[str, int]
    operating_point: OperatingPoint
    used_operating_point: OperatingPoint | None = None
    options: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    provenance: dict[str, object] = field(default_factory=dict)


def evaluate(
    records: Sequence[SliceRecord],
    *,
    leave_out: Collection[str] = (),
    operating_point: OperatingPoint | None = None,
    provenance: Mapping[str, object] | None = None,
    warnings: Sequence[str] = (),
    replicates: int = 10_000,
    seed: int = 0,
) -> Results:
    """Compute all figures from the records of slices.

    Args:
        records (sequence): Records.
        leave_out (collection): Patients that the authors' Dice is also given without, as names
            or numbers.
        operating_point (OperatingPoint, optional): Thresholds chosen on other patients.
        provenance (mapping, optional): Where model and data come from.
        warnings (sequence): Warnings to hand on.
        replicates (int): Draws of patients for the intervals. Defaults to 10,000.
        seed (int): Seed of the draws. Defaults to 0.

    Returns:
        Results: Figures and all that belongs to them.

    Raises:
        ValueError: See :class:`Cohort` and :func:`summarize`.
    """
    cohort = Cohort(records, replicates, seed)
    dropped = tuple(map(patient_name, leave_out))
    figures = summarize(cohort, dropped, operating_point)
    cases = {
        'slices': len(cohort.records),
        'hemorrhage_slices': int(cohort.hemorrhage.sum()),
        'patients': len(cohort.patients),
        'hemorrhage_patients': int(cohort.patient_hemorrhage.sum()),
    }
    options = {
        'replicates': replicates,
        'seed': seed,
        'interval': 'percentile bootstrap over patients, 95 %',
        'surface_tolerance': SURFACE_TOLERANCE,
        'distance_unit': cohort.unit,
        'lesion_iou': LESION_IOU,
        'lesion_sizes_px': {
            n: [lo, hi if hi < math.inf else None] for n, (lo, hi) in LESION_SIZES.items()
        },
        'score': cohort.score_kind,
        'left_out_patients': list(dropped),
    }
    return Results(
        records=cohort.records,
        figures=figures,
        cases=cases,
        operating_point=choose_operating_point(cohort),
        used_operating_point=operating_point,
        options=options,
        warnings=[*warnings, *_warnings(cohort, operating_point, dropped)],
        provenance=dict(provenance or {}),
    )


def write_results(results: Results, folder: str | Path) -> None:
    """Write ``summary.json``, ``slices.csv`` and ``patients.csv``.

    Args:
        results (Results): What an evaluation found.
        folder (str | Path): Where to; made where it is missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_slices(results.records, folder / SLICES)
    _write_patients(Cohort(results.records, replicates=0), folder / PATIENTS)
    used = results.used_operating_point
    summary = {
        'figures': {name: asdict(figure) for name, figure in results.figures.items()},
        'cases': results.cases,
        'operating_point': asdict(results.operating_point),
        'used_operating_point': asdict(used) if used else None,
        'options': results.options,
        'warnings': results.warnings,
        'provenance': results.provenance,
    }
    text = json.dumps(_without_nan(summary), indent=2, ensure_ascii=False, allow_nan=False)
    # Last, so that a folder with a summary is a whole one.
    (folder / SUMMARY).write_text(text + '\n', encoding='utf-8')


def read_results(folder: str | Path) -> Results:
    """Read back what :func:`write_results` wrote.

    Args:
        folder (str | Path): Folder with the files, or a work directory with them in a folder
            below; of several the newest.

    Returns:
        Results: What the evaluation found.

    Raises:
        OSError: If there are no such files.
        ValueError: If a file is not what was written; the message names it.
    """
    folder = find_results(folder)
    summary = read_summary(folder / SUMMARY)
    return Results(
        records=read_slices(folder / SLICES),
        figures=summary['figures'],
        cases=summary['cases'],
        operating_point=summary['operating_point'],
        used_operating_point=summary['used_operating_point'],
        options=summary['options'],
        warnings=summary['warnings'],
        provenance=summary['provenance'],
    )


def find_results(folder: str | Path) -> Path:
    """Find the results of a run.

    Args:
        folder (str | Path): See :func:`read_results`.

    Returns:
        Path: The folder that holds ``summary.json``.

    Raises:
        FileNotFoundError: If there is none; the message tells how to make one.
    """
    folder = Path(folder)
    found = [folder / SUMMARY] if (folder / SUMMARY).is_file() else list(folder.rglob(SUMMARY))
    if not found:
        raise FileNotFoundError(
            f'{folder}: no {SUMMARY} in it or below; make one with mim test or tools/evaluate.py'
        )
    return max(found, key=lambda file: file.stat().st_mtime).parent


def read_summary(file: str | Path) -> dict[str, object]:
    """Read ``summary.json``, with its figures and operating points as objects, null as nan.

    Args:
        file (str | Path): The file.

    Returns:
        dict: As written.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no such summary; the message names it.
    """
    try:
        summary = json.loads(Path(file).read_text(encoding='utf-8'))
        summary['figures'] = {
            name: Figure(
                **{key: math.nan if value is None else value for key, value in figure.items()}
            )
            for name, figure in summary['figures'].items()
        }
        for key in ('cases', 'options', 'warnings', 'provenance'):
            summary[key]
        for key in ('operating_point', 'used_operating_point'):
            if summary[key] is not None or key == 'operating_point':
                summary[key] = _operating_point(summary[key])
    except KeyError as error:
        raise ValueError(
            f'{file}: not a summary written by Cranium (no {error}); run the evaluation again'
        ) from None
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f'{file}: not a summary written by Cranium ({error}); run the evaluation again'
        ) from None
    return summary


def read_operating_point(file: str | Path) -> OperatingPoint:
    """Read the thresholds that a run on validation patients chose.

    Args:
        file (str | Path): The ``summary.json`` of that run.

    Returns:
        OperatingPoint: The thresholds.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no such summary.
    """
    return read_summary(file)['operating_point']


def format_figure(figure: Figure, digits: int = 3) -> str:
    """A figure with its interval, such as ``0.412 [0.305, 0.531]``; ``-`` where undefined.

    Args:
        figure (Figure): The figure.
        digits (int): Decimals of a figure from 0 to 1. Defaults to 3.

    Returns:
        str: The text.
    """
    if math.isnan(figure.value):
        return '-'
    if figure.unit:
        digits = 2 if abs(figure.value) < 1000 else 0
    text = f'{figure.value:.{digits}f}'
    if not math.isnan(figure.low):
        text += f' [{figure.low:.{digits}f}, {figure.high:.{digits}f}]'
    return text


def format_with_unit(figure: Figure) -> str:
    """A figure with its interval and unit, such as ``5.20 [3.10, 8.05] px``; ``-`` if undefined.

    Args:
        figure (Figure): The figure.

    Returns:
        str: The text.
    """
    unit = '' if math.isnan(figure.value) else figure.unit
    return f'{format_figure(figure)} {unit}'.strip()


def format_cases(figure: Figure) -> str:
    """Cases of a figure and those left out, such as ``12 slices; left out: 3 no hemorrhage``.

    Args:
        figure (Figure): The figure.

    Returns:
        str: The text.
    """
    reasons = ', '.join(f'{number} {reason}' for reason, number in figure.left_out.items())
    return f'{figure.cases} {figure.of}' + (f'; left out: {reasons}' if reasons else '')


def format_table(figures: Mapping[str, Figure], markdown: bool = False) -> str:
    """All figures as a table.

    Args:
        figures (mapping): Figures by name.
        markdown (bool): Whether to write a Markdown table. Defaults to False, columns by spaces.

    Returns:
        str: Lines without a final line break.
    """
    rows = [('figure', 'value [95 % interval]', 'unit', 'cases')]
    rows += [(n, format_figure(f), f.unit, format_cases(f)) for n, f in figures.items()]
    if markdown:
        rows.insert(1, ('---',) * 4)
        return '\n'.join('| ' + ' | '.join(row) + ' |' for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ('  '.join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows)
    return '\n'.join(lines)


def _write_patients(cohort: Cohort, file: Path) -> None:
    dice = patient_dice(cohort)
    rows = [
        _patient_row(
            [record for record, owner in zip(cohort.records, cohort.owner) if owner == index],
            **{name: float(values[index]) for name, values in dice.items()},
            score=float(cohort.patient_score[index]),
        )
        for index in range(len(cohort.patients))
    ]
    with open(file, 'w', encoding='utf-8', newline='') as lines:
        writer = csv.DictWriter(lines, rows[0])
        writer.writeheader()
        writer.writerows(
            {key: '' if value != value else value for key, value in row.items()} for row in rows
        )


def _patient_row(
    records: Sequence[SliceRecord], authors_dice: float, volume_dice: float, score: float
) -> dict[str, object]:
    tp, fp, fn, tn = (sum(getattr(r, name) for r in records) for name in ('tp', 'fp', 'fn', 'tn'))
    true = [found for r in records for _, found in r.true_lesions]
    predicted = [right for r in records for _, right in r.predicted_lesions]
    return {
        'patient': records[0].patient,
        'slices': len(records),
        'hemorrhage_slices': sum(r.hemorrhage for r in records),
        'types': ' '.join(sorted({kind for r in records for kind in r.types or ()})),
        'tp': tp,
        'fp': fp,
        'fn': fn,
        'tn': tn,
        'authors_dice': authors_dice,
        'volume_dice': volume_dice,
        'true_px': tp + fn,
        'predicted_px': tp + fp,
        'volume_error_px': fp - fn,
        'volume_error_ml': float(sum((r.fp - r.fn) * r.pixel_volume for r in records)),
        'score': score,
        'true_lesions': len(true),
        'found_lesions': sum(true),
        'false_lesions': len(predicted) - sum(predicted),
    }


def _warnings(
    cohort: Cohort, operating_point: OperatingPoint | None, dropped: Collection[str]
) -> list[str]:
    warnings = []
    bleeding = cohort.patients[cohort.patient_hemorrhage].tolist()
    if nobody := sorted(set(dropped) - set(bleeding)):
        warnings.append(
            f'Of the patients to leave out, {", ".join(nobody)} are not among those tested with '
            'hemorrhage, so leaving them out changes nothing.'
        )
    if cohort.ignored:
        warnings.append(
            f'{cohort.ignored} slices were left out, since no pixel of theirs counts: their true '
            'masks are 255 throughout, as of slices without a label.'
        )
    positive = int(cohort.patient_hemorrhage.sum())
    if positive < FEW_PATIENTS:
        warnings.append(
            f'Only {positive} patients with hemorrhage were tested; the intervals are wide, and '
            'with so few they are too narrow rather than too wide.'
        )
    if positive and not cohort.predicted.any():
        warnings.append('Nothing was predicted on any slice: the model finds no hemorrhage at all.')
    if operating_point is None:
        warnings.append(
            'No sensitivity and specificity at a threshold of the score: a threshold has to be '
            'chosen on validation patients (operating_point), never on those tested.'
        )
    unknown = sum(r.types is None for r in cohort.records)
    if 0 < unknown < len(cohort.records):
        warnings.append(
            f'The diagnosis does not know {unknown} of the slices; they are left out of the '
            'figures by hemorrhage type.'
        )
    elif unknown:
        warnings.append('No figures by hemorrhage type: no diagnosis CSV that knows the slices.')
    return warnings


def _operating_point(values: Mapping[str, object]) -> OperatingPoint:
    known = {key: math.nan if value is None else value for key, value in values.items()}
    return OperatingPoint(**{**known, 'patients': tuple(known['patients'])})


def _without_nan(value: object) -> object:
    """The value with None for nan, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
