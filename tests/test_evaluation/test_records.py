"""Measuring a slice, and its row in slices.csv."""

import numpy as np
import pytest
from scipy import ndimage

from cranium.evaluation import measures, records

TRUTH = np.zeros((6, 8), np.uint8)
TRUTH[1:3, 1:4] = 1
PREDICTION = np.zeros((6, 8), np.uint8)
PREDICTION[1:3, 2:5] = 1
PREDICTION[5, 7] = 1


def measure(truth=TRUTH, prediction=PREDICTION, probability=None, **about):
    return records.measure_slice(truth, prediction, probability, patient='049', slice=7, **about)


class TestSmoothScores:
    @staticmethod
    def of(*slices):
        return [
            records.SliceRecord(patient, number, 0, 0, 0, 1, score=score)
            for patient, number, score in slices
        ]

    def test_literal(self):
        # Beside 1 the weight is exp(-1/2): (0 * 1 + 6 * 0.6065) / 1.6065, and the other way.
        found = records.smooth_scores(self.of(('049', 3, 0.0), ('049', 4, 6.0)), 1.0)
        assert [r.score for r in found] == pytest.approx([2.2652, 3.7348], abs=1e-4)

    def test_another_patient_and_a_far_slice_have_no_say(self):
        found = records.smooth_scores(
            self.of(('049', 1, 1.0), ('050', 1, 5.0), ('049', 90, 7.0)), 1.0
        )
        assert [r.score for r in found] == pytest.approx([1.0, 5.0, 7.0])
        assert [r.name for r in found] == ['049_001', '050_001', '049_090']

    def test_equals_scipy_within_a_whole_scan(self):
        scores = np.random.default_rng(0).normal(0, 5, 40)
        shuffled = np.random.default_rng(1).permutation(40)
        found = records.smooth_scores(self.of(*(('049', i, scores[i]) for i in shuffled)), 1.5)
        expected = ndimage.gaussian_filter1d(scores, 1.5, truncate=9)[shuffled]
        inside = (shuffled >= 14) & (shuffled < 26)
        assert np.array([r.score for r in found])[inside] == pytest.approx(expected[inside])

    def test_a_score_that_is_not_known_stays_so(self):
        found = records.smooth_scores(self.of(('049', 1, np.nan), ('050', 1, 2.0)), 1.0)
        assert np.isnan(found[0].score) and found[1].score == 2.0

    def test_a_score_that_is_not_known_has_no_say(self):
        known = records.smooth_scores(self.of(('049', 3, 0.0), ('049', 4, 6.0)), 1.0)
        found = records.smooth_scores(
            self.of(('049', 3, 0.0), ('049', 4, 6.0), ('049', 5, np.nan)), 1.0
        )
        assert found[:2] == known
        assert np.isnan(found[2].score)


class TestMeasureSlice:
    def test_literal(self):
        record = measure()
        assert (record.tp, record.fp, record.fn, record.tn) == (4, 3, 2, 39)
        assert record.name == '049_007' and record.hemorrhage
        assert record.dice == 8 / 13
        assert record.true_lesions == ((6, True),)
        assert record.predicted_lesions == ((6, True), (1, False))
        # From the truth 1 1 0 0 0 0 (its last two columns are also predicted), back 0 0 0 0 1 1
        # and from the far pixel at (5, 7) to (2, 3) 5.
        assert record.assd == pytest.approx((2 + 2 + 5) / 13)
        assert record.hd95 == pytest.approx(1 + 0.7 * 4)
        assert record.nsd == 12 / 13
        assert record.unit == 'px' and np.isnan(record.pixel_volume) and np.isnan(record.score)

    def test_spacing_gives_mm_and_ml(self):
        record = measure(spacing=(0.5, 0.5), thickness=5.0)
        assert record.unit == 'mm'
        assert record.assd == pytest.approx((2 + 2 + 5) / 13 / 2)
        assert record.pixel_volume == pytest.approx(0.5 * 0.5 * 5 / 1000)

    def test_ignored_pixels_count_nowhere(self):
        truth, probability = TRUTH.copy(), PREDICTION * 0.9
        truth[5, 7] = 255
        record = measure(truth, PREDICTION, probability)
        assert (record.tp, record.fp, record.fn, record.tn) == (4, 2, 2, 39)
        assert record.predicted_lesions == ((6, True),)
        assert sum(record.calibration_gaps) == pytest.approx(6 * 0.9 - 6)

    def test_hemorrhage_can_be_what_is_ignored(self):
        record = measure(ignore_index=1)
        assert (record.tp, record.fp, record.fn, record.tn) == (0, 3, 0, 39)
        assert record.true_lesions == ()

    def test_the_score_is_the_log_odds_of_the_highest_probability(self):
        probability = np.zeros(TRUTH.shape)
        probability[4, 4] = 0.75
        assert measure(probability=probability).score == pytest.approx(np.log(3))
        assert measure(probability=probability, score=7.0).score == 7

    def test_empty_against_empty_is_undefined(self):
        record = measure(0 * TRUTH, 0 * TRUTH)
        assert not record.hemorrhage
        assert np.isnan([record.dice, record.assd, record.hd95, record.nsd]).all()
        assert record.true_lesions == record.predicted_lesions == ()

    @pytest.mark.parametrize(
        ('truth', 'prediction', 'probability', 'message'),
        [
            (TRUTH, PREDICTION.T, None, 'shape'),
            (TRUTH * 128, PREDICTION, None, 'truth holds the labels'),
            (TRUTH, PREDICTION * 2, None, 'prediction holds the labels'),
            (TRUTH, PREDICTION, np.full(TRUTH.shape, np.nan), 'probabilities'),
            (TRUTH, PREDICTION, np.zeros((2, 2)), 'shape'),
        ],
    )
    def test_errors_name_the_slice(self, truth, prediction, probability, message):
        with pytest.raises(ValueError, match=f'049_007: .*{message}'):
            measure(truth, prediction, probability)


