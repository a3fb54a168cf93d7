"""The patients of several folds, taken together."""

import dataclasses
import math

import pytest

from cranium.errors import CraniumError
from cranium.evaluation import pooling, results
from cranium.evaluation.calibration import fit_calibrations
from cranium.evaluation.cohort import Cohort
from cranium.evaluation.summary import OperatingPoint

from .slices import record, simulated

RECORDS = simulated(num_patients=9, slices=4)
# Hemorrhage scores higher, or probabilities could not be calibrated.
RECORDS['score_raw'] += 3.0 * (RECORDS.tp + RECORDS.fn > 0)
LEVELS, RATES = ('slice', 'patient'), ('sensitivity', 'specificity')
ERRORS = ('brier', 'expected_error')
# Folds of different sizes, so that a mean over folds is another figure.
FOLDS = {0: ('000', '001', '002', '003', '004'), 2: ('005', '006'), 3: ('007', '008')}


def fold(number, patients=None, **provenance):
    """Results of a fold, as they are read back from its files."""
    chosen = RECORDS[RECORDS.patient.isin(patients or FOLDS[number])]
    about = {
        'versions': {'python': '3.11', 'torch': '2.13'},
        'experiment': {'name': 'test', 'backbone': 'UNet'},
        'checkpoint': {'file': f'cv/fold_{number}/iter_4.pth', 'sha256': f'{number}' * 64},
        'protocol': 'authors',
        'data': f'cv/fold_{number}/data/images/test',
        'trained_on': [],
        'chosen_on_test': False,
        'config': f'fold = {number}',
    }
    return results.evaluate(chosen, provenance=about | provenance, replicates=0)


@pytest.fixture
def folds():
    return {number: fold(number) for number in FOLDS}


def test_pooled_figures_are_those_of_all_slices_at_once(folds):
    pooled = pooling.pool(folds, replicates=300)
    at_once = results.evaluate(RECORDS, replicates=300)
    by_others = {f'detection/{of}_{rate}' for of in LEVELS for rate in RATES}
    by_others |= {f'calibration/{of}_{error}' for of in LEVELS for error in ERRORS}
    assert pooled.figures.keys() - at_once.figures.keys() == by_others
    # As text, in which nan is nan.
    same = {name: pooled.figures[name] for name in at_once.figures}
    assert repr(same) == repr(at_once.figures)
    assert pooled.cases == at_once.cases and pooled.slices.equals(at_once.slices)
    # Not the mean over the folds.
    dice = [found.figures['patient/authors_dice'].value for found in folds.values()]
    assert pooled.figures['patient/authors_dice'].value != pytest.approx(sum(dice) / len(dice))


def scored(patient, *scores):
    """Slices of a patient; those of even number show hemorrhage."""
    return [
        record(patient, number, 1 - number % 2, 0, 0, score_raw=score)
        for number, score in enumerate(scores)
    ]


def clean(patient, score):
    return record(patient, 0, 0, 0, 0, score_raw=score)


def test_thresholds_are_those_that_the_other_folds_choose():
    rows = {
        0: [*scored('000', 3.0, 1.0), *scored('001', 2.0, 2.5), clean('002', 0.5)],
        1: [*scored('003', 5.0, 4.0), clean('004', 0.0)],
    }
    about = fold(0).provenance
    folds = {n: results.evaluate(some, provenance=about, replicates=0) for n, some in rows.items()}
    pooled = pooling.pool(folds, replicates=0)
    # Fold 1 chooses 5, which no slice of fold 0 reaches. Fold 0 chooses 2 (all found, one of three
    # false); 5 and 4 of fold 1 reach it, 0 does not.
    assert pooled.figures['detection/slice_sensitivity'].value == pytest.approx(1 / 3)
    assert pooled.figures['detection/slice_specificity'].value == pytest.approx(4 / 5)
    # On all: at 2 all of 5, 3 and 2 are found, two of five false.
    assert pooled.operating_point.slice == 2.0
    assert pooled.used_operating_point is None


