"""Measuring a slice, and its row in slices.csv."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from cranium.errors import CraniumError
from cranium.evaluation import records

TRUTH = np.zeros((6, 8), np.uint8)
TRUTH[1:3, 1:4] = 1
PREDICTION = np.zeros((6, 8), np.uint8)
PREDICTION[1:3, 2:5] = 1
PREDICTION[5, 7] = 1


def measure(truth=TRUTH, prediction=PREDICTION, probability=None, **about):
    return records.measure_slice(
        truth, prediction, probability, **{'patient': '049', 'slice': 7} | about
    )


class TestMeasureSlice:
    def test_literal(self):
        (row,) = records.slice_table([measure()]).itertuples()
        assert (row.patient, row.slice) == ('049', 7)
        assert (row.tp, row.fp, row.fn, row.tn) == (4, 3, 2, 39)
        assert row.dice == 8 / 13 and row.iou == 4 / 9 and row.volume_error == 1
        assert (row.precision, row.sensitivity, row.specificity) == (4 / 7, 4 / 6, 39 / 42)
        assert row.true_lesions == '6:1' and row.predicted_lesions == '6:1 1:0'
        # From the truth 1 1 0 0 0 0 (its last two columns are also predicted), back 0 0 0 0 1 1
        # and from the far pixel at (5, 7) to (2, 3) 5.
        assert row.assd == pytest.approx((2 + 2 + 5) / 13)
        assert row.hd95 == pytest.approx(1 + 0.7 * 4)
        assert row.nsd == 12 / 13
        assert row.unit == 'px' and row.types == 'unknown' and row.calibration_gaps == ''
        assert np.isnan(row.pixel_volume) and np.isnan(row.score)

    def test_spacing_gives_mm_and_ml(self):
        record = measure(spacing=(0.5, 0.5), thickness=5.0)
        assert record['unit'] == 'mm'
        assert record['assd'] == pytest.approx((2 + 2 + 5) / 13 / 2)
        assert record['pixel_volume'] == pytest.approx(0.5 * 0.5 * 5 / 1000)

    def test_ignored_pixels_count_nowhere(self):
        truth = TRUTH.copy()
        truth[5, 7] = 255
        record = measure(truth, PREDICTION, PREDICTION * 0.9)
        assert [record[name] for name in ('tp', 'fp', 'fn', 'tn')] == [4, 2, 2, 39]
        assert record['predicted_lesions'] == '6:1'
        gaps = np.array(record['calibration_gaps'].split(), float)
        assert gaps.sum() == pytest.approx(6 * 0.9 - 6)

    def test_the_score_is_the_log_odds_of_the_highest_probability(self):
        probability = np.zeros(TRUTH.shape)
        probability[4, 4] = 0.75
        assert measure(probability=probability)['score_raw'] == pytest.approx(np.log(3))
        assert measure(probability=probability, score=7.0)['score_raw'] == 7
        log_odds = np.arange(48.0).reshape(TRUTH.shape)
        assert measure(probability=probability, log_odds=log_odds)['score_raw'] == 47
        truth = TRUTH.copy()
        truth[5, 7] = 255
        assert measure(truth, probability=probability, log_odds=log_odds)['score_raw'] == 46

    @pytest.mark.parametrize('dtype', [np.float32, np.float64])
    def test_certainty_has_a_finite_score(self, dtype):
        score = measure(probability=PREDICTION.astype(dtype))['score_raw']
        assert 36 < score < 37  # of the double next to 1
        assert np.isfinite(measure(probability=0 * PREDICTION.astype(dtype))['score_raw'])
        assert np.isfinite(measure(score=np.inf)['score_raw'])

    def test_a_slice_without_a_pixel_that_counts_has_no_score(self):
        record = measure(0 * TRUTH + 255, PREDICTION, 0.5 * PREDICTION)
        assert np.isnan(record['score_raw']) and record['tn'] == 0

    def test_empty_against_empty_is_undefined(self):
        (row,) = records.slice_table([measure(0 * TRUTH, 0 * TRUTH)]).itertuples()
        assert np.isnan([row.dice, row.assd, row.hd95, row.nsd]).all()
        assert row.true_lesions == row.predicted_lesions == ''

    @pytest.mark.parametrize(
        ('truth', 'prediction', 'probability', 'message'),
        [
            (TRUTH, PREDICTION.T, None, 'shape'),
            (TRUTH * 128, PREDICTION, None, 'truth holds the labels'),
            (TRUTH, PREDICTION * 2, None, 'prediction holds the labels'),
            (TRUTH, PREDICTION, np.full(TRUTH.shape, 1.5), 'probabilities'),
            (TRUTH, PREDICTION, np.zeros((2, 2)), 'shape'),
        ],
    )
    def test_errors_name_the_slice(self, truth, prediction, probability, message):
        with pytest.raises(CraniumError, match=f'049_007: .*{message}'):
            measure(truth, prediction, probability)

    def test_a_record_is_small(self):
        large = [np.kron(mask, np.ones((64, 64), np.uint8)) for mask in (TRUTH, PREDICTION)]
        probability = np.random.default_rng(0).random(large[0].shape)
        assert len(pickle.dumps(measure(*large, probability))) < 1500


class TestTable:
    def test_ordered_by_patient_and_slice(self):
        rows = [measure(patient=p, slice=s) for p, s in (('050', 1), ('049', 10), ('049', 9))]
        table = records.slice_table(rows)
        assert table[['patient', 'slice']].to_numpy().tolist() == [
            ['049', 9],
            ['049', 10],
            ['050', 1],
        ]
        assert records.slice_table(table.sample(frac=1, random_state=1)).equals(table)

    def test_a_slice_twice(self):
        with pytest.raises(CraniumError, match=r'1 slices were .* more than once, first 049_007'):
            records.slice_table([measure(), measure()])

    def test_no_slices(self):
        with pytest.raises(CraniumError, match='no slices'):
            records.slice_table([])

    def test_reading_gives_back_what_was_written(self, tmp_path):
        rng = np.random.default_rng(0)
        written = records.slice_table(
            [
                measure(probability=rng.random(TRUTH.shape), types='Epidural+Subdural'),
                measure(0 * TRUTH, 0 * TRUTH, patient='130', slice=1, types=''),
                measure(TRUTH, 0 * TRUTH, patient='NA', slice=1000, image_file='a b/c,d.png'),
            ]
        )
        written.to_csv(tmp_path / 'slices.csv', index=False)
        read = records.read_slices(tmp_path / 'slices.csv')
        pd.testing.assert_frame_equal(read, written, check_exact=True)

    @pytest.mark.parametrize('text', ['', 'a,b\n1,2\n', 'patient,slice\n049,x\n'])
    def test_another_table(self, tmp_path, text):
        (tmp_path / 'slices.csv').write_text(text)
        with pytest.raises(CraniumError, match=r'slices\.csv: not a slices\.csv') as caught:
            records.read_slices(tmp_path / 'slices.csv')
        assert '\n' not in str(caught.value)

    def test_a_cell_that_is_no_number(self, tmp_path):
        records.slice_table([measure()]).astype({'tp': str}).assign(tp='x').to_csv(
            tmp_path / 'slices.csv', index=False
        )
        with pytest.raises(CraniumError, match='not a slices'):
            records.read_slices(tmp_path / 'slices.csv')

    def test_no_rows(self, tmp_path):
        records.slice_table([measure()])[:0].to_csv(tmp_path / 'slices.csv', index=False)
        with pytest.raises(CraniumError, match='no slices'):
            records.read_slices(tmp_path / 'slices.csv')


class TestSmoothScores:
    @staticmethod
    def smooth(*slices, deviation=1.0):
        table = pd.DataFrame(slices, columns=['patient', 'slice', 'score_raw'])
        return records.smooth_scores(table, deviation)

    def test_literal(self):
        # Beside 1 the weight is exp(-1/2): (0 * 1 + 6 * 0.6065) / 1.6065, and the other way.
        found = self.smooth(('049', 3, 0.0), ('049', 4, 6.0))
        assert found == pytest.approx([2.2652, 3.7348], abs=1e-4)

    def test_another_patient_and_a_far_slice_have_no_say(self):
        found = self.smooth(('049', 1, 1.0), ('050', 1, 5.0), ('049', 90, 7.0))
        assert found == pytest.approx([1.0, 5.0, 7.0])

    def test_equals_scipy_within_a_whole_scan(self):
        scores = np.random.default_rng(0).normal(0, 5, 40)
        shuffled = np.random.default_rng(1).permutation(40)
        found = self.smooth(*(('049', i, scores[i]) for i in shuffled), deviation=1.5)
        expected = ndimage.gaussian_filter1d(scores, 1.5, truncate=9)[shuffled]
        inside = (shuffled >= 14) & (shuffled < 26)
        assert found[inside] == pytest.approx(expected[inside])

    def test_a_score_that_is_not_known_stays_so_and_has_no_say(self):
        found = self.smooth(('049', 3, 0.0), ('049', 4, 6.0), ('049', 5, np.nan))
        assert found[:2] == pytest.approx([2.2652, 3.7348], abs=1e-4) and np.isnan(found[2])
        assert np.isnan(self.smooth(('049', 1, np.nan)))

    def test_the_raw_score_is_kept(self):
        rows = [measure(slice=n, score=score) for n, score in ((3, 0.0), (4, 6.0))]
        table = records.slice_table(rows, 1.0)
        assert table['score_raw'].tolist() == [0, 6]
        assert table['score'].tolist() == pytest.approx([2.2652, 3.7348], abs=1e-4)
        # Anew from the raw ones.
        assert records.slice_table(table, 1.0).equals(table)
        assert records.slice_table(table)['score'].tolist() == [0, 6]


def test_a_slice_that_the_diagnosis_lacks_is_unknown_not_healthy():
    diagnosis = pd.DataFrame(
        {'patient': ['049', '049'], 'slice': [7, 8], 'types': ['', 'Epidural'], 'other': [1, 2]}
    )
    table = records.slice_table(
        [measure(), measure(slice=8), measure(patient='050', types='Subdural')]
    )
    typed = records.with_types(table, diagnosis)
    assert typed['types'].tolist() == ['', 'Epidural', 'unknown']
    assert records.slice_table(typed).columns.tolist() == list(records.COLUMNS)
