"""What needs the real download, or minutes: run with CT_ICH_ROOT set."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cranium.manifest import mask_path, read_manifest

from .test_prepare import files, wait_for_staged

SOURCE = os.environ.get('CT_ICH_ROOT', '')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SOURCE, reason='CT_ICH_ROOT is not set'),
]


def command(*args: object) -> list[str]:
    options = ('prepare', '--source', SOURCE, '--jobs', 2, *args)
    return [sys.executable, '-m', 'cranium.cli', *map(str, options)]


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
    out = tmp_path_factory.mktemp('whole') / 'out'
    subprocess.run(command('--out', out), check=True, capture_output=True)
    return out


def test_every_pixel_is_pillows(prepared):
    rows = read_manifest(prepared)
    assert len(rows) > 2000
    for _, row in rows.iterrows():
        sources = row['sources'].split(';')
        image = np.asarray(Image.open(Path(SOURCE) / sources[0]))
        if row['notes'].startswith('erratum: windows'):  # is rendered anew
            assert row['patient'] == '050'
            image = np.asarray(Image.open(prepared / row['image']))
        assert np.array_equal(np.asarray(Image.open(prepared / row['image'])), image)
        mask = np.asarray(Image.open(prepared / mask_path(row['image'])))
        if row['label'] == 'mask':
            expected = np.asarray(Image.open(Path(SOURCE) / sources[-1])) > 127
            assert np.array_equal(mask, expected)
        else:
            assert not mask.any()


def test_authors_folds_are_as_published(tmp_path):
    done = subprocess.run(
        command('--out', tmp_path, '--split', 'authors', '--fold', 3, '--dry-run'),
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = [line for line in done.stdout.splitlines() if line.startswith('| test')]
    # Patients, slices, patients with hemorrhage, hemorrhage slices.
    assert [int(cell) for cell in row.split('|')[2:-1]] == [16, 479, 10, 79]


@pytest.mark.parametrize('staged', [1, 100, 500, 1000])
def test_killed_with_its_workers_running_then_run_again(prepared, tmp_path, staged):
    out = tmp_path / 'out'
    process = subprocess.Popen(
        command('--out', out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for_staged(process, out, staged)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (out / 'images').exists()
    subprocess.run(command('--out', out), check=True, capture_output=True)
    # First what a person can read, so that a failure shows the rows that differ.
    assert read_lines(out / 'manifest.csv') == read_lines(prepared / 'manifest.csv')
    assert files(out) == files(prepared)


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding='utf-8').splitlines()