class TestTable:
    def test_reading_gives_back_what_was_written(self, tmp_path):
        rng = np.random.default_rng(0)
        written = [
            measure(probability=rng.random(TRUTH.shape), types=('Epidural', 'Subdural')),
            records.measure_slice(0 * TRUTH, 0 * TRUTH, patient='130', slice=1, types=()),
            records.measure_slice(
                TRUTH, 0 * TRUTH, patient='130', slice=2, image_file='a b/c,d.png'
            ),
        ]
        records.write_slices(written, tmp_path / 'slices.csv')
        # nan is not equal to itself, but its text is.
        assert list(map(str, records.read_slices(tmp_path / 'slices.csv'))) == [
            str(record) for record in written
        ]
        again = records.read_slices(tmp_path / 'slices.csv')
        assert again[0].calibration_gaps == written[0].calibration_gaps

    def test_a_person_can_read_it(self, tmp_path):
        records.write_slices([measure(0 * TRUTH, 0 * TRUTH)], tmp_path / 'slices.csv')
        header, row = (tmp_path / 'slices.csv').read_text().splitlines()
        cells = dict(zip(header.split(','), row.split(',')))
        assert cells['patient'] == '049' and cells['slice'] == '7'
        assert cells['dice'] == '' and cells['specificity'] == '1.0'

    @pytest.mark.parametrize('text', ['a,b\n1,2\n', 'patient,slice\n049,x\n'])
    def test_another_table(self, tmp_path, text):
        (tmp_path / 'slices.csv').write_text(text)
        with pytest.raises(ValueError, match=r'slices\.csv: line 2'):
            records.read_slices(tmp_path / 'slices.csv')

    def test_no_rows(self, tmp_path):
        records.write_slices([], tmp_path / 'slices.csv')
        with pytest.raises(ValueError, match='no slices'):
            records.read_slices(tmp_path / 'slices.csv')


class TestDiagnosis:
    HEADER = '\ufeffPatientNumber,SliceNumber,' + ','.join(records.HEMORRHAGE_TYPES) + ',Fracture\n'

    def write(self, folder, rows):
        (folder / 'diagnosis.csv').write_text(self.HEADER + rows, encoding='utf-8')
        return folder / 'diagnosis.csv'

    def test_literal(self, tmp_path):
        file = self.write(tmp_path, '49,1,0,0,0,0,0,0\n49,2,1,0,0,1,0,0\n')
        assert records.read_diagnosis(file) == {
            ('049', 1): (),
            ('049', 2): ('Intraventricular', 'Epidural'),
        }

    def test_a_slice_that_it_lacks_is_unknown_not_healthy(self, tmp_path):
        diagnosis = records.read_diagnosis(self.write(tmp_path, '49,1,0,0,0,0,0,0\n'))
        known, unknown = (
            records.measure_slice(TRUTH, TRUTH, patient=patient, slice=1)
            for patient in ('049', '050')
        )
        typed = records.with_types([known, unknown], diagnosis)
        assert [record.types for record in typed] == [(), None]

    def test_missing_column(self, tmp_path):
        (tmp_path / 'x.csv').write_text('PatientNumber,SliceNumber\n')
        with pytest.raises(ValueError, match=r'x\.csv: no column Epidural'):
            records.read_diagnosis(tmp_path / 'x.csv')

    def test_not_a_number(self, tmp_path):
        file = self.write(tmp_path, '49,one,0,0,0,0,0,0\n')
        with pytest.raises(ValueError, match=r'diagnosis\.csv: line 2'):
            records.read_diagnosis(file)


class TestManifest:
    def test_types_by_slice(self, tmp_path):
        (tmp_path / 'manifest.csv').write_text(
            'patient,slice,types,notes\n049,1,,\n049,2,Epidural+Subdural,x\n'
        )
        assert records.read_manifest(tmp_path) == {
            ('049', 1): (),
            ('049', 2): ('Epidural', 'Subdural'),
        }

    def test_a_tree_without_one_is_no_error(self, tmp_path):
        assert records.read_manifest(tmp_path) == {}

    @pytest.mark.parametrize('text', ['a,b\n1,2\n', 'patient,slice,types\n049,x,\n'])
    def test_another_file_of_that_name_is(self, tmp_path, text):
        (tmp_path / 'manifest.csv').write_text(text)
        with pytest.raises(ValueError, match=r'manifest\.csv: not a manifest'):
            records.read_manifest(tmp_path)


class TestNames:
    def test_parse(self):
        assert records.parse_name('a/b/049_021.png') == ('049', 21)
        assert records.parse_name('case_7_003.nii.gz') == ('case_7', 3)

    @pytest.mark.parametrize('name', ['049.png', '049_x.png', '_12.png'])
    def test_other_names(self, name):
        with pytest.raises(ValueError, match=name):
            records.parse_name(name)

    def test_twice_the_same_slice(self):
        with pytest.raises(
            ValueError, match='1 slices were measured more than once, first 049_007'
        ):
            records.check_unique([measure(), measure()])


def test_a_record_is_small():
    import pickle

    rng = np.random.default_rng(0)
    large = [np.kron(mask, np.ones((64, 64), np.uint8)) for mask in (TRUTH, PREDICTION)]
    record = measure(*large, rng.random(large[0].shape))
    assert len(pickle.dumps(record)) < 1500
    assert len(record.calibration_gaps) == len(measures.calibration_gaps(TRUTH, 0.5 * TRUTH))
