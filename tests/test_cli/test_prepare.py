"""``cranium prepare`` and ``cranium check``."""

import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import cv2
import pytest

from benchmarks.preparation import multiply
from cranium.errors import CraniumError
from cranium.manifest import read_manifest
from cranium.preparation.source import FolderSource
from tests.conftest import ROOT
from tests.conftest import call_cranium as run

SAMPLE = ROOT / 'data/sample'


def prepare(*args: object) -> str:
    result = run('prepare', '--source', SAMPLE, *args)
    assert result.exit_code == 0, result.exception
    return result.output


def files(out: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob('*')
        if path.is_file()
    }


def wait_for_staged(process: subprocess.Popen, out: Path, images: int = 1) -> None:
    """Wait until a run that prepares ``out`` has so many images in its staging folder."""
    while len(list(out.glob('.cranium/staging-*/images/*/*'))) < images:
        assert process.poll() is None, f'ended before {images} images were staged'
        time.sleep(0.005)


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
    out = tmp_path_factory.mktemp('prepared') / 'out'
    return out, prepare('--out', out)


def test_the_sample(prepared):
    out, printed = prepared
    assert '61 slices written' in printed
    assert len(list(out.glob('images/*/*.png'))) == len(list(out.glob('masks/*/*.png'))) == 61
    assert [path.name for path in sorted(out.glob('images/*'))] == ['train', 'val']
    rows = read_manifest(out)
    types = {name for cell in rows['types'] for name in cell.split('+') if name}
    assert len(types) == 5
    assert set(rows.loc[rows['label'] == 'mask', 'split']) == {'train', 'val'}
    for check in (['check', out], ['prepare', '--check', '--out', out]):
        assert run(*check).output == f'{out}: every file is as it was written\n'


def test_a_zip_in_data_is_found_without_options(tmp_path, prepared, monkeypatch):
    data = tmp_path / 'data'
    data.mkdir()
    with zipfile.ZipFile(data / 'archive.zip', 'w') as archive:
        for path in SAMPLE.rglob('*'):
            archive.write(path, Path('wrapping') / path.relative_to(SAMPLE))
    monkeypatch.chdir(tmp_path)
    assert run('prepare').exit_code == 0
    found = files(data)
    for name, content in files(prepared[0]).items():
        if name != 'dataset.json':  # it names the source
            assert found[name] == content, name


def test_dry_run_writes_nothing(tmp_path):
    assert 'nothing written' in prepare('--out', tmp_path / 'out', '--dry-run')
    assert not (tmp_path / 'out').exists()


def test_slice_split_prints_its_warning(tmp_path):
    assert 'figures on it are inflated' in prepare('--out', tmp_path, '--split', 'slice')


def test_authors_split_of_the_sample(tmp_path):
    prepare('--out', tmp_path, '--split', 'authors', '--fold', 1)
    assert sorted(path.name for path in tmp_path.glob('images/*')) == ['test', 'train', 'val']


@pytest.mark.parametrize(
    'args',
    [
        ['--fold', '5'],
        ['--fold', '-1'],
        ['--folds', '1'],
        ['--split', 'authors', '--folds', '4'],
        ['--split', 'best'],
        ['--mask-threshold', '255'],
        ['--jobs', '0'],
        ['--seed', '-1'],
        ['--check', '--dry-run'],
        ['--splits', 'splits.json', '--split', 'patient'],
        ['--splits', 'splits.json', '--folds', '5'],
        ['--splits', 'splits.json', '--seed', '0'],
        ['--windows', 'brain'],
        ['--window', 'brain-bone'],
        ['--errata', 'maybe'],
    ],
)
def test_usage_errors(args):
    result = run('prepare', *args)
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith('Error: ')


def test_no_download_says_where_to_get_it(tmp_path):
    with pytest.raises(CraniumError, match=r'https://www\.kaggle\.com/.*--source data/sample'):
        raise run('prepare', '--source', tmp_path).exception


def test_check_lists_findings(tmp_path, prepared):
    shutil.copytree(prepared[0], tmp_path / 'out')
    mine = tmp_path / 'out/images/train/mine.png'
    mine.write_bytes(b'')
    result = run('check', tmp_path / 'out')
    assert result.output == f'{mine}: foreign, not in the manifest\n'
    with pytest.raises(CraniumError, match='1 findings; move foreign files away, then'):
        raise result.exception


