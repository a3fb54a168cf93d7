"""``cranium statistics`` and ``cranium sheets``; and where the sample comes from."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.visualization.overlay import COLOURS, TRUTH
from tests.conftest import ROOT
from tests.conftest import call_cranium as run

SAMPLE = ROOT / 'data/sample'


def test_statistics_of_the_sample(tmp_path):
    done = run('statistics', '--source', SAMPLE)
    assert done.exit_code == 0, done.output
    assert re.search(r'\| background +\| +61 \|', done.output)
    assert re.search(r'\| hemorrhage +\| +38 \|', done.output)
    out = tmp_path / 'statistics.json'
    assert run('statistics', '--source', SAMPLE, '--format', 'json', '--out', out).output == ''
    assert json.loads(out.read_text())['tables']['splits']['all']['hemorrhage_slices'] == 38


def test_sheet_and_page_of_the_sample(tmp_path):
    sheet, page = tmp_path / 'sheet.png', tmp_path / 'page.html'
    done = run('sheets', '--source', SAMPLE, '--out', sheet, '--number', 4)
    assert done.output == f'{sheet}: 4 slices\n'
    pixels = np.asarray(Image.open(sheet))
    assert pixels.shape == (612, 1564, 3)  # two rows of three slices, each with its bone window
    assert (pixels[48:] == COLOURS[TRUTH]).all(axis=-1).sum() > 200
    done = run('sheets', '--source', SAMPLE, '--out', page, '--patient', 94)
    assert done.exit_code == 0, done.output
    assert page.read_text().count('data:image/png') == 6 * 3  # image, bone, outline


def test_several_patients_at_once(tmp_path):
    done = run('sheets', '--source', SAMPLE, '--out', tmp_path / 'x.png', '--patient', 50, '66')
    assert done.exit_code == 0 and done.output.endswith('10 slices\n')


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['statistics', '--format', 'figure'], '--out: name a .png or .svg'),
        (['statistics', '--mask-threshold', '255'], '0<=x<=254'),
        (['sheets', '--out', 'x.gif'], 'name a .png or .html file'),
        (['sheets', '--out', 'x.html'], 'needs one --patient'),
        (['sheets', '--number', '0'], 'x>=1'),
    ],
)
def test_usage(args, message):
    done = run(*args)
    assert done.exit_code == 2 and message in done.output


@pytest.mark.parametrize(
    ('args', 'kind', 'message'),
    [
        (['statistics', '--source', 'absent'], CraniumError, 'no such file or folder'),
        (['sheets', '--source', SAMPLE, '--patient', '1'], CraniumError, 'no patient 001'),
        (['sheets', '--source', SAMPLE, '--out', 'absent/x.png'], OSError, 'absent/x.png'),
    ],
)
def test_errors(args, kind, message):
    error = run(*args).exception
    assert isinstance(error, kind) and message in str(error)


@pytest.mark.slow
@pytest.mark.skipif('CT_ICH_ROOT' not in os.environ, reason='CT_ICH_ROOT is not set')
def test_the_sample_is_that_of_the_download(tmp_path):
    out = tmp_path / 'sample'
    command = [sys.executable, ROOT / 'tools/make_sample.py', '--out', out]
    subprocess.run([*command, '--source', os.environ['CT_ICH_ROOT']], check=True)
    for path in filter(os.path.isfile, out.rglob('*')):
        assert path.read_bytes() == (SAMPLE / path.relative_to(out)).read_bytes()
