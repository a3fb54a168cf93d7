"""Tests of a run: from scans to files and tables, and what a second run does."""

import csv
import errno
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.evaluation.platt import Calibration
from cranium.inference import predict as module
from cranium.inference.predict import Settings, predict
from cranium.inference.segmenter import Segmenter
from cranium.inference.share import Share
from cranium.windows import BRAIN, Window
from tests.dicom_files import write_series

from .made import heads, names_of

ALONE = Share()


class Notes:
    """Keeps what a run says."""

    def __init__(self):
        self.outcomes = []
        self.slices = 0

    def begin(self, scans, of):
        self.began = [scan.name for scan in scans], of

    def advance(self, scan, slices, of):
        self.slices += slices

    def end(self, scan, outcome):
        self.outcomes.append(outcome)

    @property
    def lines(self):
        return [outcome.line for outcome in self.outcomes if outcome.line]

    @property
    def problems(self):
        return [outcome.problem for outcome in self.outcomes if outcome.problem]


@pytest.fixture
def scans(tmp_path):
    """Two patients of two slices, as pictures of the brain window."""
    folder = tmp_path / 'scans'
    folder.mkdir()
    for patient in ('049', '050'):
        for number, hu in enumerate(heads(2), start=1):
            save_picture(folder / f'{patient}_{number:03d}.png', hu)
    return folder


def save_picture(file, hu):
    Image.fromarray(BRAIN.to_gray(hu)).save(file)


def run(inputs, out, share=ALONE, **settings):
    notes = Notes()
    inputs = inputs if isinstance(inputs, list) else [inputs]
    notes.succeeded = predict(inputs, out, (None, None, 'cpu'), Settings(**settings), notes, share)
    return notes


def table(out, name):
    with (out / f'{name}.csv').open() as file:
        return list(csv.DictReader(file))


def test_scans_go_in_and_files_and_tables_come_out(scans, tmp_path, network):
    out = tmp_path / 'out'
    notes = run(scans, out)
    assert notes.succeeded
    assert notes.began == (['049', '050'], 2)
    assert notes.slices == 4
    assert names_of(out) == [
        'lesions.csv',
        *(f'mask/{name}.png' for name in ('049_001', '049_002', '050_001', '050_002')),
        *('overlay/049.png', 'overlay/050.png', 'scans.csv', 'slices.csv'),
    ]
    mask = np.asarray(Image.open(out / 'mask/049_002.png'))
    assert np.array_equal(mask, heads(2)[1] == 70)
    first, _ = table(out, 'scans')
    assert first == {
        'name': '049',
        'source': str(scans),
        'slices': '2',
        'hemorrhage': 'yes',
        'score': '3.0',
        'threshold': '0.0',
        'probability': '',
        'volume_ml': '',
        'lesions': '1',
        'remarks': first['remarks'],
        'status': 'done',
    }
    assert first['remarks'].endswith('a stand-in')
    rows = table(out, 'slices')
    assert [(row['scan'], row['slice'], row['name'], row['file']) for row in rows[:2]] == [
        ('049', '1', '049_001', '049_001.png'),
        ('049', '2', '049_002', '049_002.png'),
    ]
    assert [row['pixels'] for row in rows] == ['6', '9', '6', '9']
    lesion = table(out, 'lesions')[0]
    where = {key: lesion[key] for key in list(lesion)[4:10]}
    # Rows 2 to 3 of the first slice and 2 to 4 of the second, columns 3 to 5.
    assert list(where.values()) == ['1', '2', '2', '4', '3', '5']
    assert (lesion['slice'], lesion['row'], lesion['column']) == ('1.6', '2.8', '4.0')


def test_a_calibrated_network_says_how_probable_hemorrhage_is(scans, tmp_path, network):
    network.calibration = Calibration(1.0, -2.0)
    out = tmp_path / 'out'
    run(scans, out, report=True)
    expected = f'{1 / (1 + math.exp(-1)):.4f}'  # at a score of 3
    assert {row['probability'] for row in table(out, 'scans') + table(out, 'slices')} == {expected}
    assert (out / 'report.html').read_text().count('<td>0.73</td>') == 2


