"""Evaluating a table of slices, and the files of a run."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from cranium.errors import CraniumError
from cranium.evaluation import estimate, records, results
from cranium.evaluation.estimate import Estimate

from .slices import LITERAL, record, simulated, without_scores


def warnings_of(rows, **options):
    return '\n'.join(results.evaluate(rows, **{'replicates': 5} | options).warnings)


class TestEvaluate:
    def test_slices_without_a_pixel_that_counts_are_left_out(self):
        nothing = [record('049', 9, 0, 0, 0, 0), record('077', 1, 0, 0, 0, 0)]
        found = results.evaluate([*LITERAL, *nothing], replicates=50)
        assert repr(found.figures) == repr(results.evaluate(LITERAL, replicates=50).figures)
        assert found.cases['slices'] == len(found.slices) == 5 and found.cases['patients'] == 3
        assert any(warning.startswith('2 slices were left out') for warning in found.warnings)

    def test_patients_to_leave_out_by_number_and_those_that_are_nobody(self):
        found = results.evaluate(LITERAL, leave_out=[50, '70'], replicates=5)
        assert 'patient/authors_dice_without_050' in found.figures
        assert found.options['left_out_patients'] == ['050', '070']
        assert any('to leave out, 070 are not among' in warning for warning in found.warnings)

    def test_a_model_that_finds_nothing_is_named(self):
        nothing = [{**row, 'tp': 0, 'fp': 0, 'fn': row['fn'] + row['tp']} for row in LITERAL]
        assert 'finds no hemorrhage' in warnings_of(nothing)
        assert 'finds no hemorrhage' not in warnings_of(LITERAL)

    def test_few_patients_and_no_threshold(self):
        text = warnings_of(LITERAL)
        assert 'Only 2 patients with hemorrhage' in text and 'chosen on validation patients' in text

    def test_figures_of_one_patient(self):
        assert re.search('[0-9]+ figures rest on a single patient', warnings_of(LITERAL))
        assert 'single patient' not in warnings_of(LITERAL, replicates=0)  # no intervals at all

    def test_scores_and_probabilities_that_are_not_known(self):
        rows = [*without_scores(LITERAL[:1]), *LITERAL[1:]]
        rows[1] = {**rows[1], 'calibration_gaps': 'nan nan'}
        text = warnings_of(rows)
        assert '1 slices have no log-odds of hemorrhage but others have, first 049_001' in text
        assert '1 slices have probabilities that are not a number, first 049_002' in text

    def test_types(self):
        assert 'does not know 2 of the slices' in warnings_of(LITERAL)
        assert 'No figures by hemorrhage type' in warnings_of(LITERAL[:2])

    def test_scores_are_smoothed_along_the_scan(self):
        found = results.evaluate(LITERAL, score_smoothing=1.0, replicates=5)
        assert found.options['score_smoothing'] == found.operating_point.score_smoothing == 1
        assert found.slices['score_raw'].tolist() == [0.9, 0.2, 0.8, 0.1, 0.5]
        assert found.slices['score'][0] == pytest.approx((0.9 + 0.6065 * 0.2) / 1.6065, abs=1e-4)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    found = results.evaluate(
        simulated(), replicates=200, provenance={'model': 'none'}, score_smoothing=0.5
    )
    results.write_results(found, folder / 'evaluation')
    return found, folder


class TestFiles:
    def test_reading_gives_back_what_was_written(self, run):
        found, folder = run
        read = results.read_results(folder)
        pd.testing.assert_frame_equal(read.slices, found.slices, check_exact=True)
        for name in set(vars(found)) - {'slices'}:
            assert repr(getattr(read, name)) == repr(getattr(found, name))

    def test_json_has_null_for_undefined(self, run):
        _, folder = run
        text = (folder / 'evaluation/summary.json').read_text()
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
        again = results.evaluate(
            records.read_slices(folder / 'evaluation/slices.csv'),
            replicates=200,
            score_smoothing=0.5,
        )
        assert repr(again.figures) == repr(found.figures)

    def test_a_person_can_read_slices_csv(self, tmp_path):
        results.write_results(results.evaluate(LITERAL, replicates=5), tmp_path)
        header, *_, healthy, _ = (tmp_path / 'slices.csv').read_text().splitlines()
        cells = dict(zip(header.split(','), healthy.split(',')))
        assert (cells['patient'], cells['slice'], cells['dice']) == ('050', '2', '')
        assert cells['specificity'] == '1.0'

    def test_patients_csv(self, run):
        found, folder = run
        table = pd.read_csv(folder / 'evaluation/patients.csv', dtype={'patient': str})
        dice = found.figures['patient/authors_dice'].value
        assert table['authors_dice'].mean() == pytest.approx(dice)
        assert table['true_lesions'].sum() == found.figures['lesion/sensitivity'].cases
        assert table['patient'].tolist()[:2] == ['000', '001']

    def test_a_summary_stands_for_a_whole_run(self, run, tmp_path, monkeypatch):
        found, _ = run
        results.write_results(found, tmp_path)

        def killed(*args):
            raise KeyboardInterrupt

        monkeypatch.setattr(results, 'patient_table', killed)
        with pytest.raises(KeyboardInterrupt):
            results.write_results(found, tmp_path)
        assert not (tmp_path / 'summary.json').exists()

    def test_operating_point_is_read_for_other_patients(self, run):
        found, folder = run
        point = results.read_operating_point(folder / 'evaluation/summary.json')
        assert point == found.operating_point
        others = simulated(seed=1)
        others['patient'] = 'x' + others['patient']
        options = {'operating_point': point, 'replicates': 20}
        tested = results.evaluate(others, score_smoothing=0.5, **options)
        assert 'detection/patient_sensitivity' in tested.figures
        assert tested.used_operating_point == point
        with pytest.raises(CraniumError, match='tested here'):
            results.evaluate(simulated(), score_smoothing=0.5, **options)
        with pytest.raises(CraniumError, match=r'score_smoothing=0\.5, but here .* with 0'):
            results.evaluate(others, **options)

    @pytest.mark.parametrize('text', ['{', '[]', '{"figures": {"a": {"b": 1}}}', '{"figures": {}}'])
    def test_other_json(self, tmp_path, text):
        (tmp_path / 'summary.json').write_text(text)
        with pytest.raises(CraniumError, match=r'summary\.json: not a summary'):
            results.read_summary(tmp_path / 'summary.json')

    @pytest.mark.parametrize(
        ('change', 'missing'),
        [
            (lambda summary: summary.pop('warnings'), 'warnings'),
            (lambda summary: summary['operating_point'].pop('patients'), 'patients'),
            (lambda summary: summary['operating_point'].pop('score_smoothing'), 'score_smoothing'),
            (lambda summary: summary.update(operating_point=None), 'NoneType'),
        ],
    )
    def test_what_is_missing_is_named(self, run, tmp_path, change, missing):
        _, folder = run
        written = json.loads((folder / 'evaluation/summary.json').read_text())
        change(written)
        (tmp_path / 'summary.json').write_text(json.dumps(written))
        with pytest.raises(CraniumError, match=rf'not a summary .*{missing}') as caught:
            results.read_summary(tmp_path / 'summary.json')
        assert '\n' not in str(caught.value)


class TestFind:
    @staticmethod
    def place(folder, *places):
        for place in places:
            (folder / place).mkdir(parents=True, exist_ok=True)
            (folder / place / 'summary.json').touch()

    @pytest.mark.parametrize('place', ['', 'evaluation', 'test/evaluation', 'pooled'])
    def test_where_runs_write_them(self, tmp_path, place):
        self.place(tmp_path, place)
        assert results.find_results(tmp_path) == tmp_path / place

    def test_the_folder_itself_comes_first(self, tmp_path):
        self.place(tmp_path, '', 'evaluation', 'a/evaluation')
        assert results.find_results(tmp_path) == tmp_path

    def test_a_cross_validation_is_its_pool_and_never_a_fold(self, tmp_path):
        self.place(tmp_path, 'fold_0/test/evaluation')
        with pytest.raises(CraniumError, match=r'Name one of .*fold_0/test/evaluation'):
            results.find_results(tmp_path)
        self.place(tmp_path, 'fold_1/test/evaluation', 'pooled')
        assert results.find_results(tmp_path) == tmp_path / 'pooled'

    def test_several(self, tmp_path):
        self.place(tmp_path, 'evaluation', 'test/evaluation', 'x/evaluation')
        expected = f'Name one of {tmp_path}/evaluation, {tmp_path}/test/evaluation$'
        with pytest.raises(CraniumError, match=expected):
            results.find_results(tmp_path)

    def test_none(self, tmp_path):
        with pytest.raises(CraniumError, match=r'no summary\.json; make one with mim test'):
            results.read_results(tmp_path)


class TestFormat:
    FIGURE = Estimate(0.5, 0.25, 0.75, 3, 'slices', '', {'no hemorrhage': 2}, 2)
    UNDEFINED = Estimate(math.nan, math.nan, math.nan, 0, 'slices', 'px')

    def test_table(self):
        header, _, first, second = estimate.format_table(
            {'a/b': self.FIGURE, 'c': self.UNDEFINED}
        ).splitlines()
        cells = [cell.strip() for cell in first.split('|')]
        assert cells[1:3] == ['a/b', '0.500 [0.250, 0.750]']
        assert cells[4] == '3 slices; left out: 2 no hemorrhage'
        assert [cell.strip() for cell in second.split('|')][1:-1] == ['c', '-', 'px', '0 slices']
        assert header.startswith('| figure')

    def test_one_patient(self):
        alone = Estimate(0.5, np.nan, np.nan, 3, 'slices', '', {}, 1)
        assert estimate.format_estimate(alone) == '0.500'
        assert estimate.format_cases(alone) == '3 slices (one patient: no interval)'

    def test_units(self):
        of_unit = Estimate(5, 3, 8, 1, 'slices', 'px')
        assert estimate.format_with_unit(of_unit) == '5.00 [3.00, 8.00] px'
        assert estimate.format_with_unit(self.UNDEFINED) == '-'
