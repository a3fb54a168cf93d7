"""Platt scaling: what makes probabilities of scores. Predictions use it as well, so it is light."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

# Log-odds beyond are as good as certain, and infinite ones have no fit.
_CERTAIN = 50.0


@dataclass(frozen=True)
class Calibration:
    """The probability that a score stands for, ``expit(slope * score + offset)``.

    J. Platt, in Advances in Large Margin Classifiers, 1999, pages 61-74.

    Args:
        slope (float): Above 0, so that the order of scores stays; the inverse of a temperature.
        offset (float): The log-odds that a score of 0 stands for.
    """

    slope: float
    offset: float

    def probability(self, score: ArrayLike) -> NDArray[np.float64]:
        """The probability of hemorrhage at a score, or at each of several."""
        found: NDArray[np.float64] = expit(self.slope * np.asarray(score, float) + self.offset)
        return found


def fit_calibration(truth: NDArray[np.bool_], score: NDArray[Any]) -> Calibration | None:
    """Fit by maximum likelihood to cases that all count alike.

    As Platt does, a positive counts as ``(n + 1) / (n + 2)`` of one where there are n of them, and
    a negative likewise: as if one more of either had been seen on the other side. So there is a fit
    even where scores tell all cases apart, and few cases never make it certain.

    Args:
        truth (ndarray): (n,), whether there is hemorrhage.
        score (ndarray): (n,), log-odds.

    Returns:
        Calibration | None: None where a class is missing, a score is nan or all are the same, or
        where hemorrhage is not the more frequent the higher the score.
    """
    from sklearn.linear_model import LogisticRegression

    score = np.clip(score, -_CERTAIN, _CERTAIN)
    positives = int(np.count_nonzero(truth))
    negatives = len(truth) - positives
    if not (positives and negatives) or np.isnan(score).any() or np.ptp(score) == 0:
        return None
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    mean, spread = float(score.mean()), float(score.std())
    # Each case is positive with the weight of its target, and negative with the rest.
    model = LogisticRegression(C=np.inf, solver='newton-cholesky', tol=1e-8).fit(
        np.tile((score - mean) / spread, 2)[:, None],
        np.repeat([1, 0], len(score)),
        np.concatenate([target, 1 - target]),
    )
    slope = float(model.coef_[0, 0]) / spread
    return Calibration(slope, float(model.intercept_[0]) - slope * mean) if slope > 0 else None
