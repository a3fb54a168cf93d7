"""The fit of probabilities to scores: by hand, and beside SciPy's and scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from cranium.evaluation.platt import Calibration, fit_calibration


def cases(seed=0, number=400):
    """Scores twice as far apart as the log-odds that they mean, and 4 too high."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-2, 2, number)
    return rng.random(number) < expit(log_odds), 2 * log_odds + 4


def test_by_hand():
    """At 5 there are two positives: 3 / 4, log-odds ln 3. At 1 two negatives: 1 / 4, -ln 3."""
    found = fit_calibration(np.array([True, True, False, False]), np.array([5.0, 5, 1, 1]))
    assert found.slope == pytest.approx(2 * np.log(3) / 4)
    assert found.offset == pytest.approx(-np.log(3) - found.slope)
    assert found.probability([5, 1]) == pytest.approx([0.75, 0.25])
    assert Calibration(1.0, 0.0).probability(np.log(3)) == pytest.approx(0.75)


def test_the_likelihood_of_platts_targets_is_highest():
    truth, score = cases()
    positives, negatives = truth.sum(), (~truth).sum()
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters):
        log_odds = parameters[0] * score + parameters[1]
        return np.sum(np.logaddexp(0, log_odds) - target * log_odds)

    best = optimize.minimize(loss, [1.0, 0.0], tol=1e-10).x
    found = fit_calibration(truth, score)
    assert (found.slope, found.offset) == pytest.approx(tuple(best), rel=1e-4)
    assert (found.slope, found.offset) == pytest.approx((0.5, -2), abs=0.3)  # as they were made


def test_probabilities_are_those_of_scikit_learn():
    truth, score = cases(seed=1, number=60)
    as_is = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    as_is.coef_[:], as_is.intercept_[:] = 1.0, 0.0  # its decision function is the score
    theirs = CalibratedClassifierCV(FrozenEstimator(as_is), method='sigmoid')
    theirs.fit(score[:, None], truth)
    expected = theirs.predict_proba(score[:, None])[:, 1]
    assert fit_calibration(truth, score).probability(score) == pytest.approx(expected, abs=1e-4)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(-30, 30).map(lambda score: round(score, 2))),
        min_size=2,
        max_size=30,
    )
)
def test_the_order_of_scores_stays(drawn):
    truth, score = (np.array(column) for column in zip(*drawn))
    found = fit_calibration(truth, score)
    if found is not None:
        assert found.slope > 0 and np.isfinite([found.slope, found.offset]).all()
        assert (np.diff(found.probability(np.sort(score))) >= 0).all()


def test_no_fit():
    truth, score = np.array([True, False]), np.array([1.0, 2.0])
    assert fit_calibration(truth, score) is None  # the higher, the less hemorrhage
    assert fit_calibration(~truth, score) is not None
    assert fit_calibration(~truth, np.array([np.nan, 2.0])) is None
    assert fit_calibration(np.array([True, True]), score) is None
    assert fit_calibration(truth, np.array([2.0, 2.0])) is None
    assert fit_calibration(np.zeros(0, bool), np.zeros(0)) is None


def test_scores_of_certainty_do_not_break_the_fit():
    most = float(np.finfo(np.float32).max)
    assert fit_calibration(np.array([True, False]), np.array([most, 99])) is None
    found = fit_calibration(np.array([True, True, False, False]), np.array([most, 3, -most, 0]))
    assert 0 <= found.probability(-most) < found.probability(3) < found.probability(most) <= 1
