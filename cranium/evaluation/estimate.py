"""A figure with its interval, and how it is printed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cranium.tables import markdown_table


@dataclass(frozen=True)
class Estimate:
    """One figure of a run.

    Attributes:
        value (float): The figure; nan where undefined.
        low (float): Lower end of the 95 % interval; nan where there is none.
        high (float): Upper end.
        cases (int): Cases it was computed on.
        of (str): What a case is: slices, patients or lesions.
        unit (str): ``'%'``, ``'px'``, ``'mm'``, ``'ml'``, or empty for a plain number.
        left_out (dict): Number of cases left out by reason.
        patients (int): Patients whom the cases belong to. A single one gives no interval.
    """

    value: float
    low: float
    high: float
    cases: int
    of: str
    unit: str = ''
    left_out: Mapping[str, int] = field(default_factory=dict)
    patients: int = 0


def format_estimate(estimate: Estimate) -> str:
    """A figure with its interval, such as ``0.412 [0.305, 0.531]``; ``-`` where undefined."""
    if math.isnan(estimate.value):
        return '-'
    digits = 3 if not estimate.unit else 2 if abs(estimate.value) < 1000 else 0
    text = f'{estimate.value:.{digits}f}'
    if not math.isnan(estimate.low):
        text += f' [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]'
    return text


def format_with_unit(estimate: Estimate) -> str:
    """A figure with its interval and unit, such as ``5.20 [3.10, 8.05] px``."""
    unit = '' if math.isnan(estimate.value) else estimate.unit
    return f'{format_estimate(estimate)} {unit}'.strip()


def format_cases(estimate: Estimate) -> str:
    """Cases of a figure and those left out, such as ``12 slices; left out: 3 no hemorrhage``."""
    text = f'{estimate.cases} {estimate.of}'
    if estimate.patients == 1:
        text += ' (one patient: no interval)'
    reasons = ', '.join(f'{number} {reason}' for reason, number in estimate.left_out.items())
    return text + (f'; left out: {reasons}' if reasons else '')


def format_table(figures: Mapping[str, Estimate]) -> str:
    """All figures as a Markdown table, without a final line break."""
    rows = [(n, format_estimate(e), e.unit, format_cases(e)) for n, e in figures.items()]
    return markdown_table(('figure', 'value [95 % interval]', 'unit', 'cases'), rows)
