import pytest
from PIL import Image

from tests.conftest import ROOT

from .commands import call

CONFIG = ROOT / 'configs/unet-cranium_small_1xb8-8k_cranium-aligned-192x160.py'


@pytest.fixture(scope='module')
def both_windows(tmp_path_factory):
    tree = tmp_path_factory.mktemp('prepared') / 'tree'
    done = call(
        'prepare_dataset', '--source', ROOT / 'data/sample', '--window', 'brain-bone', '--out', tree
    )
    assert done.returncode == 0, done.stderr
    return tree


def test_the_recommended_pipeline(both_windows, tmp_path):
    out = tmp_path / 'pipeline.png'
    done = call('draw_pipeline', CONFIG, '--data', both_windows, '--out', out, '--count', 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f'2 slices in {out}\n')
    assert Image.open(out).width > 1000


def test_data_that_is_not_there(tmp_path):
    done = call('draw_pipeline', CONFIG, '--data', tmp_path, '--out', tmp_path / 'out.png')
    assert done.returncode == 1
    (line,) = [text for text in done.stderr.splitlines() if text.startswith('draw_pipeline.py: ')]
    assert 'is not a folder; expected the prepared slices' in line


def test_a_tree_without_bone_window(sample_tree, tmp_path):
    done = call('draw_pipeline', CONFIG, '--data', sample_tree, '--out', tmp_path / 'out.png')
    assert done.returncode == 1
    assert '--window brain-bone' in done.stderr
