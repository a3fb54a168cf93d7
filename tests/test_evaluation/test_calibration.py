"""How well probabilities agree with what is seen: by hand, and beside scikit-learn's figures."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn import calibration as theirs
from sklearn import metrics

from cranium.evaluation import calibration, statistics
from cranium.evaluation.cohort import Cohort
from cranium.evaluation.platt import Calibration, fit_calibration
from cranium.evaluation.records import slice_table

from .slices import LITERAL, record, without_scores


def cohort_of(rows, replicates=50):
    return Cohort(slice_table(rows), replicates)


def drawn(num_patients=40, slices=12, seed=0):
    """Patients whose slices bleed as often as their score less 3 says."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(num_patients):
        scores = rng.normal(rng.normal(0, 2), 1, slices)
        for number, score in enumerate(scores):
            bleeds = int(rng.random() < expit(score - 3))
            rows.append(record(f'{patient:03d}', number, bleeds, 0, 0, score_raw=score))
    return rows


@pytest.fixture(scope='module')
def cohort():
    return cohort_of(drawn(), replicates=200)


FOLD_OF = {f'{patient:03d}': patient % 3 for patient in range(40)}


class TestByHand:
    """Patient 049 bleeds on one of two slices, 050 on none."""

    ROWS = (
        record('049', 1, 4, 0, 0, score_raw=logit(0.8)),
        record('049', 2, 0, 0, 0, score_raw=logit(0.5)),
        record('050', 1, 0, 0, 0, score_raw=logit(0.4)),
    )

    def test_scores_as_log_odds(self):
        figures = calibration.score_calibration_figures(cohort_of(self.ROWS))
        found = {name.removeprefix('calibration/'): figure for name, figure in figures.items()}
        assert {name: round(figure.value, 12) for name, figure in found.items()} == {
            'slice_brier_uncalibrated': round((0.2**2 + 0.5**2 + 0.4**2) / 3, 12),
            'patient_brier_uncalibrated': round((0.2**2 + 0.4**2) / 2, 12),
            # Each case lies in a bin of its own.
            'slice_expected_error_uncalibrated': round((0.2 + 0.5 + 0.4) / 3, 12),
            'patient_expected_error_uncalibrated': round((0.2 + 0.4) / 2, 12),
        }
        brier = found['slice_brier_uncalibrated']
        assert (brier.cases, brier.of, brier.patients) == (3, 'slices', 2)
        # A draw of 050 alone, and one of 049 alone.
        assert (brier.low, brier.high) == pytest.approx((0.29 / 2, 0.16))
        error = found['slice_expected_error_uncalibrated']
        assert (error.low, error.high) == pytest.approx((0.7 / 2, 0.4))

    def test_each_patient_has_its_own_calibration(self):
        own = {
            'slice': {'049': Calibration(1.0, 0.0), '050': Calibration(1.0, -1.0)},
            'patient': {'049': Calibration(2.0, 0.0), '050': Calibration(1.0, 3.0)},
        }
        cohort = cohort_of(self.ROWS)
        found = calibration.probabilities(cohort, own)
        assert found['slice'] == pytest.approx([0.8, 0.5, expit(logit(0.4) - 1)])
        assert found['patient'] == pytest.approx([16 / 17, expit(logit(0.4) + 3)])
        figures = calibration.score_calibration_figures(cohort, own)
        assert figures['calibration/patient_brier'].value == pytest.approx(
            ((1 / 17) ** 2 + found['patient'][1] ** 2) / 2
        )
        assert len(figures) == 8
        del own['slice']
        assert len(calibration.score_calibration_figures(cohort, own)) == 6


def test_gaps_of_a_bin_offset_each_other():
    """Forty slices of 0.5, every second of which bleeds: one bin, and no error."""
    rows = [record('049', n, n % 2, 0, 0, score_raw=0.0) for n in range(40)]
    figures = calibration.score_calibration_figures(cohort_of(rows))
    assert figures['calibration/slice_expected_error_uncalibrated'].value == pytest.approx(0)
    assert figures['calibration/slice_brier_uncalibrated'].value == pytest.approx(0.25)


def test_figures_and_curve_are_those_of_scikit_learn(cohort):
    probability = calibration.probabilities(cohort)['slice']
    figures = calibration.score_calibration_figures(cohort)
    assert figures['calibration/slice_brier_uncalibrated'].value == pytest.approx(
        metrics.brier_score_loss(cohort.hemorrhage, probability)
    )
    found = calibration.reliability(cohort, 'slice', probability)
    observed, predicted = theirs.calibration_curve(
        cohort.hemorrhage, probability, n_bins=20, strategy='quantile'
    )
    assert found['observed'].tolist() == pytest.approx(observed.tolist())
    assert found['predicted'].tolist() == pytest.approx(predicted.tolist())
    assert found['cases'].tolist() == [24] * 20
    error = (found['cases'] * abs(found['observed'] - found['predicted'])).sum() / 480
    assert figures['calibration/slice_expected_error_uncalibrated'].value == pytest.approx(error)
    assert (found['low'] <= found['observed']).all() and (found['observed'] <= found['high']).all()
    assert (found['high'] - found['low']).max() > 0.1


