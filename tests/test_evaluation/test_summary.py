"""The figures of a run: by hand, recomputed independently, and whatever the order of slices."""

import dataclasses
import math

import numpy as np
import pytest
from sklearn import metrics

from cranium.errors import CraniumError
from cranium.evaluation import summary
from cranium.evaluation.cohort import Cohort
from cranium.evaluation.records import slice_table

from .slices import LITERAL, record, simulated, without_scores


def cohort_of(rows, replicates=50):
    return Cohort(slice_table(rows), replicates)


def figures_of(rows, *args, replicates=50, **options):
    figures, failures = summary.summarize(cohort_of(rows, replicates), *args, **options)
    assert not failures
    return figures


def value(figures, name):
    return figures[name].value


class TestLiteral:
    @pytest.fixture
    def figures(self):
        return figures_of(LITERAL, leave_out=['050'], replicates=100)

    def test_pixels_are_pooled(self, figures):
        assert value(figures, 'pixel/dice_hemorrhage') == 18 / 35
        assert value(figures, 'pixel/iou_hemorrhage') == 9 / 26
        assert value(figures, 'pixel/acc_background') == 500 / 505
        pixel = {n.removeprefix('pixel/') for n in figures if n.startswith('pixel/')}
        classes = ('background', 'hemorrhage')
        assert pixel == {f'{m}_{c}' for m in ('iou', 'dice', 'acc') for c in classes} | {
            'precision_hemorrhage'
        }
        assert value(figures, 'mIoU') == pytest.approx(50 * (9 / 26 + 500 / 517))
        assert value(figures, 'aAcc') == pytest.approx(100 * 509 / 526)

    def test_slices_with_hemorrhage(self, figures):
        figure = figures['slice/dice_mean']
        assert figure.value == pytest.approx((2 / 3 + 0 + 1) / 3)
        assert figure.cases == 3 and figure.left_out == {'no hemorrhage': 2}
        assert value(figures, 'slice/dice_median') == pytest.approx(2 / 3)
        precision = figures['slice/precision_mean']
        assert precision.value == pytest.approx((4 / 6 + 1) / 2)
        assert precision.left_out == {'no hemorrhage': 2, 'nothing predicted': 1}

    def test_patients(self, figures):
        assert value(figures, 'patient/authors_dice') == pytest.approx((1 / 3 + 1) / 2)
        assert figures['patient/authors_dice'].left_out == {'no hemorrhage': 1}
        without = figures['patient/authors_dice_without_050']
        assert without.value == pytest.approx(1 / 3)
        assert without.left_out == {'no hemorrhage': 1, 'left out on request': 1}
        assert value(figures, 'patient/volume_dice_mean') == pytest.approx((8 / 22 + 1) / 2)
        assert value(figures, 'patient/volume_error') == pytest.approx((-10 + 0 + 3) / 3)
        assert value(figures, 'patient/volume_error_absolute') == pytest.approx(13 / 3)
        assert 'patient/volume_error_ml' not in figures

    def test_detection(self, figures):
        # Slices: positives 0.9, 0.2, 0.8; negatives 0.1, 0.5. Patients: 0.9, 0.8; 0.5.
        assert value(figures, 'detection/slice_auc') == pytest.approx(5 / 6)
        assert value(figures, 'detection/patient_auc') == 1
        assert value(figures, 'detection/slice_sensitivity_mask') == pytest.approx(2 / 3)
        assert value(figures, 'detection/slice_specificity_mask') == 0.5
        assert value(figures, 'detection/patient_specificity_mask') == 0
        assert 'detection/slice_sensitivity' not in figures

    def test_lesions(self, figures):
        assert value(figures, 'lesion/sensitivity') == 0.5
        assert figures['lesion/sensitivity'].cases == 4
        assert value(figures, 'lesion/sensitivity_small') == pytest.approx(2 / 3)
        assert value(figures, 'lesion/sensitivity_medium') == 0
        assert math.isnan(value(figures, 'lesion/sensitivity_large'))
        assert value(figures, 'lesion/precision') == 0
        assert value(figures, 'lesion/false_positives_per_slice') == 1 / 5
        assert value(figures, 'lesion/false_positives_per_patient') == pytest.approx(1 / 3)

    def test_types(self, figures):
        epidural = figures['type/epidural_dice_mean']
        assert epidural.value == 1 and epidural.cases == 1
        assert epidural.left_out == {'not in the diagnosis': 2}
        assert value(figures, 'type/epidural_sensitivity') == 1
        assert math.isnan(value(figures, 'type/subdural_dice_mean'))

    def test_a_figure_of_one_patient_has_no_interval(self, figures):
        alone = {name for name, figure in figures.items() if figure.patients == 1}
        assert {'lesion/precision', 'lesion/sensitivity_medium'} < alone
        assert {'type/epidural_dice_mean', 'type/epidural_sensitivity'} < alone
        assert all(math.isnan(figures[name].low) for name in alone)
        # Others have one, of which each draw is a value.
        figure = figures['patient/authors_dice']
        assert figure.patients == 2 and (figure.low, figure.high) == (1 / 3, 1)