def test_probabilities_are_calibrated_on_the_other_folds(folds):
    pooled = pooling.pool(folds, replicates=0)
    found = pooling.pooled_calibrations(Cohort(pooled.slices, 0), pooled.provenance)
    assert found['slice'].keys() == {p for patients in FOLDS.values() for p in patients}
    others = fit_calibrations(Cohort(fold(0, (*FOLDS[0], *FOLDS[3])).slices, 0))
    for level in LEVELS:
        of_level = found[level]
        assert of_level['005'] == of_level['006'] == others[level] != of_level['000']
    # As in the figures.
    errors = [
        (found['slice'][row.patient].probability(row.score) - (row.tp + row.fn > 0)) ** 2
        for row in pooled.slices.itertuples()
    ]
    assert pooled.figures['calibration/slice_brier'].value == pytest.approx(sum(errors) / 36)
    one = folds[0]
    assert pooling.pooled_calibrations(Cohort(one.slices, 0), one.provenance) == {}


def test_scores_that_mean_the_contrary_are_not_calibrated():
    rows = {n: [*scored(f'{n}1', 0.0, 5.0), clean(f'{n}2', 6.0)] for n in (1, 2)}
    about = fold(0).provenance
    folds = {n: results.evaluate(some, provenance=about, replicates=0) for n, some in rows.items()}
    pooled = pooling.pool(folds, replicates=0)
    assert 'calibration/slice_brier' not in pooled.figures
    assert 'calibration/slice_brier_uncalibrated' in pooled.figures
    assert 'calibration' not in pooling.shipped_operating_points(pooled)['slice']


def test_what_a_checkpoint_tells_of_its_scores():
    rows = {n: [*scored(f'{n}1', 5.0, 0.0), clean(f'{n}2', 1.0)] for n in (1, 2)}
    folds = {
        n: results.evaluate(some, provenance=fold(0).provenance, replicates=0)
        for n, some in rows.items()
    }
    found = pooling.shipped_operating_points(pooling.pool(folds, replicates=0))
    # Two patients bleed, with a score of 5 (3 / 4 by Platt), and two do not, with 1 (1 / 4).
    slope = 2 * math.log(3) / 4
    fitted = {'slope': slope, 'offset': math.log(3) - 5 * slope}
    assert found['patient'].pop('calibration') == pytest.approx(fitted)
    slices = found['slice'].pop('calibration')
    assert slices['slope'] > 0 and slices['slope'] * 5 + slices['offset'] > 0 > slices['offset']
    perfect = {'threshold': 5.0, 'sensitivity': 1.0, 'specificity': 1.0}
    rest = {'score_smoothing': 0.0, 'patients': 4}
    assert found == {'slice': perfect, 'patient': perfect, **rest}
    pooled = pooling.pool(folds, replicates=0)
    lone = {n: [*scored(f'{n}1', 4.0, 2.0), clean(f'{n}2', 3.0)] for n in (1, 2)}

    def tested(**about):
        """Slices that were tested alone."""
        about = fold(0).provenance | {'alone': True} | about
        return pooling.pool(
            {n: results.evaluate(some, provenance=about, replicates=0) for n, some in lone.items()},
            replicates=0,
        )

    alone = tested()
    both = pooling.shipped_operating_points(pooled, alone)
    del both['slice']['calibration'], both['patient']['calibration']
    assert {**both, 'lone_slice': None} == {**found, 'lone_slice': None}
    lone_slice = {key: both['lone_slice'][key] for key in perfect}
    assert lone_slice == {**perfect, 'threshold': 4.0} and 'calibration' in both['lone_slice']
    for other in (tested(alone=False), tested(checkpoint={'sha256': 'another'}), pooled):
        with pytest.raises(CraniumError, match=r'by the networks, .* --alone again'):
            pooling.shipped_operating_points(pooled, other)
    with pytest.raises(CraniumError, match='those of lone slices, not of scans'):
        pooling.shipped_operating_points(alone)
    with pytest.raises(CraniumError, match='run cranium cross-validate without --fold'):
        pooling.shipped_operating_points(folds[1])
    with pytest.raises(CraniumError, match='in at least two folds'):
        pooling.shipped_operating_points(pooling.pool({1: folds[1]}, replicates=0))