def test_a_series_has_volumes_in_millilitres(tmp_path, network):
    hu = np.full((3, 40, 40), 30, np.int16)
    hu[1, 10:20, 10:30] = 70
    write_series(tmp_path / 'study', hu, distance=5.0, spacing=(0.5, 1.0), signed=True)
    out = tmp_path / 'out'
    run(tmp_path / 'study', out, save=('mask',))
    (row,) = table(out, 'scans')
    assert float(row['volume_ml']) == pytest.approx(200 * 0.5 * 1.0 * 5 / 1000)
    assert [row['area_mm2'] for row in table(out, 'slices')] == ['0.0', '100.0', '0.0']
    lesion = table(out, 'lesions')[0]
    assert [float(lesion[f'{axis}_mm']) for axis in 'xyz'] == [19.5, 7.25, 5.0]


def test_a_second_run_does_nothing(scans, tmp_path, network):
    out = tmp_path / 'out'
    run(scans, out)
    before = {name: (out / name).stat().st_mtime_ns for name in names_of(out)}
    notes = run(scans, out)
    assert notes.succeeded
    assert notes.lines == ['049: done before', '050: done before']
    assert network.done == ['049', '050']
    for name in before:
        if not name.endswith('.csv'):
            assert (out / name).stat().st_mtime_ns == before[name]


def test_a_second_run_does_what_is_missing_and_leaves_what_was_corrected(scans, tmp_path, network):
    out = tmp_path / 'out'
    run(scans, out, save=('mask',))
    (out / 'mask/049_001.png').unlink()
    (out / 'mask/049_002.png').write_bytes(b'corrected by hand')
    save_picture(scans / '051_001.png', heads(1)[0])
    notes = run(scans, out, save=('mask', 'probability'))
    assert notes.succeeded
    assert network.done == ['049', '050', '049', '050', '051_001']
    assert (out / 'mask/049_001.png').is_file()
    assert (out / 'mask/049_002.png').read_bytes() == b'corrected by hand'
    assert (out / 'probability/050_002.png').is_file()
    assert [row['name'] for row in table(out, 'scans')] == ['049', '050', '051_001']
    assert run(scans, out, save=('mask', 'probability')).lines[0] == '049: done before'


def test_overwriting_does_all_again(scans, tmp_path, network):
    out = tmp_path / 'out'
    run(scans, out, save=('mask', 'probability'))
    (out / 'mask/049_002.png').write_bytes(b'corrected by hand')
    (scans / '050_002.png').unlink()
    (scans / '050_001.png').rename(scans / '050_003.png')
    save_picture(scans / '050_004.png', heads(1)[0])
    run(scans, out, save=('mask',), window=Window(50, 100), overwrite=True)
    # Also the other formats that are there, or they would be of other settings than the masks.
    names = ['049_001.png', '049_002.png', '050_003.png', '050_004.png']
    assert names_of(out / 'mask') == names_of(out / 'probability') == names
    assert (out / 'mask/049_002.png').read_bytes() != b'corrected by hand'
    run(scans, out, window=Window(50, 100), save=('mask',))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'window': Window(50, 100)}, 'window 40 120, now it is 50 100'),
        ({'window': None}, 'window 40 120, now it is estimated'),
        ({'anonymize': True}, 'anonymize False, now it is True'),
    ],
)
def test_other_settings_are_refused(scans, tmp_path, network, settings, message):
    out = tmp_path / 'out'
    run(scans, out)
    before = (out / 'scans.csv').read_bytes()
    with pytest.raises(CraniumError, match=f'049 was done with {message}; .* --overwrite'):
        run(scans, out, **settings)
    assert (out / 'scans.csv').read_bytes() == before


def test_another_scan_of_the_same_name_is_refused(scans, tmp_path, network):
    out = tmp_path / 'out'
    run(scans, out)
    save_picture(scans / '049_001.png', heads(2)[1])
    notes = run(scans, out)
    assert not notes.succeeded
    assert (
        'holds another scan of the name 049; use another --out, or --overwrite' in notes.problems[0]
    )
    assert table(out, 'slices')[0]['pixels'] == '6'