def test_check_of_a_download(tmp_path):
    result = run('check', SAMPLE, '--out', tmp_path / 'checks.png')
    assert result.exit_code == 0, result.exception
    one, other, *rest = result.output.splitlines()
    assert one.startswith('050: gray value 110 of the brain window is 66.83 in the bone window (ex')
    assert other.startswith('081: ') and 'an erratum corrects it: ' in other
    assert rest == [
        f'{tmp_path}/checks.png',
        f'{SAMPLE}: windows as expected in 10 of 12 scans; 38 masks tested',
    ]
    assert cv2.imread(str(tmp_path / 'checks.png')).shape == (720, 1080, 3)


def test_check_of_a_wrong_download(tmp_path):
    """An unknown scan with other windows, a mask that cannot be, and letters in Latin-1."""
    raw = tmp_path / 'raw'
    shutil.copytree(SAMPLE, raw)
    (raw / 'Patients_CT/050').rename(raw / 'Patients_CT/150')
    mask = raw / 'Patients_CT/066/brain/14_HGE_Seg.jpg'
    cv2.imwrite(str(mask), 255 - cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE))
    people = raw / 'patient_demographics.csv'
    people.write_bytes(people.read_bytes().replace(b'Male', b'M\xe4nnlich'))
    result = run('check', raw)
    first, *_, fault, known, unknown, last = result.output.splitlines()
    assert first == f'{people}: not in UTF-8; read as Latin-1'
    assert fault.startswith(f'{mask}: the mask covers')
    assert known.startswith('081: ') and unknown.startswith('150: ')
    assert last == f'{raw}: windows as expected in 10 of 12 scans; 38 masks tested'
    with pytest.raises(CraniumError, match=r'2 scans are wrong, 066 first; see above'):
        raise result.exception


def test_remarks_of_a_preparation(prepared):
    lines = prepared[1].splitlines()
    assert [line[:5] for line in lines if 'an erratum corrects it' in line] == ['050: ', '081: ']


def test_errors_are_one_line_and_help_needs_no_fcntl(tmp_path):
    """By path, as OpenMMLab's users call it, and where the system has no ``fcntl``."""
    code = (
        'import sys, runpy; sys.modules["fcntl"] = None; sys.argv = sys.argv[1:]; '
        'runpy.run_path(sys.argv[0], run_name="__main__")'
    )
    tool = ROOT / 'tools/prepare_dataset.py'
    command = [sys.executable, '-c', code, tool]
    done = subprocess.run([*command, '--help'], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert 'Example: cranium prepare' in done.stdout
    command = [sys.executable, tool, '--source', tmp_path / 'x.zip', '--out', tmp_path / 'out']
    (tmp_path / 'x.zip').write_bytes(b'PK')
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.startswith(f'error: {tmp_path}/x.zip: not a readable zip')
    assert done.stderr.count('\n') == 1


def test_the_commands_load_nothing_slow():
    code = (
        'import sys, cranium.cli.prepare, cranium.cli.check; print({"torch", "sklearn", "scipy", '
        '"matplotlib", "joblib", "pandas", "numpy", "cv2", "PIL"} & set(sys.modules))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout == 'set()\n', done.stderr


def test_preparing_loads_no_torch(tmp_path):
    code = (
        'import sys\nfrom cranium.cli.prepare import command\n'
        'command.main(sys.argv[1:], standalone_mode=False); print("torch" in sys.modules)'
    )
    args = ['--source', SAMPLE, '--out', tmp_path / 'out']
    done = subprocess.run([sys.executable, '-c', code, *args], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == 'False', done.stderr


@pytest.fixture(scope='module')
def long_run(tmp_path_factory):
    """Arguments of a run that takes seconds after its first file, and the tree that it writes."""
    folder = tmp_path_factory.mktemp('long')
    source = multiply(FolderSource(SAMPLE), folder / 'raw', 400)
    args = ['prepare', '--source', str(source), '--jobs', '1']
    assert run(*args, '--out', folder / 'out').exit_code == 0
    return args, folder / 'out'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_interrupted_then_run_again(long_run, tmp_path, number):
    args, expected = long_run
    out = tmp_path / 'out'
    command = [sys.executable, '-m', 'cranium.cli', *args, '--out', str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_staged(process, out)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert errors.strip() == ('interrupted' if number == signal.SIGINT else '')
    assert not (out / 'images').exists()
    assert run(*args, '--out', out).exit_code == 0
    assert files(out) == files(expected)


def test_the_sample_is_what_make_sample_chooses(tmp_path):
    command = [sys.executable, ROOT / 'tools/make_sample.py', '--source', SAMPLE, '--out', tmp_path]
    subprocess.run(command, check=True)
    assert files(tmp_path).items() == {
        item for item in files(SAMPLE).items() if item[0] != 'README.md'
    }
