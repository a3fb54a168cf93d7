"""dataset_statistics.py, visualize_dataset.py and make_sample.py as typed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def run(tool: str, *args: object) -> subprocess.CompletedProcess:
    command = [sys.executable, f'tools/{tool}.py', *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_statistics_of_the_sample(tmp_path):
    done = run('dataset_statistics', '--source', 'data/sample')
    assert (done.returncode, done.stderr) == (0, '')
    assert '| background |         61 |' in done.stdout
    assert '| hemorrhage |         38 |' in done.stdout
    out = tmp_path / 'statistics.json'
    done = run('dataset_statistics', '--source', 'data/sample', '--format', 'json', '--out', out)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert json.loads(out.read_text())['classes']['all']['hemorrhage']['slices'] == 38


def test_sheet_and_page_of_the_sample(tmp_path):
    sheet, page = tmp_path / 'sheet.png', tmp_path / 'page.html'
    done = run('visualize_dataset', '--source', 'data/sample', '--out', sheet, '--number', 4)
    assert (done.returncode, done.stderr) == (0, '')
    assert Image.open(sheet).size == (1958, 690)
    done = run('visualize_dataset', '--source', 'data/sample', '--out', page, '--patient', 94)
    assert done.returncode == 0, done.stderr
    assert page.read_text().count('data:image/png') == 6 * 3  # image, bone, outline


@pytest.mark.parametrize(
    ('tool', 'args', 'status'),
    [
        ('dataset_statistics', ['--format', 'figure'], 2),
        ('dataset_statistics', ['--source', 'absent'], 1),
        ('visualize_dataset', ['--out', 'x.gif'], 2),
        ('visualize_dataset', ['--out', 'x.html'], 2),
        ('visualize_dataset', ['--source', 'data/sample', '--out', 'absent/x.png'], 1),
        ('visualize_dataset', ['--source', 'data/sample', '--patient', '1'], 1),
        ('make_sample', ['--source', 'absent', '--out', 'absent'], 1),
        ('make_sample', ['--source', 'data/sample'], 1),  # it exists
    ],
)
def test_errors(tool, args, status):
    done = run(tool, *args)
    assert done.returncode == status
    assert 'Traceback' not in done.stderr
    assert f'{tool}.py: error: ' in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.skipif('CT_ICH_ROOT' not in os.environ, reason='CT_ICH_ROOT is not set')
def test_the_sample_is_reproduced_byte_for_byte(tmp_path):
    out = tmp_path / 'sample'
    done = run('make_sample', '--source', os.environ['CT_ICH_ROOT'], '--out', out)
    assert done.returncode == 0, done.stderr
    tracked = ROOT / 'data/sample'

    def content(folder):
        return {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob('*')
            if path.is_file() and path.name != 'README.md'
        }

    assert content(out) == content(tracked)