def test_a_broken_input_is_reported_and_the_rest_done(scans, tmp_path, network):
    out = tmp_path / 'out'
    (scans / '048_001.png').write_bytes(b'\x89PNG\r\n\x1a\nbroken')
    (tmp_path / 'text.dcm').write_text('no DICOM')
    missing = tmp_path / 'missing.nii'
    notes = run([scans, tmp_path / 'text.dcm', missing], out)
    assert not notes.succeeded
    assert len(notes.problems) == 3
    assert network.done == ['049', '050']
    rows = table(out, 'scans')
    assert [(row['name'], row['status']) for row in rows] == [
        ('048_001', 'failed'),
        ('049', 'done'),
        ('050', 'done'),
        ('', 'failed'),
        ('', 'failed'),
    ]
    assert all(row['remarks'] for row in rows)
    # It is tried again, and forgotten when it is well.
    save_picture(scans / '048_001.png', heads(1)[0])
    assert run(scans, out).succeeded
    assert [row['status'] for row in table(out, 'scans')] == ['done'] * 3


def test_a_scan_without_a_head_fails_alone(scans, tmp_path, network):
    def refuse(scan):
        if scan.name == '049':
            raise CraniumError(f'{scan.source}: no head is seen in it; give axial slices')

    network.after = refuse
    notes = run(scans, tmp_path / 'out')
    assert [bool(outcome.problem) for outcome in notes.outcomes] == [True, False]
    assert not notes.succeeded


def test_a_format_that_a_scan_cannot_have_is_named_and_the_others_are_written(
    scans, tmp_path, network
):
    out = tmp_path / 'out'
    notes = run(scans, out, save=('mask', 'nifti'))
    assert not notes.succeeded
    assert 'does not tell where it lies, which NIfTI needs; save mask' in notes.problems[0]
    assert names_of(out / 'mask') == ['049_001.png', '049_002.png', '050_001.png', '050_002.png']
    assert 'save mask' in table(out, 'scans')[0]['remarks']
    assert not run(scans, out, save=('mask', 'nifti')).succeeded  # it is still not as asked
    assert network.done == ['049', '050']
    notes = run(scans, tmp_path / 'other', save=('nifti',))
    assert table(tmp_path / 'other', 'scans')[0]['status'] == 'failed'


def test_nothing_of_the_users_is_overwritten(scans, tmp_path, network):
    out = tmp_path / 'out'
    (out / 'mask').mkdir(parents=True)
    (out / 'mask/049_002.png').write_bytes(b'mine')
    for overwrite in (False, True):
        with pytest.raises(
            CraniumError, match=r'049_002.png: there already, and not of this scan; move'
        ):
            run(scans, out, overwrite=overwrite)
        assert names_of(out)[0:] == ['lesions.csv', 'mask/049_002.png', 'scans.csv', 'slices.csv']
        assert (out / 'mask/049_002.png').read_bytes() == b'mine'
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'slices.csv').write_text('mine')
    with pytest.raises(CraniumError, match=r'slices.csv: not written by this command; move it'):
        run(scans, other)
    assert names_of(other) == ['slices.csv']


@pytest.mark.parametrize('out', ['scans', 'scans/out', 'scans/../scans/mask'])
def test_the_folder_of_the_scans_is_not_written(scans, tmp_path, network, out):
    before = names_of(scans)
    with pytest.raises(CraniumError, match='nothing is written there; name another folder'):
        run(scans, tmp_path / out)
    with pytest.raises(CraniumError, match='nothing is written there'):
        run(scans / '049_001.png', scans)
    assert names_of(scans) == before
    assert not (scans / '.cranium').exists()
    run(scans / '049_001.png', scans / 'results')  # a folder of its own beside a file is fine


def test_an_interrupted_run_leaves_whole_scans_and_goes_on(scans, tmp_path, network):
    out = tmp_path / 'out'

    def interrupt(scan):
        if scan.name == '050':
            raise KeyboardInterrupt

    network.after = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(scans, out, save=('mask',))
    assert names_of(out / 'mask') == ['049_001.png', '049_002.png']
    assert [row['name'] for row in table(out, 'scans')] == ['049']
    assert not list((out / '.cranium').glob('temporary-*'))
    network.after = lambda scan: None
    assert run(scans, out, save=('mask',)).succeeded
    assert network.done == ['049', '050', '050']