def test_volumes_in_ml():
    rows = [{**row, 'unit': 'mm', 'pixel_volume': 0.5} for row in LITERAL]
    assert value(figures_of(rows), 'patient/volume_error_ml') == pytest.approx(-7 / 6)
    rows[0]['pixel_volume'] = np.nan
    figure = figures_of(rows)['patient/volume_error_absolute_ml']
    assert figure.value == 0.75 and figure.left_out == {'volume of a pixel unknown': 1}


def test_sizes_of_lesions_include_their_lower_bound():
    lesions = '499:1 500:1 1999:0 2000:1'
    rows = [record('049', 1, 1, 0, 0, true_lesions=lesions, predicted_lesions=lesions)]
    figures = summary.lesion_figures(cohort_of(rows))
    for name in ('sensitivity', 'precision'):
        of_sizes = [figures[f'lesion/{name}_{size}'] for size in ('small', 'medium', 'large')]
        assert [(figure.cases, figure.value) for figure in of_sizes] == [(1, 1), (2, 0.5), (1, 1)]
    assert value(figures, 'lesion/false_positives_per_slice_medium') == 1


@pytest.fixture(scope='module')
def cohort():
    return Cohort(simulated(), replicates=500)


@pytest.fixture(scope='module')
def figures(cohort):
    return summary.summarize(cohort)[0]


class TestIndependently:
    """What the summary says, computed again case by case."""

    @pytest.fixture
    def groups(self, cohort):
        rows = list(cohort.slices.itertuples())
        return {p: [row for row in rows if row.patient == p] for p in cohort.patients}

    def test_patients(self, groups, figures):
        of_patients, volumes = [], []
        for group in groups.values():
            if any(r.tp + r.fn for r in group):
                of_patients.append(np.mean([r.dice for r in group if r.tp + r.fn]))
                tp, wrong = sum(r.tp for r in group), sum(r.fp + r.fn for r in group)
                volumes.append(2 * tp / (2 * tp + wrong))
        assert value(figures, 'patient/authors_dice') == pytest.approx(np.mean(of_patients))
        assert value(figures, 'patient/volume_dice_median') == pytest.approx(np.median(volumes))

    def test_detection(self, cohort, figures):
        truth, score = cohort.slices.tp + cohort.slices.fn > 0, cohort.slices.score
        assert value(figures, 'detection/slice_auc') == pytest.approx(
            metrics.roc_auc_score(truth, score)
        )
        assert value(figures, 'detection/slice_average_precision') == pytest.approx(
            metrics.average_precision_score(truth, score)
        )

    def test_interval_of_the_authors_dice(self, cohort, groups, figures):
        """Draw the patients one by one."""
        means = []
        for row in cohort.weights[1:]:
            drawn = [p for p, times in zip(cohort.patients, row) for _ in range(int(times))]
            dice = [[r.dice for r in groups[p] if r.tp + r.fn] for p in drawn]
            means.append(np.mean([np.mean(d) for d in dice if d]))
        low, high = np.quantile(means, [0.025, 0.975])
        figure = figures['patient/authors_dice']
        assert (figure.low, figure.high) == pytest.approx((low, high))
        assert figure.low < figure.value < figure.high

    def test_the_order_of_slices_changes_no_digit(self, cohort, figures):
        shuffled = slice_table(cohort.slices.sample(frac=1, random_state=0))
        assert repr(summary.summarize(Cohort(shuffled, 500))[0]) == repr(figures)

    def test_names_of_patients_do_not_matter_to_values(self, cohort, figures):
        renamed = cohort.slices.assign(patient='9' + cohort.slices.patient)
        assert repr(summary.summarize(Cohort(renamed, 500))[0]) == repr(figures)


class TestScores:
    def test_without_log_odds_the_predicted_area_is_the_score(self):
        cohort = cohort_of(without_scores(LITERAL))
        figures = summary.summarize(cohort)[0]
        assert cohort.score_kind == 'area'
        # Areas: positives 6, 0, 5; negatives 0, 3.
        assert value(figures, 'detection/slice_auc') == pytest.approx(4.5 / 6)
        assert 'calibration/expected_error' not in figures

    def test_where_some_lack_one_the_other_figures_stand(self):
        rows = [*without_scores(LITERAL[:1]), *LITERAL[1:]]
        figures, whole = figures_of(rows), figures_of(LITERAL)
        scored = {f'detection/{x}_{y}' for x in ('slice', 'patient') for y in ('auc', 'average_')}
        for name, figure in figures.items():
            if any(name.startswith(prefix) for prefix in scored):
                assert math.isnan(figure.value)
                assert figure.left_out == {'without a score, so undefined': 1}
            else:
                assert repr(figure) == repr(whole[name])
        assert math.isnan(summary.choose_operating_point(cohort_of(rows)).slice)

    def test_probabilities_that_are_no_number_cost_calibration_only(self):
        rows = [{**row, 'calibration_gaps': '0.5 -0.5'} for row in LITERAL]
        # (|2 * 0.5| + |2 * -0.5|) of five slices and 526 pixels.
        assert value(figures_of(rows), 'calibration/expected_error') == pytest.approx(5 / 526)
        rows[0]['calibration_gaps'] = 'nan nan'
        figures = figures_of(rows)
        assert math.isnan(value(figures, 'calibration/expected_error'))
        assert value(figures, 'pixel/dice_hemorrhage') == 18 / 35


