"""Is one model better than another? Paired tests, patient by patient."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from cranium.errors import CraniumError
from cranium.evaluation import statistics
from cranium.evaluation.cohort import Cohort
from cranium.evaluation.records import name_first, slice_table

MEASURES = ('authors_dice', 'volume_dice')
LEVEL = 0.05


class Difference(NamedTuple):
    """How two runs differ on the same patients.

    Attributes:
        measure (str): What was measured of each patient.
        first (float): Mean over patients of the first run.
        second (float): Mean over patients of the second run.
        patients (int): Patients with hemorrhage, the pairs.
        low (float): Lower end of the 95 % interval of ``second - first``.
        high (float): Upper end.
        wilcoxon (float): P value of the Wilcoxon signed-rank test; nan where no patient differs.
        permutation (float): P value of the permutation test of the mean difference.
        corrected (float): ``permutation`` after Holm's correction for all comparisons made.
    """

    measure: str
    first: float
    second: float
    patients: int
    low: float
    high: float
    wilcoxon: float
    permutation: float
    corrected: float = math.nan

    @property
    def difference(self) -> float:
        """Mean over patients of ``second - first``."""
        return self.second - self.first

    @property
    def decided(self) -> bool:
        """Whether the permutation test, corrected, and the interval both rule out no difference."""
        return self.corrected < LEVEL and not self.low <= 0 <= self.high


def compare_runs(
    runs: Sequence[pd.DataFrame],
    measures: Sequence[str] = MEASURES[:1],
    replicates: int = 10_000,
) -> list[Difference]:
    """Compare each further run with the first.

    Patients, not slices, are the pairs, since slices of one patient are not independent.
    Wilcoxon: F. Wilcoxon, Biometrics Bulletin 1(6):80-83, 1945, doi:10.2307/3001968. Permutation:
    the signs of the differences are exchanged, all ways where there are few patients. Correction:
    S. Holm, Scand J Stat 6(2):65-70, 1979.

    Args:
        runs (sequence): Tables of the slices of two or more runs on the same data.
        measures (sequence): Of :data:`MEASURES`. Defaults to the authors' Dice.
        replicates (int): Draws of patients and random exchanges of signs. Defaults to 10,000.

    Returns:
        list[Difference]: One for each further run and measure.
    """
    if len(runs) < 2:
        raise CraniumError('a comparison needs two runs; name another')
    first, *others = (Cohort(slice_table(slices), replicates) for slices in runs)
    for other in others:
        _check_same_truth(first, other)
    if first.patient_hemorrhage.sum() < 2:
        raise CraniumError('fewer than two patients with hemorrhage; there is nothing to compare')
    found = [_compare(first, other, measure) for other in others for measure in measures]
    corrected = holm([difference.permutation for difference in found])
    return [item._replace(corrected=value) for item, value in zip(found, corrected)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct P values for their number by Holm's step-down procedure, in the same order."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in corrected]


def verdict(difference: Difference, first: str, second: str) -> str:
    """Say in a sentence which of two runs is better, or that the data cannot decide."""
    if difference.decided:
        better, worse = (second, first) if difference.difference > 0 else (first, second)
        return f'{better} is better than {worse}.'
    text = (
        f'These {difference.patients} patients cannot decide between {first} and {second}, which '
        'is not evidence that they are equal.'
    )
    if (least := 2 / 2**difference.patients) >= LEVEL:
        text += f' With so few P cannot fall below {least:.3g}, whatever the runs.'
    return text


def format_differences(found: Sequence[Difference], names: Sequence[str]) -> str:
    """Comparisons from :func:`compare_runs` of runs with these names, one paragraph each."""
    first, *others = names
    per_run = len(found) // len(others)
    paragraphs = []
    for index, item in enumerate(found):
        second = others[index // per_run]
        paragraphs.append(
            f'{item.measure} of {item.patients} patients with hemorrhage\n'
            f'  {first}: {item.first:.3f}\n'
            f'  {second}: {item.second:.3f}\n'
            f'  difference {item.difference:+.3f}, 95 % interval {item.low:+.3f} to '
            f'{item.high:+.3f} (bootstrap over patients)\n'
            f'  P: Wilcoxon signed-rank {item.wilcoxon:.3g}, permutation {item.permutation:.3g}, '
            f'after Holm over {len(found)} {item.corrected:.3g}\n'
            f'  {verdict(item, first, second)}'
        )
    return '\n\n'.join(paragraphs)


def _compare(first: Cohort, second: Cohort, measure: str) -> Difference:
    bleeding = np.flatnonzero(first.patient_hemorrhage)
    one, two = (cohort.patient_dice()[measure][bleeding] for cohort in (first, second))
    differences = two - one
    low, high = statistics.interval(
        statistics.weighted_mean(first.weights, differences, bleeding)[1:]
    )
    test = stats.permutation_test(
        (two, one),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type='samples',
        vectorized=True,
        n_resamples=len(first.weights) - 1,
        random_state=np.random.default_rng(statistics.SEED),
    )
    return Difference(
        measure=measure,
        first=float(one.mean()),
        second=float(two.mean()),
        patients=len(one),
        low=low,
        high=high,
        wilcoxon=float(stats.wilcoxon(differences).pvalue) if differences.any() else math.nan,
        permutation=float(test.pvalue),
    )


def _check_same_truth(first: Cohort, second: Cohort) -> None:
    both = first.slices.merge(second.slices, 'outer', ['patient', 'slice'], indicator=True)
    alone = both[both['_merge'] != 'both']
    if len(alone):
        raise CraniumError(
            f'the runs were not tested on the same slices; {len(alone)} are in one only, first '
            f'{name_first(alone)}'
        )
    # The pixels of hemorrhage, and those that count at all.
    true, counted = first.tp + first.fn, first.fp + first.tn
    other = (true != second.tp + second.fn) | (counted != second.fp + second.tn)
    if other.any():
        raise CraniumError(
            f'the runs were not tested against the same masks; {other.sum()} differ, first '
            f'{name_first(first.slices[other])}'
        )