def test_a_run_that_dies_between_the_files_of_a_scan_is_finished(
    scans, tmp_path, network, monkeypatch
):
    out, replace = tmp_path / 'out', module.Output._replace
    run(scans, out, save=('mask',))
    written = []

    def die(self, path, content, temporary):
        if path.name == '049.json' and b'"done"' in content:
            written.append(path)
            raise KeyboardInterrupt
        replace(self, path, content, temporary)

    monkeypatch.setattr(module.Output, '_replace', die)
    with pytest.raises(KeyboardInterrupt):
        run(scans, out, save=('mask',), window=Window(50, 100), overwrite=True)
    monkeypatch.undo()
    monkeypatch.setattr(Segmenter, 'from_pretrained', lambda *args: network)
    assert json.loads(written[0].read_text())['status'] == 'writing'
    (out / 'mask/049_001.png').write_bytes(b'of the old settings')
    with pytest.raises(CraniumError, match='050 was done with window'):
        run(scans, out, save=('mask',), window=Window(50, 100))
    shutil.rmtree(out / 'mask')
    (out / '.cranium/scans/050.json').unlink()
    (out / 'mask').mkdir()
    (out / 'mask/049_001.png').write_bytes(b'of the old settings')
    assert run(scans, out, save=('mask',), window=Window(50, 100)).succeeded
    assert (out / 'mask/049_001.png').read_bytes() != b'of the old settings'


def test_a_full_disk_ends_the_run_in_one_line(scans, tmp_path, network, monkeypatch):
    out, write = tmp_path / 'out', Path.write_bytes

    def full(self, content):
        if content.startswith(b'\x89PNG'):
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write(self, content)

    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(CraniumError, match=r'No space left on device\); free some space'):
        run(scans, out)
    assert network.done == ['049']
    assert names_of(out) == ['lesions.csv', 'scans.csv', 'slices.csv']


def test_a_folder_that_cannot_be_made_is_named(scans, tmp_path, network):
    (tmp_path / 'file').touch()
    with pytest.raises(CraniumError, match=r'file/out.*cannot be made .*; use another --out'):
        run(scans, tmp_path / 'file/out')


def test_two_runs_do_not_write_one_folder(scans, tmp_path, network):
    out = tmp_path / 'out'

    def start_another(scan):
        with pytest.raises(CraniumError, match='another run is writing it; wait for its end'):
            run(scans, out)

    network.after = start_another
    assert run(scans, out).succeeded


def test_several_processes_share_the_scans(scans, tmp_path, network):
    out = tmp_path / 'out'
    (scans / '051_001.png').write_bytes(b'\x89PNG\r\n\x1a\nbroken')
    first = run([scans, tmp_path / 'missing'], out, Share(0, 2), save=('mask',))
    assert first.began == (['049', '051_001'], 3)
    # Another is still at work, whom a launcher would stop if this one failed.
    assert first.succeeded
    assert [row['name'] for row in table(out, 'scans')] == ['049', '051_001', '']
    second = run([scans, tmp_path / 'missing'], out, Share(1, 2), save=('mask',))
    assert second.began == (['050'], 3)
    assert not second.succeeded
    assert [row['name'] for row in table(out, 'scans')] == ['049', '050', '051_001', '']
    assert len(second.outcomes) == 1  # what is no scan is said once


def test_a_failure_of_an_earlier_run_does_not_count(scans, tmp_path, network):
    out, well = tmp_path / 'out', (scans / '050_001.png').read_bytes()
    (scans / '050_001.png').write_bytes(b'broken')
    assert run(scans, out, Share(0, 2)).succeeded
    assert not run(scans, out, Share(1, 2)).succeeded
    (scans / '050_001.png').write_bytes(well)
    meanwhile = []
    network.after = lambda scan: meanwhile.append(run(scans, out, Share(0, 2)).succeeded)
    assert run(scans, out, Share(1, 2)).succeeded
    assert meanwhile == [True]


def test_the_last_process_answers_for_all(tmp_path, network):
    picture, study, out = tmp_path / 'head.png', tmp_path / 'study', tmp_path / 'out'
    save_picture(picture, heads(1)[0])
    write_series(study, np.full((3, 40, 40), 30, np.int16), signed=True)
    first = run([picture, study], out, Share(0, 2), save=('mask', 'nifti'))
    assert first.problems and first.succeeded  # a picture has no NIfTI
    second = run([picture, study], out, Share(1, 2), save=('mask', 'nifti'))
    assert not second.problems and not second.succeeded