def test_pooled_results_can_be_written_and_read(folds, tmp_path):
    pooled = pooling.pool(folds, replicates=0)
    results.write_results(pooled, tmp_path)
    read = results.read_results(tmp_path)
    assert repr(read.figures) == repr(pooled.figures)
    assert read.provenance == pooled.provenance


def test_a_patient_in_two_folds_is_refused(folds):
    folds[3] = fold(3, patients=('007', '001'))
    with pytest.raises(CraniumError, match='patient 001 was tested in fold 0 and in fold 3'):
        pooling.pool(folds)


def test_nothing_to_pool():
    with pytest.raises(CraniumError, match='no fold is finished'):
        pooling.pool({})


def test_the_origin_names_the_folds(folds):
    about = pooling.pool(folds, name='unet', replicates=0).provenance
    assert about['folds'] == [0, 2, 3]
    assert about['experiment'] == {'name': 'unet', 'backbone': 'UNet'}
    assert about['protocol'] == 'authors'
    assert about['patients']['fold_2'] == ['005', '006']
    assert about['checkpoint']['fold_3'] == {'file': 'cv/fold_3/iter_4.pth', 'sha256': '3' * 64}
    assert about['config'] == '# Fold 0; the others differ in their patients.\nfold = 0'


def warnings_of(folds, *args, **options):
    return ' '.join(pooling.pool(folds, *args, replicates=0, **options).warnings)


def test_whole_and_clean_folds_give_no_warning_of_their_origin(folds):
    warnings = warnings_of(folds)
    for unwanted in ('folds', 'split', 'trained on', 'chosen as the best'):
        assert unwanted not in warnings


def test_notes_come_first(folds):
    assert warnings_of(folds, notes=['Fold 4 is not finished.']).startswith('Fold 4 is not')


def test_what_is_wrong_with_one_fold_is_wrong_with_all(folds):
    folds[2] = fold(2, trained_on=['005'], chosen_on_test=True)
    warnings = warnings_of(folds)
    assert '1 of the tested patients were also trained on (005)' in warnings
    assert 'chosen as the best on these very data' in warnings
    folds[2] = fold(2, trained_on=None)
    assert 'could not be told' in warnings_of(folds)
    assert 'protocol is not known' in warnings_of({0: fold(0, protocol=None)})


def test_different_versions_are_named(folds):
    folds[3] = fold(3, versions={'python': '3.11', 'torch': '2.14', 'scipy': '1'})
    expected = 'different versions: torch 2.13 and 2.14, scipy - and 1.'
    assert expected in warnings_of(folds)


def test_settings_of_the_folds_hold_for_the_pool(folds):
    point = OperatingPoint(0.4, 0.5, 'log-odds', 0.5, ('099',))
    settings = {'left_out_patients': ['000'], 'score_smoothing': 0.5}
    used = {
        number: dataclasses.replace(
            found, used_operating_point=point, options=found.options | settings
        )
        for number, found in folds.items()
    }
    pooled = pooling.pool(used, replicates=0)
    assert {'detection/slice_sensitivity', 'patient/authors_dice_without_000'} <= {*pooled.figures}
    assert pooled.options['score_smoothing'] == 0.5
    # The raw scores of the folds are smoothed, not those that were smoothed already.
    at_once = results.evaluate(RECORDS, score_smoothing=0.5, replicates=0)
    assert pooled.slices.equals(at_once.slices)
