"""The patients of several folds, taken together."""

import dataclasses

import pytest

from cranium.evaluation import pooling, results
from cranium.evaluation.summary import OperatingPoint

from .slices import simulated

RECORDS = simulated(num_patients=9, slices=4)
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
    # As text, in which nan is nan.
    assert repr(pooled.figures) == repr(at_once.figures)
    assert pooled.cases == at_once.cases and pooled.slices.equals(at_once.slices)
    # Not the mean over the folds.
    dice = [found.figures['patient/authors_dice'].value for found in folds.values()]
    assert pooled.figures['patient/authors_dice'].value != pytest.approx(sum(dice) / len(dice))


def test_pooled_results_can_be_written_and_read(folds, tmp_path):
    pooled = pooling.pool(folds, replicates=0)
    results.write_results(pooled, tmp_path)
    read = results.read_results(tmp_path)
    assert repr(read.figures) == repr(pooled.figures)
    assert read.provenance == pooled.provenance


def test_a_patient_in_two_folds_is_refused(folds):
    folds[3] = fold(3, patients=('007', '001'))
    with pytest.raises(ValueError, match='patient 001 was tested in fold 0 and in fold 3'):
        pooling.pool(folds)


def test_nothing_to_pool():
    with pytest.raises(ValueError, match='no fold is finished'):
        pooling.pool({}, {0: 'not finished'})


def test_the_origin_names_the_folds(folds):
    about = pooling.pool(folds, name='unet', about={'splits': 'x'}, replicates=0).provenance
    assert about['folds'] == [0, 2, 3] and about['missing_folds'] == []
    assert about['experiment'] == {'name': 'unet', 'backbone': 'UNet'}
    assert about['protocol'] == 'authors' and about['splits'] == 'x'
    assert about['patients']['fold_2'] == '005 006'
    assert about['checkpoint']['fold_3'] == 'cv/fold_3/iter_4.pth'
    assert about['checkpoint_sha256']['fold_3'] == '3' * 64
    assert about['data']['fold_0'] == 'cv/fold_0/data/images/test'
    assert about['config'] == '# That of fold 0; the others differ in fold and data.\nfold = 0'


def warnings_of(folds, *args, **options):
    return ' '.join(pooling.pool(folds, *args, replicates=0, **options).warnings)


def test_whole_and_clean_folds_give_no_warning_of_their_origin(folds):
    warnings = warnings_of(folds)
    for unwanted in ('folds', 'split', 'trained on', 'chosen as the best'):
        assert unwanted not in warnings


def test_missing_folds_are_named(folds):
    warnings = warnings_of(folds, {4: 'not finished', 1: 'no patients in this download'})
    assert 'only 0, 2, 3. Missing: 1 (no patients in this download), 4 (not finished)' in warnings
    assert pooling.pool(folds, {4: 'x'}, replicates=0).provenance['missing_folds'] == [4]
    assert 'Sixteen are not there.' in warnings_of(folds, notes=['Sixteen are not there.'])


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
    expected = 'different versions: scipy 1 and None, torch 2.13 and 2.14.'
    assert expected in warnings_of(folds)


def test_folds_of_different_kinds_are_refused(folds):
    folds[3] = fold(3, protocol='patient')
    with pytest.raises(ValueError, match='protocol of fold 3 is patient, of fold 0 authors'):
        pooling.pool(folds)
    other = dataclasses.replace(folds[0], options=folds[0].options | {'left_out_patients': ['070']})
    with pytest.raises(ValueError, match=r"leave_out of fold 2 is \[\], of fold 0 \['070'\]"):
        pooling.pool({0: other, 2: folds[2]})


def test_an_operating_point_counts_where_all_folds_had_it(folds):
    point = OperatingPoint(0.4, 0.5, 'log-odds', 0.0, ('099',))
    name = 'detection/slice_sensitivity'
    used = {
        number: dataclasses.replace(found, used_operating_point=point)
        for number, found in folds.items()
    }
    assert name in pooling.pool(used, replicates=0).figures
    assert name not in pooling.pool(used | {3: folds[3]}, replicates=0).figures