def test_both_processes_write_at_the_same_time(scans, tmp_path, network):
    out = tmp_path / 'out'
    network.after = lambda scan: scan.name == '049' and run(scans, out, Share(1, 2))
    assert run(scans, out, Share(0, 2)).succeeded
    assert [row['name'] for row in table(out, 'scans')] == ['049', '050']


def test_an_anonymous_run_keeps_no_path_and_no_name(scans, tmp_path, network):
    out = tmp_path / 'out'
    for file in scans.glob('050*'):
        file.rename(file.with_name(file.name.replace('050', 'DoeJane')))
    (scans / 'DoeJack_001.png').write_bytes(b'\x89PNG\r\n\x1a\nbroken')
    run([scans, tmp_path / 'DoeJoe.dcm'], out, anonymize=True, save=('mask', 'nifti'), report=True)
    for path in out.rglob('*'):
        assert 'Doe' not in path.name
        if path.is_file():
            assert b'Doe' not in path.read_bytes()
            assert str(scans).encode() not in path.read_bytes()
    rows = table(out, 'scans')
    assert sorted(row['status'] for row in rows) == ['done', 'done', 'failed', 'failed']
    assert [row['name'][:5] for row in rows] == ['scan-', 'scan-', 'scan-', '']


def test_the_page_holds_all_scans_and_loads_nothing(scans, tmp_path, network):
    out = tmp_path / 'out'
    run(scans, out, save=('mask',))
    run(scans, out, save=('mask',), report=True)
    text = (out / 'report.html').read_text()
    assert text.count('<details id="scan-') == 2
    assert text.count('class="prediction" src="data:') == 4
    assert 'Not a medical device' in text
    assert 'http' not in text
    (scans / '048_001.png').write_bytes(b'\x89PNG\r\n\x1a\nbroken')
    run(scans, out, save=('mask',), report=True)
    assert '1 could not be\n  done' in (out / 'report.html').read_text()


def test_scans_are_read_by_joblibs_workers(scans, tmp_path, network):
    from joblib import parallel_config

    with parallel_config('threading', n_jobs=2):
        assert run(scans, tmp_path / 'out', save=('mask',)).succeeded
    assert network.done == ['049', '050']


def test_an_empty_folder_has_no_scan(tmp_path, network):
    (tmp_path / 'empty').mkdir()
    notes = run(tmp_path / 'empty', tmp_path / 'out')
    assert not notes.succeeded
    assert 'empty: no scan in it; name DICOM, NIfTI' in notes.problems[0]


def test_a_file_that_may_not_be_read_fails_alone(scans, tmp_path, network, monkeypatch):
    read = Path.read_bytes

    def refuse(self):
        if self.name == '049_002.png':
            raise PermissionError(errno.EACCES, 'Permission denied', str(self))
        return read(self)

    monkeypatch.setattr(Path, 'read_bytes', refuse)
    notes = run(scans, tmp_path / 'out')
    assert notes.problems == [f'{scans / "049_002.png"}: Permission denied; check its permissions']
    assert network.done == ['050']


def test_what_was_done_stays_when_the_scan_is_damaged_later(scans, tmp_path, network):
    out, well = tmp_path / 'out', (scans / '050_001.png').read_bytes()
    run(scans, out)
    (scans / '050_001.png').write_bytes(b'broken')
    assert not run(scans, out, overwrite=True).succeeded
    assert [row['status'] for row in table(out, 'scans')] == ['done', 'done']
    (scans / '050_001.png').write_bytes(well)
    assert run(scans, out).lines == ['049: done before', '050: done before']


def test_a_table_is_no_place_for_formulas(tmp_path, network):
    scans = tmp_path / '=1+1'
    scans.mkdir()
    save_picture(scans / 'head.png', heads(1)[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        run(Path('=1+1'), tmp_path / 'out')
    assert table(tmp_path / 'out', 'scans')[0]['source'] == "'=1+1/head.png"
