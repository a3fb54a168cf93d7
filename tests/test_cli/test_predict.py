"""Tests of ``cranium predict`` as a user types it."""

import csv
import os
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest
from PIL import Image

from cranium.cli import COMMANDS
from cranium.cli.predict import FORMATS
from cranium.evaluation.masks import read_mask
from cranium.inference import writers
from cranium.windows import BRAIN, decode_hu
from tests.conftest import BIN, ROOT, call_cranium, run_command
from tests.dicom_files import write_series
from tests.test_inference.made import heads, names_of


@pytest.fixture
def scan(tmp_path):
    folder = tmp_path / 'scan'
    folder.mkdir()
    for number, hu in enumerate(heads(2), start=1):
        Image.fromarray(BRAIN.to_gray(hu)).save(folder / f'049_{number:03d}.png')
    return folder


def test_the_formats_are_those_that_can_be_written():
    assert set(FORMATS) == set(writers.FORMATS)
    assert 'predict' in COMMANDS


def test_help_ends_with_examples_and_loads_no_torch():
    code = (
        'import sys\nfrom cranium.cli import cranium\n'
        'try:\n    cranium(["predict", "--help"])\n'
        'finally:\n    print("torch" in sys.modules, "numpy" in sys.modules)'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout
    assert out.rstrip().endswith('False False')
    assert 'cranium predict scan.dcm --out results' in out


def test_it_says_a_line_for_each_scan_and_what_pictures_are_taken_for(scan, tmp_path, network):
    result = call_cranium('predict', scan, '--out', tmp_path / 'out', '--window', 35, 80)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith('049: 2 slices, hemorrhage (score 3.00), ')
    assert lines[1].startswith(
        '  taken for pictures of the window -5 to 75 HU (level 35, width 80)'
    )
    assert '  a stand-in' in lines
    assert lines[-1] == str(tmp_path / 'out/scans.csv')


def test_the_window_is_estimated(scan, tmp_path, network):
    result = call_cranium('predict', scan, '--out', tmp_path / 'out', '--estimate-window')
    assert result.exit_code == 0
    # Squares on black have no white and gray matter.
    assert '(level 40, width 120), as their brain says nothing' in result.stdout


def test_formats_are_given_at_once(scan, tmp_path, network):
    out = tmp_path / 'out'
    result = call_cranium('predict', scan, '--save', 'mask', 'probability', '--out', out)
    assert result.exit_code == 0
    assert names_of(out / 'probability') == ['049_001.png', '049_002.png']


def test_failures_are_listed_at_the_end(scan, tmp_path, network):
    (scan / '050_001.png').write_bytes(b'\x89PNG\r\n\x1a\nbroken')
    missing = tmp_path / 'missing.dcm'
    result = call_cranium('predict', scan, missing, '--out', tmp_path / 'out')
    assert result.exit_code == 1
    assert '049: 2 slices' in result.stdout
    *_, head, first, second = result.stderr.splitlines()
    assert head == '2 of 3 failed:'
    assert str(missing) in first
    assert '050_001.png' in second


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['scan', '--out', 'out', '--window', '40', '0'], 'the width must be above 0, not 0'),
        (
            ['scan', '--out', 'out', '--window', '40', '80', '--estimate-window'],
            '--window says what --estimate-window would find; leave one out',
        ),
        (['scan'], "Missing option '--out'"),
        (['scan', '--out', 'out', '--save', 'dicom'], "'dicom' is not one of"),
    ],
)
def test_wrong_usage(arguments, message):
    result = call_cranium('predict', *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_door_in_tools_is_the_same_command():
    text = run_command('python', 'tools/predict.py', '--help')
    assert text.startswith('Usage: predict.py [OPTIONS] INPUT...')
    assert 'Example: cranium predict scan.dcm' in text


def test_a_bar_with_the_time_left_is_shown_on_a_terminal(scan, tmp_path, network, monkeypatch):
    monkeypatch.setattr('cranium.cli.predict._on_terminal', lambda: True)
    result = call_cranium('predict', scan, '--out', tmp_path / 'out')
    assert result.exit_code == 0
    assert 'slices' in result.stderr


def start(*arguments):
    return subprocess.Popen(
        [BIN / 'cranium', 'predict', *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {'PYTHONUNBUFFERED': '1'},
    )


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(tmp_path):
    rng = np.random.default_rng(0)
    folder, out = tmp_path / 'scans', tmp_path / 'out'
    folder.mkdir()
    y, x = np.mgrid[:256, :256] - 127.5
    head = np.full((256, 256), -1000, np.int16)
    head[(x / 90) ** 2 + (y / 110) ** 2 < 1] = 1000
    head[(x / 84) ** 2 + (y / 104) ** 2 < 1] = 30
    for patient in range(40):
        pixels = BRAIN.to_gray(head + rng.integers(-5, 5, head.shape, dtype=np.int16))
        Image.fromarray(pixels).save(folder / f'{patient:03d}_001.png')
    process = start(folder, '--out', out, '--save', 'mask')
    while not list(out.glob('mask/*')):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == 'interrupted'
    with (out / 'scans.csv').open() as file:
        done = len(list(csv.DictReader(file)))
    assert 0 < done == len(list(out.glob('mask/*'))) < 40
    text = run_command('cranium', 'predict', folder, '--out', out, '--save', 'mask')
    assert text.count('done before') == done
    assert len(list(out.glob('mask/*'))) == 40


@pytest.mark.slow
def test_the_sample_gives_the_same_masks_in_every_format(tmp_path):
    run_command(
        'cranium',
        'prepare',
        '--source',
        'data/sample',
        '--out',
        tmp_path / 'tree',
        *['--window', 'hu'],
    )
    pictures = sorted((tmp_path / 'tree/images/val').glob('081_*.png'))
    hu = np.stack([decode_hu(np.asarray(Image.open(file), np.uint16)) for file in pictures])
    write_series(tmp_path / 'dicom', hu, spacing=(0.36, 0.36), signed=True, intercept=0)
    volume = nibabel.Nifti1Image(hu.transpose(2, 1, 0), np.diag([-0.36, -0.36, 5, 1]))
    volume.to_filename(tmp_path / '081.nii.gz')
    masks = []
    for name, source in (
        ('pictures', pictures),
        ('dicom', [tmp_path / 'dicom']),
        ('nifti', [tmp_path / '081.nii.gz']),
    ):
        out = tmp_path / f'out-{name}'
        run_command('cranium', 'predict', *source, '--out', out, '--save', 'mask')
        masks.append(np.stack([read_mask(file).labels for file in sorted(out.glob('mask/*'))]))
    assert masks[0].sum() > 10_000
    for other in masks[1:]:
        assert 2 * (masks[0] & other).sum() / (masks[0].sum() + other.sum()) > 0.999
    # And `cranium evaluate` takes the folder as it is.
    truth = tmp_path / 'truth'
    truth.mkdir()
    for file in pictures:
        mask = tmp_path / 'tree/masks/val' / file.name
        (truth / file.name).write_bytes(mask.read_bytes())
    text = run_command(
        *('cranium', 'evaluate', '--pred', tmp_path / 'out-pictures/mask', '--truth', truth),
        *('--out', tmp_path / 'results'),
    )
    assert 'patient/authors_dice' in text or 'Dice' in text
