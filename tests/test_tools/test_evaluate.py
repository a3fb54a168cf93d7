"""``cranium evaluate``."""

import pytest

from cranium.cli.evaluate import command
from cranium.errors import CraniumError
from cranium.evaluation import results
from cranium.evaluation.estimate import format_table

from .commands import invoke, save_masks


def test_prints_and_writes_the_same(evaluated):
    folder, outputs = evaluated
    found = results.read_results(folder / 'results-good')
    assert format_table(found.figures) in outputs['good']
    assert 'Note: Only 4 patients with hemorrhage' in outputs['good']
    assert f'All figures are in {folder / "results-good"}' in outputs['good']
    assert found.provenance['protocol'] == 'patient' and found.cases['slices'] == 18
    assert found.slices['image_file'].str.startswith(str(folder / 'images/val')).all()


def test_options(evaluated, tmp_path):
    folder, _ = evaluated
    save_masks(tmp_path, seed=1, offset=100)
    diagnosis = tmp_path / 'diagnosis.csv'
    header = 'PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural'
    diagnosis.write_text(
        f'{header},Subdural,No_Hemorrhage,Fracture_Yes_No\n' + '101,1,0,0,0,1,0,0,0\n'
    )
    invoke(
        command,
        *('--pred', tmp_path / 'good', '--truth', tmp_path / 'masks/val'),
        *('--out', tmp_path / 'out', '--diagnosis', diagnosis, '--leave-out', '101', '103'),
        *('--operating-point', folder / 'results-good/summary.json'),
    )
    figures = results.read_results(tmp_path / 'out').figures
    assert figures['type/epidural_dice_mean'].cases == 1
    assert 'patient/authors_dice_without_101_103' in figures
    assert 'detection/slice_sensitivity' in figures


def test_a_threshold_chosen_on_the_tested_patients_is_refused(evaluated, tmp_path):
    folder, _ = evaluated
    with pytest.raises(CraniumError, match='tested here'):
        invoke(
            command,
            *('--pred', folder / 'good', '--truth', folder / 'masks/val'),
            *('--operating-point', folder / 'results-good/summary.json', '--out', tmp_path / 'out'),
        )
    assert not (tmp_path / 'out').exists()
