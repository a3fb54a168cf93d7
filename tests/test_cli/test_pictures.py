"""``cranium report``, ``curves``, ``contact-sheet`` and ``pipeline``."""

import json

import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.visualization.overlay import COLOURS, PREDICTION, TRUTH
from tests.conftest import ROOT
from tests.conftest import call_cranium as run
from tests.test_tools.commands import save_masks

CONFIG = ROOT / 'configs/unet-cranium_small_1xb8-8k_cranium-aligned-192x160.py'


def test_report(tmp_path):
    save_masks(tmp_path)
    out = tmp_path / 'results'
    masks = ('--pred', tmp_path / 'good', '--truth', tmp_path / 'masks/val')
    done = run('evaluate', *masks, '--images', tmp_path / 'images/val', '--out', out)
    assert done.exit_code == 0, done.output
    done = run('report', out)
    assert done.output == f'{out / "report.html"}\n'
    page = (out / 'report.html').read_text()
    assert page.startswith('<!DOCTYPE html>') and len(page) < 10e6
    done = run('report', out, '--format', 'md', '--out', tmp_path / 'x.md')
    assert done.output == f'{tmp_path / "x.md"}\n'
    assert (tmp_path / 'x.md').read_text().startswith('# Intracranial hemorrhage: results\n')


def test_report_without_results(tmp_path):
    assert 'mim test' in str(run('report', tmp_path).exception)


def test_curves(tmp_path):
    path = tmp_path / 'run/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(dict(step=1, loss=3.0)) + '\n')
    out = tmp_path / 'curves.png'
    assert run('curves', tmp_path).output == f'{out}\n'
    assert Image.open(out).size == (600, 420)


@pytest.mark.parametrize('command', ['curves', 'contact-sheet', 'pipeline'])
def test_a_format_that_is_none_stops_before_anything_is_done(command, tmp_path):
    done = run(command, tmp_path, '--out', tmp_path / 'picture.gif')
    assert done.exit_code == 2 and 'name a .png or ' in done.output


def test_contact_sheet(tmp_path):
    save_masks(tmp_path, num_patients=3)
    out = tmp_path / 'sheet.png'
    done = run('contact-sheet', tmp_path / 'good', '--data', tmp_path, '--out', out, '--count', 9)
    assert done.output == f'9 slices in {out}\n'
    pixels = np.asarray(Image.open(out))[48:]
    for kind in (TRUTH, PREDICTION):
        assert (pixels == COLOURS[kind]).all(axis=-1).sum() > 50
    error = run('contact-sheet', tmp_path / 'images', '--data', tmp_path, '--out', out).exception
    assert isinstance(error, CraniumError) and 'mim test --out' in str(error)


@pytest.fixture(scope='module')
def hu_tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp('prepared') / 'tree'
    source = ROOT / 'data/sample'
    done = run('prepare', '--source', source, '--window', 'hu', '--out', tree)
    assert done.exit_code == 0, done.output
    return tree


def test_the_recommended_pipeline(hu_tree, tmp_path):
    out = tmp_path / 'pipeline.png'
    done = run('pipeline', CONFIG, '--data', hu_tree, '--out', out, '--count', 2)
    assert f'2 slices in {out}\n' in done.output
    pixels = np.asarray(Image.open(out))
    assert pixels.shape[0] == 612 and pixels.shape[1] > 1500  # two rows of at least six
    assert (pixels == COLOURS[TRUTH]).all(axis=-1).any()


def test_a_pipeline_without_its_data(tmp_path):
    error = run('pipeline', CONFIG, '--data', tmp_path, '--out', tmp_path / 'out.png').exception
    assert 'is not a folder; expected the prepared slices' in str(error)
