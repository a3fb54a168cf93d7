"""The command as typed, from the checkout's root."""

import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.preparation import multiply
from cranium.preparation.source import FolderSource

from .commands import files, wait_for_staged

ROOT = Path(__file__).parents[2]


def run(*args: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / 'tools/prepare_dataset.py'), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100)


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
    out = tmp_path_factory.mktemp('prepared') / 'out'
    done = run('--source', 'data/sample', '--out', out)
    assert (done.returncode, done.stderr) == (0, '')
    return out, done.stdout


def test_the_sample(prepared):
    out, printed = prepared
    assert '61 slices written' in printed
    assert len(list(out.glob('images/*/*.png'))) == len(list(out.glob('masks/*/*.png'))) == 61
    assert [path.name for path in sorted(out.glob('images/*'))] == ['train', 'val']
    assert (out / 'images/train/050_014.png').exists() or (out / 'images/val/050_014.png').exists()
    checked = run('--check', '--out', out)
    assert (checked.returncode, checked.stderr) == (0, '')
    assert 'every file is as it was written' in checked.stdout


def test_all_types_and_both_sides(prepared):
    out, _ = prepared
    rows = [line.split(',') for line in (out / 'manifest.csv').read_text().splitlines()[1:]]
    types = {name for row in rows for name in row[5].split('+') if name}
    assert types == {
        'Epidural',
        'Subdural',
        'Intraparenchymal',
        'Intraventricular',
        'Subarachnoid',
    }
    assert {row[2] for row in rows if row[3] == 'mask'} == {'train', 'val'}


def test_a_zip_in_data_is_found_without_options(tmp_path, prepared):
    data = tmp_path / 'data'
    data.mkdir()
    with zipfile.ZipFile(data / 'archive.zip', 'w') as archive:
        for path in (ROOT / 'data/sample').rglob('*'):
            archive.write(path, Path('wrapping') / path.relative_to(ROOT / 'data/sample'))
    done = run(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    expected = files(prepared[0])
    found = files(data)
    for name, content in expected.items():
        if name != 'dataset.json':  # it names the source
            assert found[name] == content, name


def test_dry_run_writes_nothing(tmp_path):
    done = run('--source', 'data/sample', '--out', tmp_path / 'out', '--dry-run')
    assert done.returncode == 0
    assert 'nothing written' in done.stdout
    assert not (tmp_path / 'out').exists()


def test_slice_split_prints_its_warning(tmp_path):
    done = run('--source', 'data/sample', '--out', tmp_path, '--split', 'slice')
    assert done.returncode == 0
    assert 'figures on it are inflated' in done.stdout


def test_authors_split_of_the_sample(tmp_path):
    done = run('--source', 'data/sample', '--out', tmp_path, '--split', 'authors', '--fold', 1)
    assert done.returncode == 0, done.stderr
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
    ],
)
def test_usage_errors(args):
    done = run(*args)
    assert done.returncode == 2
    assert 'error: ' in done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stderr


def one_line_error(done: subprocess.CompletedProcess) -> str:
    assert (done.returncode, done.stdout) == (1, ''), done
    (line,) = done.stderr.splitlines()
    assert line.startswith('prepare_dataset.py: error: ')
    return line


def test_no_download_says_where_to_get_it(tmp_path):
    (tmp_path / 'data').mkdir()
    line = one_line_error(run(cwd=tmp_path))
    assert 'https://www.kaggle.com/' in line
    assert '--source data/sample' in line


def test_errors_are_one_line(tmp_path):
    bad = tmp_path / 'x.zip'
    bad.write_bytes(b'PK')
    assert str(bad) in one_line_error(run('--source', bad, '--out', tmp_path / 'out'))
    assert 'dataset.json' in one_line_error(run('--check', '--out', tmp_path))


def test_check_lists_findings(prepared, tmp_path):
    out = tmp_path / 'out'
    run('--source', 'data/sample', '--out', out)
    (out / 'images/train/mine.png').write_bytes(b'')
    done = run('--check', '--out', out)
    assert done.returncode == 1
    assert done.stdout == f'{out}/images/train/mine.png: foreign, not in the manifest\n'
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope='module')
def long_run(tmp_path_factory):
    """Arguments of a run that takes seconds after its first file, and the tree that it writes."""
    folder = tmp_path_factory.mktemp('long')
    source = multiply(FolderSource(ROOT / 'data/sample'), folder / 'raw', 400)
    args = ['--source', str(source), '--jobs', '1']
    assert run(*args, '--out', folder / 'out').returncode == 0
    return args, folder / 'out'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_interrupted_then_run_again(long_run, tmp_path, number):
    args, expected = long_run
    out = tmp_path / 'out'
    command = [sys.executable, 'tools/prepare_dataset.py', *args, '--out', str(out)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_staged(process, out)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert errors == ('prepare_dataset.py: interrupted\n' if number == signal.SIGINT else '')
    assert not (out / 'images').exists()
    assert run(*args, '--out', out).returncode == 0
    assert files(out) == files(expected)


@pytest.mark.parametrize(
    'tool', ['prepare_dataset', 'dataset_statistics', 'visualize_dataset', 'benchmark']
)
def test_help_is_quick(tool):
    code = (
        'import runpy, sys; sys.argv = [sys.argv[1], "--help"]; sys.path.insert(0, "tools");\n'
        'try: runpy.run_path(sys.argv[0], run_name="__main__")\n'
        'except SystemExit: pass\n'
        'slow = {"torch", "sklearn", "scipy", "matplotlib", "joblib", "mmengine"}\n'
        'print(sorted(slow & set(sys.modules)))'
    )
    path = f'tools/{tool}.py'
    done = subprocess.run(
        [sys.executable, '-c', code, path], cwd=ROOT, capture_output=True, text=True
    )
    assert 'usage: ' in done.stdout
    assert done.stdout.splitlines()[-1] == '[]'
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, path, '--help'], cwd=ROOT, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # CPU time, which on a machine with nothing else to do is the time to wait.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.7
