"""The figures of a run: by hand, recomputed independently, and whatever the order of slices."""

import csv
import json
import math
import random

import numpy as np
import pytest
from sklearn import metrics

from cranium.evaluation import records, results, summary

from .masks import blobs, perturbed


def record(patient, slice, tp, fp, fn, tn=100, **fields):
    return records.SliceRecord(patient, slice, tp, fp, fn, tn, **fields)


# Two patients with hemorrhage and one without.
LITERAL = [
    record('049', 1, 4, 2, 2, score=0.9, true_lesions=((6, True),)),  # Dice 2/3
    record('049', 2, 0, 0, 10, score=0.2, true_lesions=((4, False), (600, False))),  # Dice 0
    record('050', 1, 5, 0, 0, score=0.8, true_lesions=((5, True),), types=('Epidural',)),  # 1
    record('050', 2, 0, 0, 0, score=0.1, types=()),
    record('051', 1, 0, 3, 0, score=0.5, predicted_lesions=((3, False),), types=()),
]


def simulated(num_patients=12, slices=6, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for patient in range(num_patients):
        for number in range(slices):
            truth = blobs(rng, share=0.05) * (patient % 2 == 0 and number % 3 > 0)
            prediction = perturbed(rng, truth) if rng.random() < 0.9 else 0 * truth
            noise = rng.random(truth.shape)
            made.append(
                records.measure_slice(
                    truth,
                    prediction,
                    np.clip(0.7 * prediction + 0.3 * noise, 0, 1),
                    patient=f'{patient:03d}',
                    slice=number,
                    types=('Subdural',) if truth.any() else (),
                )
            )
    return made


@pytest.fixture(scope='module')
def cohort():
    return summary.Cohort(simulated(), replicates=500)


@pytest.fixture(scope='module')
def figures(cohort):
    return summary.summarize(cohort)


def value(figures, name):
    return figures[name].value


class TestLiteral:
    @pytest.fixture
    def figures(self):
        return summary.summarize(summary.Cohort(LITERAL, replicates=100), leave_out=['050'])

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
        assert value(figures, 'lesion/false_positives_per_slice') == 1 / 5
        assert value(figures, 'lesion/false_positives_per_patient') == pytest.approx(1 / 3)

    def test_types(self, figures):
        epidural = figures['type/epidural_dice_mean']
        assert epidural.value == 1 and epidural.cases == 1
        assert epidural.left_out == {'not in the diagnosis': 2}
        assert math.isnan(value(figures, 'type/subdural_dice_mean'))


def test_sizes_of_lesions_include_their_lower_bound():
    sizes = [499, 500, 1999, 2000]
    made = [record('049', 1, 1, 0, 0, true_lesions=tuple((size, True) for size in sizes))]
    figures = summary.lesion_figures(summary.Cohort(made, 10))
    cases = [figures[f'lesion/sensitivity_{size}'].cases for size in ('small', 'medium', 'large')]
    assert cases == [1, 2, 1]


class TestIndependently:
    """What the summary says, computed again case by case."""

    def test_patients(self, cohort, figures):
        of_patients, volumes = [], []
        for patient in set(cohort.patients):
            group = [r for r in cohort.records if r.patient == patient]
            if any(r.hemorrhage for r in group):
                of_patients.append(np.mean([r.dice for r in group if r.hemorrhage]))
                tp, wrong = sum(r.tp for r in group), sum(r.fp + r.fn for r in group)
                volumes.append(2 * tp / (2 * tp + wrong))
        assert value(figures, 'patient/authors_dice') == pytest.approx(np.mean(of_patients))
        assert value(figures, 'patient/volume_dice_median') == pytest.approx(np.median(volumes))

    def test_detection(self, cohort, figures):
        truth = [r.hemorrhage for r in cohort.records]
        score = [r.score for r in cohort.records]
        assert value(figures, 'detection/slice_auc') == pytest.approx(
            metrics.roc_auc_score(truth, score)
        )
        assert value(figures, 'detection/slice_average_precision') == pytest.approx(
            metrics.average_precision_score(truth, score)
        )

    def test_interval_of_the_authors_dice(self, cohort, figures):
        """Draw the patients one by one."""
        groups = {p: [r for r in cohort.records if r.patient == p] for p in cohort.patients}
        means = []
        for row in cohort.weights[1:]:
            drawn = [p for p, times in zip(cohort.patients, row) for _ in range(int(times))]
            dice = [[r.dice for r in groups[p] if r.hemorrhage] for p in drawn]
            means.append(np.mean([np.mean(d) for d in dice if d]))
        low, high = np.quantile(means, [0.025, 0.975])
        figure = figures['patient/authors_dice']
        assert (figure.low, figure.high) == pytest.approx((low, high))
        assert figure.low < figure.value < figure.high


def test_the_order_of_slices_changes_no_digit(cohort, figures):
    shuffled = list(cohort.records)
    random.Random(0).shuffle(shuffled)
    assert repr(summary.summarize(summary.Cohort(shuffled, replicates=500))) == repr(figures)


def test_names_of_patients_do_not_matter_to_values(cohort, figures):
    renamed = [records.replace(r, patient=f'9{r.patient}') for r in cohort.records]
    assert repr(summary.summarize(summary.Cohort(renamed, replicates=500))) == repr(figures)


class TestWithoutProbabilities:
    def test_the_predicted_area_is_the_score(self):
        made = [records.replace(r, score=math.nan) for r in LITERAL]
        cohort = summary.Cohort(made, replicates=10)
        figures = summary.summarize(cohort)
        assert cohort.score_kind == 'area'
        # Areas: positives 6, 0, 5; negatives 0, 3.
        assert value(figures, 'detection/slice_auc') == pytest.approx(4.5 / 6)
        assert 'calibration/expected_error' not in figures

    def test_some_with_and_some_without(self):
        made = [records.replace(LITERAL[0], score=math.nan), *LITERAL[1:]]
        with pytest.raises(ValueError, match='049_001 has no log-odds'):
            summary.summarize(summary.Cohort(made, replicates=10))


class TestOperatingPoint:
    POINT = summary.OperatingPoint(0.5, 0.85, 'log-odds', ('060',))

    def test_a_score_reaches_the_threshold(self, cohort):
        figures = summary.detection_figures(summary.Cohort(LITERAL, 10), self.POINT)
        assert value(figures, 'detection/slice_sensitivity') == pytest.approx(2 / 3)
        assert value(figures, 'detection/slice_specificity') == 0.5
        assert value(figures, 'detection/patient_sensitivity') == 0.5
        assert value(figures, 'detection/patient_specificity') == 1

    def test_chosen_on_tested_patients(self):
        point = records.replace(self.POINT, patients=('050', '060'))
        with pytest.raises(ValueError, match=r'tested here \(050\)'):
            summary.detection_figures(summary.Cohort(LITERAL, 10), point)

    def test_chosen_on_another_score(self):
        point = records.replace(self.POINT, score='area')
        with pytest.raises(ValueError, match='scored by log-odds'):
            summary.detection_figures(summary.Cohort(LITERAL, 10), point)

    def test_an_undefined_one_is_no_threshold(self):
        undefined = summary.choose_operating_point(summary.Cohort(LITERAL[:1], 10))
        point = records.replace(undefined, patients=('900',))
        with pytest.raises(ValueError, match='all or none have hemorrhage'):
            summary.detection_figures(summary.Cohort(LITERAL, 10), point)

    def test_choice(self):
        point = summary.choose_operating_point(summary.Cohort(LITERAL, 10))
        assert (point.slice, point.patient) == (0.8, 0.8)
        assert point.patients == ('049', '050', '051')


class TestExtremes:
    def test_slices_without_a_pixel_that_counts_are_left_out(self):
        nothing = [record('049', 9, 0, 0, 0, 0), record('077', 1, 0, 0, 0, 0)]
        found = results.evaluate([*LITERAL, *nothing], replicates=50)
        assert repr(found.figures) == repr(results.evaluate(LITERAL, replicates=50).figures)
        assert found.cases['slices'] == 5 and found.cases['patients'] == 3
        assert any(warning.startswith('2 slices were left out') for warning in found.warnings)

    def test_no_pixel_counts_at_all(self):
        with pytest.raises(ValueError, match='no pixel of any slice counts'):
            summary.Cohort([record('049', 1, 0, 0, 0, 0)])

    def test_no_hemorrhage_at_all(self):
        figures = summary.summarize(summary.Cohort([LITERAL[3], LITERAL[4]], 50))
        for name in ('slice/dice_mean', 'patient/authors_dice', 'detection/slice_auc'):
            assert math.isnan(value(figures, name)) and math.isnan(figures[name].low)
        assert figures['patient/authors_dice'].left_out == {'no hemorrhage': 2}
        assert value(figures, 'mDice') == pytest.approx(50 * 400 / 403)

    def test_nothing_there_and_nothing_predicted(self):
        figures = summary.summarize(summary.Cohort([LITERAL[3]], 50))
        assert value(figures, 'mDice') == 100  # the class that is nowhere stays out, as in mmseg
        assert math.isnan(value(figures, 'pixel/dice_hemorrhage'))

    def test_one_patient_has_no_interval(self):
        figure = summary.summarize(summary.Cohort(LITERAL[:2], 50))['slice/dice_mean']
        assert figure.value == pytest.approx(1 / 3) and math.isnan(figure.low)

    def test_no_records(self):
        with pytest.raises(ValueError, match='no slices'):
            summary.Cohort([])

    def test_a_slice_twice(self):
        with pytest.raises(ValueError, match='more than once'):
            summary.Cohort([LITERAL[0], LITERAL[0]])

    def test_mixed_units(self):
        with pytest.raises(ValueError, match='spacing'):
            summary.Cohort([LITERAL[0], records.replace(LITERAL[1], unit='mm')])


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    found = results.evaluate(simulated(), replicates=200, provenance={'model': 'none'})
    results.write_results(found, folder / 'test')
    return found, folder


def test_a_model_that_finds_nothing_is_named():
    nothing = [records.replace(r, tp=0, fp=0, fn=r.fn + r.tp) for r in LITERAL]
    assert any('finds no hemorrhage' in w for w in results.evaluate(nothing, replicates=5).warnings)
    found = results.evaluate(LITERAL, replicates=5).warnings
    assert not any('finds no hemorrhage' in warning for warning in found)


def test_patients_to_leave_out_by_number_and_those_that_are_nobody():
    found = results.evaluate(LITERAL, leave_out=[50, '70'], replicates=5)
    assert 'patient/authors_dice_without_050' in found.figures
    assert found.options['left_out_patients'] == ['050', '070']
    assert any('to leave out, 070 are not among' in warning for warning in found.warnings)


class TestFiles:
    def test_reading_gives_back_what_was_written(self, run):
        found, folder = run
        assert repr(results.read_results(folder)) == repr(found)

    def test_json_has_null_for_undefined(self, run):
        _, folder = run
        text = (folder / 'test/summary.json').read_text()
        parsed = json.loads(text, parse_constant=lambda name: pytest.fail(f'{name} in JSON'))
        assert parsed['figures']['type/epidural_dice_mean']['value'] is None
        assert parsed['cases'] == {
            'slices': 72,
            'hemorrhage_slices': 24,
            'patients': 12,
            'hemorrhage_patients': 6,
        }

    def test_every_figure_follows_from_slices_csv_alone(self, run):
        found, folder = run
        again = results.evaluate(records.read_slices(folder / 'test/slices.csv'), replicates=200)
        assert repr(again.figures) == repr(found.figures)

    def test_patients_csv(self, run):
        found, folder = run
        header, *rows = (folder / 'test/patients.csv').read_text().splitlines()
        table = [dict(zip(header.split(','), row.split(','))) for row in rows]
        dice = [float(row['authors_dice']) for row in table if row['authors_dice']]
        assert np.mean(dice) == pytest.approx(value(found.figures, 'patient/authors_dice'))
        assert sum(int(row['true_lesions']) for row in table) == (
            found.figures['lesion/sensitivity'].cases
        )

    def test_patients_csv_says_what_the_summary_says(self, tmp_path):
        made = [records.replace(r, score=math.nan) for r in LITERAL]
        results.write_results(results.evaluate(made, replicates=5), tmp_path)
        with open(tmp_path / 'patients.csv', newline='') as lines:
            table = {row['patient']: row for row in csv.DictReader(lines)}
        # A healthy patient with a false positive has no Dice; without probabilities areas score.
        assert table['051']['volume_dice'] == table['051']['authors_dice'] == ''
        assert [float(table[p]['score']) for p in ('049', '050', '051')] == [6, 5, 3]
        assert float(table['049']['volume_dice']) == 8 / 22

    def test_warnings(self, run):
        found, _ = run
        assert any('Only 6 patients with hemorrhage' in warning for warning in found.warnings)
        assert any('chosen on validation patients' in warning for warning in found.warnings)

    def test_operating_point_is_read_for_other_patients(self, run):
        found, folder = run
        point = results.read_operating_point(folder / 'test/summary.json')
        assert point == found.operating_point
        others = [records.replace(r, patient='x' + r.patient) for r in simulated(seed=1)]
        tested = results.evaluate(others, operating_point=point, replicates=20)
        assert 'detection/patient_sensitivity' in tested.figures
        with pytest.raises(ValueError, match='tested here'):
            results.evaluate(simulated(), operating_point=point, replicates=20)

    def test_no_results(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='mim test'):
            results.read_results(tmp_path)

    @pytest.mark.parametrize('text', ['{', '[]', '{"figures": {"a": {"b": 1}}}', '{"figures": {}}'])
    def test_other_json(self, tmp_path, text):
        (tmp_path / 'summary.json').write_text(text)
        with pytest.raises(ValueError, match=r'summary\.json: not a summary'):
            results.read_results(tmp_path)

    @pytest.mark.parametrize(
        ('change', 'missing'),
        [
            (lambda summary: summary.pop('warnings'), 'warnings'),
            (lambda summary: summary['operating_point'].pop('patients'), 'patients'),
            (lambda summary: summary['operating_point'].pop('slice'), 'slice'),
            (lambda summary: summary.update(operating_point=None), 'NoneType'),
        ],
    )
    def test_what_is_missing_is_named(self, run, tmp_path, change, missing):
        _, folder = run
        written = json.loads((folder / 'test/summary.json').read_text())
        change(written)
        (tmp_path / 'summary.json').write_text(json.dumps(written))
        for read in (results.read_results, results.read_summary):
            with pytest.raises(ValueError, match=rf'not a summary .*{missing}') as caught:
                read(tmp_path if read is results.read_results else tmp_path / 'summary.json')
            assert '\n' not in str(caught.value)


def test_table_shows_value_interval_and_what_was_left_out():
    figure = summary.Figure(0.5, 0.25, 0.75, 3, 'slices', '', {'no hemorrhage': 2})
    undefined = summary.Figure(math.nan, math.nan, math.nan, 0, 'slices')
    table = results.format_table({'a/b': figure, 'c': undefined}).splitlines()
    assert table[1].split()[:5] == ['a/b', '0.500', '[0.250,', '0.750]', '3']
    assert table[1].endswith('3 slices; left out: 2 no hemorrhage')
    assert table[2].split() == ['c', '-', '0', 'slices']
    assert results.format_with_unit(summary.Figure(5, 3, 8, 1, 'slices', 'px')) == (
        '5.00 [3.00, 8.00] px'
    )
    assert results.format_with_unit(records.replace(undefined, unit='px')) == '-'
    markdown = results.format_table({'a/b': figure}, markdown=True).splitlines()
    assert markdown[1] == '| --- | --- | --- | --- |' and markdown[2].startswith('| a/b | 0.500 [')
