"""The slices of a run as arrays, and statistics of them with intervals over patients."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.evaluation import measures, statistics
from cranium.evaluation.estimate import Estimate

Array = NDArray[Any]
FloatArray = statistics.FloatArray


class Cohort:
    """The n slices of P patients as arrays, ordered by patient and slice.

    Args:
        slices (DataFrame): From :func:`~cranium.evaluation.records.slice_table`; slices without a
            pixel that counts are left out, since they are neither with nor without hemorrhage.
        replicates (int): Draws of patients for the intervals. Defaults to 10,000.

    Attributes:
        slices (DataFrame): Those that count; ``ignored`` says how many do not.
        patients, owner (ndarray): Names of the patients, (P,), and the index of each slice's, (n,).
        weights (ndarray): See :func:`~cranium.evaluation.statistics.patient_weights`.
        tp, fp, fn, tn (ndarray): float64 of shape (n,).
        hemorrhage, predicted (ndarray): bool of shape (n,), whether the truth or the prediction of
            a slice holds hemorrhage; ``patient_hemorrhage`` of shape (P,).
        unit (str): Of distances.
        score (ndarray): float64 of shape (n,), the log-odds that a slice holds hemorrhage (nan
            where it has none and others have); where no slice has any (``score_kind`` is
            ``'area'``, not ``'log-odds'``), its predicted pixels. ``patient_score`` is the highest.
    """

    def __init__(self, slices: pd.DataFrame, replicates: int = 10_000) -> None:
        counts = slices[['tp', 'fp', 'fn', 'tn']].to_numpy(float)
        counted = counts.sum(axis=1) > 0
        if not counted.any():
            raise CraniumError('no pixel of any slice counts; are all true masks 255 throughout?')
        if slices['unit'].nunique() > 1:
            msg = 'some slices have a known pixel spacing and others do not; evaluate them apart'
            raise CraniumError(msg)
        self.ignored = int((~counted).sum())
        self.slices = slices[counted].reset_index(drop=True)
        self.unit = str(self.slices['unit'][0])
        self.tp, self.fp, self.fn, self.tn = counts[counted].T
        self.hemorrhage = self.tp + self.fn > 0
        self.predicted = self.tp + self.fp > 0
        names = self.slices['patient'].to_numpy(object)
        self.patients, self.owner = np.unique(names, return_inverse=True)
        self.weights = statistics.patient_weights(len(self.patients), replicates)
        self.patient_hemorrhage = self.sums(self.hemorrhage) > 0
        scores = self.slices['score'].to_numpy(float)
        self.score_kind = 'area' if np.isnan(scores).all() else 'log-odds'
        self.score = self.tp + self.fp if self.score_kind == 'area' else scores
        self.patient_score = np.full(len(self.patients), -np.inf)
        with np.errstate(invalid='ignore'):  # of nan, which a patient then has as well
            np.maximum.at(self.patient_score, self.owner, self.score)

    def sums(self, values: Array) -> FloatArray:
        """Add up what slices have, by patient: float64 of shape (P,)."""
        return statistics.patient_sums(values, self.owner, len(self.patients))

    def patient_dice(self) -> dict[str, FloatArray]:
        """Dice of each patient, float64 of shape (P,), nan where a patient has no hemorrhage.

        Returns:
            dict[str, ndarray]: ``authors_dice`` (mean over the hemorrhage slices: Hssayeni et al.,
            Data 5(1):14, 2020, doi:10.3390/data5010014) and ``volume_dice`` (all pixels of the
            patient taken together).
        """
        slice_dice = np.where(self.hemorrhage, measures.dice(self.tp, self.fp, self.fn), 0)
        with np.errstate(invalid='ignore'):
            authors = self.sums(slice_dice) / self.sums(self.hemorrhage)
        volume = measures.dice(*map(self.sums, (self.tp, self.fp, self.fn)))
        return {
            'authors_dice': authors,
            'volume_dice': np.where(self.patient_hemorrhage, volume, np.nan),
        }

    def lesions(self, column: str) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.intp]]:
        """Pixels of the true or predicted lesions, whether each is matched, and its slice."""
        cells = self.slices[column].str.split()
        pairs = [lesion.split(':') for cell in cells for lesion in cell]
        sizes, matched = np.array(pairs, np.int64).reshape(-1, 2).T
        of_slice = np.repeat(np.arange(len(cells)), cells.str.len())
        return sizes, matched.astype(float), of_slice

    def estimate(
        self,
        draws: FloatArray,
        cases: int,
        of: str,
        unit: str = '',
        left_out: Mapping[str, int] = {},
        patients: int | None = None,
    ) -> Estimate:
        """Make an estimate of a statistic's draws, the first of which is its value.

        One patient can only be drawn as it is, so a figure of one has no interval.
        """
        patients = len(self.patients) if patients is None else patients
        low, high = statistics.interval(draws[1:]) if patients > 1 else (math.nan, math.nan)
        reasons = {reason: int(n) for reason, n in left_out.items() if n}
        return Estimate(float(draws[0]), low, high, int(cases), of, unit, reasons, patients)

    def mean(
        self,
        values: FloatArray,
        owner: NDArray[np.intp],
        of: str,
        unit: str = '',
        left_out: Mapping[str, int] = {},
        statistic: Callable[..., FloatArray] = statistics.weighted_mean,
    ) -> Estimate:
        """Estimate a mean, or another statistic, of those values that are not nan."""
        defined = ~np.isnan(values)
        draws = statistic(self.weights, values, owner)
        patients = len(np.unique(owner[defined]))
        return self.estimate(draws, int(defined.sum()), of, unit, left_out, patients)

    def ratio(
        self,
        numerator: FloatArray,
        denominator: FloatArray,
        cases: int,
        of: str,
        left_out: Mapping[str, int] = {},
    ) -> Estimate:
        """Estimate a ratio of two sums over patients, both of shape (P,)."""
        draws = statistics.weighted_ratio(self.weights, numerator, denominator)
        return self.estimate(draws, cases, of, '', left_out, int(np.count_nonzero(denominator)))
