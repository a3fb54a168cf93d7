"""tools/evaluate.py as typed."""

from cranium.evaluation import results

from .commands import call, save_masks


def test_prints_and_writes_the_same(evaluated):
    folder, outputs = evaluated
    assert outputs['good'].returncode == 0, outputs['good'].stderr
    found = results.read_results(folder / 'results-good')
    assert results.format_table(found.figures) in outputs['good'].stdout
    assert f'All figures are in {folder / "results-good"}' in outputs['good'].stdout
    assert found.provenance['protocol'] == 'patient' and found.cases['slices'] == 18


def test_notes_are_printed(evaluated):
    _, outputs = evaluated
    assert 'Note: Only 4 patients with hemorrhage' in outputs['good'].stdout


def test_options(evaluated, tmp_path):
    folder, _ = evaluated
    save_masks(tmp_path, seed=1, offset=100)
    diagnosis = tmp_path / 'diagnosis.csv'
    header = 'PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural'
    diagnosis.write_text(f'{header},Subdural\n' + '101,1,0,0,0,1,0\n')
    done = call(
        *('evaluate', '--pred', tmp_path / 'good', '--truth', tmp_path / 'masks/val'),
        *('--out', tmp_path / 'out', '--diagnosis', diagnosis, '--leave-out', '101'),
        *('--operating-point', folder / 'results-good/summary.json'),
    )
    assert done.returncode == 0, done.stderr
    figures = results.read_results(tmp_path / 'out').figures
    assert figures['type/epidural_dice_mean'].cases == 1
    assert 'patient/authors_dice_without_101' in figures
    assert 'detection/slice_sensitivity' in figures


def test_a_threshold_chosen_on_the_tested_patients_is_refused(evaluated, tmp_path):
    folder, _ = evaluated
    done = call(
        *('evaluate', '--pred', folder / 'good', '--truth', folder / 'masks/val'),
        *('--operating-point', folder / 'results-good/summary.json', '--out', tmp_path / 'out'),
    )
    assert done.returncode == 1 and 'tested here' in done.stderr
    assert not (tmp_path / 'out').exists()


def test_an_error_is_one_line(tmp_path):
    done = call('evaluate', '--pred', tmp_path / 'no', '--truth', tmp_path, '--out', tmp_path)
    assert done.returncode == 1 and done.stderr.count('\n') == 1
    assert 'no: no such folder' in done.stderr