def test_a_defect_in_one_group_costs_no_other(monkeypatch, caplog):
    monkeypatch.setattr(summary, 'lesion_figures', lambda cohort: 1 / 0)
    figures, failures = summary.summarize(cohort_of(LITERAL))
    assert 'lesion/sensitivity' not in figures and 'calibration/expected_error' not in figures
    assert 'type/epidural_dice_mean' in figures and 'patient/authors_dice' in figures
    assert failures == [
        "The figures of lesions could not be computed (ZeroDivisionError('division by zero'))."
    ]
    assert 'Traceback' in caplog.text


class TestOperatingPoint:
    POINT = summary.OperatingPoint(0.5, 0.85, 'log-odds', 0.0, ('060',))

    def check(self, **changes):
        summary.check_operating_point(
            dataclasses.replace(self.POINT, **changes), cohort_of(LITERAL), 0.0
        )

    def test_a_score_reaches_the_threshold(self):
        self.check()
        figures = summary.detection_figures(cohort_of(LITERAL), self.POINT)
        assert value(figures, 'detection/slice_sensitivity') == pytest.approx(2 / 3)
        assert value(figures, 'detection/slice_specificity') == 0.5
        assert value(figures, 'detection/patient_sensitivity') == 0.5
        assert value(figures, 'detection/patient_specificity') == 1

    @pytest.mark.parametrize(
        ('changes', 'message'),
        [
            ({'patients': ('050', '060')}, r'tested here \(050\)'),
            ({'score': 'area'}, 'is for area .* scores are log-odds'),
            ({'slice': math.nan}, 'all or none have hemorrhage'),
            (
                {'score_smoothing': 1.5},
                r'score_smoothing=1\.5, but here scores are log-odds with 0',
            ),
        ],
    )
    def test_one_that_does_not_fit(self, changes, message):
        with pytest.raises(CraniumError, match=message):
            self.check(**changes)

    def test_choice(self):
        point = summary.choose_operating_point(cohort_of(LITERAL), 1.0)
        assert point == summary.OperatingPoint(0.8, 0.8, 'log-odds', 1.0, ('049', '050', '051'))
        assert math.isnan(summary.choose_operating_point(cohort_of(LITERAL[:1])).patient)


class TestExtremes:
    def test_no_pixel_counts_at_all(self):
        with pytest.raises(CraniumError, match='no pixel of any slice counts'):
            cohort_of([record('049', 1, 0, 0, 0, 0)])

    def test_no_hemorrhage_at_all(self):
        figures = figures_of(LITERAL[3:])
        for name in ('slice/dice_mean', 'patient/authors_dice', 'detection/slice_auc'):
            assert math.isnan(value(figures, name)) and math.isnan(figures[name].low)
        assert figures['patient/authors_dice'].left_out == {'no hemorrhage': 2}
        assert value(figures, 'mDice') == pytest.approx(50 * 400 / 403)

    def test_nothing_there_and_nothing_predicted(self):
        figures = figures_of(LITERAL[3:4])
        assert value(figures, 'mDice') == 100  # the class that is nowhere stays out, as in mmseg
        assert math.isnan(value(figures, 'pixel/dice_hemorrhage'))

    def test_mixed_units(self):
        with pytest.raises(CraniumError, match='spacing'):
            cohort_of([LITERAL[0], {**LITERAL[1], 'unit': 'mm'}])


def test_patient_table():
    rows = without_scores(LITERAL)
    rows[0]['predicted_lesions'] = '6:1 2:0'
    table = summary.patient_table(cohort_of(rows)).set_index('patient')
    assert table.loc['049', ['slices', 'hemorrhage_slices', 'tp', 'fp', 'fn']].tolist() == [
        *(2, 2, 4, 2, 12)
    ]
    assert table.loc['049', 'volume_dice'] == 8 / 22
    assert table['types'].tolist() == ['', 'Epidural', '']
    assert table['volume_error_px'].tolist() == [-10, 0, 3]
    lesions = table[['true_lesions', 'found_lesions', 'false_lesions']]
    assert lesions.to_numpy().tolist() == [[3, 1, 1], [1, 1, 0], [0, 0, 1]]
    # A healthy patient with a false positive has no Dice; without probabilities areas score.
    assert np.isnan(table.loc['051', ['volume_dice', 'authors_dice']].astype(float)).all()
    assert table['score'].tolist() == [6, 5, 3]