def test_a_case_on_an_edge_lies_below_it_as_in_scikit_learn():
    """Of six patients in five bins, all edges are a patient's own."""
    cohort = cohort_of([record(f'05{n}', 1, n % 2, 0, 0, score_raw=n - 2.0) for n in range(6)])
    probability = calibration.probabilities(cohort)['patient']
    found = calibration.reliability(cohort, 'patient', probability)
    assert found['cases'].tolist() == [2, 1, 1, 1, 1]
    expected = theirs.calibration_curve(
        cohort.patient_hemorrhage, probability, n_bins=5, strategy='quantile'
    )
    assert found['observed'].tolist() == pytest.approx(expected[0].tolist())


def test_patients_are_binned_by_their_own_score(cohort):
    probability = calibration.probabilities(cohort)['patient']
    found = calibration.reliability(cohort, 'patient', probability)
    assert found['cases'].tolist() == [8] * 5
    lowest = np.argsort(probability)[:8]
    assert found['predicted'][0] == pytest.approx(probability[lowest].mean())
    assert found['observed'][0] == pytest.approx(cohort.patient_hemorrhage[lowest].mean())


def test_patients_do_not_enter_their_own_calibration(cohort):
    """Those of a fold are fitted to the others alone, whatever is known of its own."""
    found = calibration.calibrate_on_others(cohort, FOLD_OF)
    for fold in range(3):
        others = cohort_of([row for row in drawn() if FOLD_OF[row['patient']] != fold])
        expected = {
            'slice': fit_calibration(others.hemorrhage, others.score),
            'patient': fit_calibration(others.patient_hemorrhage, others.patient_score),
        }
        for level, fit in expected.items():
            for patient, number in FOLD_OF.items():
                assert (found[level][patient] == fit) == (number == fold)
    turned = [
        {**row, 'tp': 1 - row['tp'], 'score_raw': 7.0} if FOLD_OF[row['patient']] == 1 else row
        for row in drawn()
    ]
    again = calibration.calibrate_on_others(cohort_of(turned), FOLD_OF)
    for level in ('slice', 'patient'):
        assert again[level]['001'] == found[level]['001']
        assert again[level]['000'] != found[level]['000']


def test_calibration_pays_and_changes_no_order_within_a_fold(cohort):
    fits = calibration.calibrate_on_others(cohort, FOLD_OF)
    figures = calibration.score_calibration_figures(cohort, fits)
    for level in ('slice', 'patient'):
        for measure in ('brier', 'expected_error'):
            before = figures[f'calibration/{level}_{measure}_uncalibrated'].value
            assert figures[f'calibration/{level}_{measure}'].value < before / 2
    probability = calibration.probabilities(cohort, fits)['slice']
    for fold in range(3):
        here = np.array([FOLD_OF[patient] == fold for patient in cohort.patients])[cohort.owner]
        areas = [
            statistics.weighted_auc(
                np.ones((1, len(cohort.patients))),
                cohort.hemorrhage[here],
                ranked[here],
                cohort.owner[here],
            )
            for ranked in (cohort.score, probability)
        ]
        assert areas[0] == areas[1]


def test_an_offset_is_found_again(cohort):
    fits = calibration.fit_calibrations(cohort)
    assert fits['slice'].offset == pytest.approx(-3, abs=0.5)
    assert fits['slice'].slope == pytest.approx(1, abs=0.2)


def test_without_log_odds_there_is_nothing_to_calibrate():
    area = cohort_of(without_scores(LITERAL))
    assert calibration.fit_calibrations(area) == {}
    assert calibration.score_calibration_figures(area) == {}
    some = cohort_of([*without_scores(LITERAL[:1]), *LITERAL[1:]])
    assert calibration.fit_calibrations(some) == {}
    assert calibration.score_calibration_figures(some) == {}


def test_where_a_fold_cannot_be_fitted_none_is():
    # The others of fold 1 are 049, who bleeds on both slices; those of fold 2 are all.
    folds = {'049': 0, '050': 1, '051': 1}
    assert calibration.calibrate_on_others(cohort_of(LITERAL), folds) == {}
    assert calibration.calibrate_on_others(cohort_of(LITERAL), dict.fromkeys(folds, 0)) == {}
    # With a clean slice, 049's slices can be fitted; as a patient it is alone.
    rows = [*LITERAL, record('049', 3, 0, 0, 0, score_raw=0.1)]
    found = calibration.calibrate_on_others(cohort_of(rows), folds)
    assert found.keys() == {'slice'} and found['slice'].keys() == folds.keys()


def test_a_bin_is_none_where_cases_tie():
    rows = [record('049', n, n % 2, 0, 0, score_raw=float(n > 5)) for n in range(12)]
    cohort = cohort_of(rows)
    found = calibration.reliability(cohort, 'slice', calibration.probabilities(cohort)['slice'])
    expected = pd.DataFrame({'cases': [6, 6], 'predicted': [0.5, expit(1)], 'observed': 0.5})
    pd.testing.assert_frame_equal(found[list(expected)], expected)
