import re
import subprocess
import sys

import numpy as np
import onnx
import pytest

from cranium.errors import CraniumError
from cranium.inference.export import card_of, export_onnx, read_sample
from cranium.inference.network import load_network
from cranium.inference.segmenter import Segmenter
from cranium.inference.spec import NetworkSpec
from cranium.manifest import read_manifest
from tests.conftest import ROOT, call_cranium

TORCH = ('mmcv', 'mmengine', 'mmseg', 'torch')
WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {names}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
import numpy as np
from cranium.inference.segmenter import Segmenter

found = Segmenter.from_pretrained(sys.argv[1]).segment(sys.argv[2])
np.save(sys.argv[3], found.masks)
assert not {names} & sys.modules.keys()
"""


@pytest.fixture(scope='module')
def exported(tmp_path_factory, segmenter):
    """The pretrained network as ONNX, and what the export says of it."""
    out = tmp_path_factory.mktemp('export') / 'folder/unet.onnx'
    network = load_network(device='cpu')
    return out, export_onnx(network, out, card_of(None, network.spec))


def test_onnx_runtime_is_pytorch_on_real_slices(exported, segmenter, read_patient):
    out, measured = exported
    assert measured.difference < 1e-4
    assert (measured.slices, measured.dice) == (61, pytest.approx(measured.torch_dice, abs=1e-6))
    assert measured.weights == 620_099
    hu, _ = read_patient('071')
    ours, its = (each.segment(hu) for each in (segmenter, Segmenter.from_pretrained(out)))
    assert np.abs(ours.log_odds - its.log_odds).max() < 1e-4
    assert its.score == pytest.approx(ours.score, abs=1e-4)
    assert its.masks.any()


def test_the_file_says_what_it_expects(exported, segmenter):
    out, _ = exported
    network = load_network(out, device='cpu')
    assert network.spec == segmenter.network
    assert network.card == (ROOT / 'docs/model_card.md').read_text()
    model = onnx.load(out)
    onnx.checker.check_model(model)
    content = out.read_bytes()
    for machine in (str(ROOT), 'site-packages', 'stack_trace'):
        assert machine.encode() not in content
    # Number, height and width of images are free, and so is their content.
    for shape in ((1, 192, 160), (3, 96, 80)):
        views = np.random.default_rng(0).uniform(0, 255, (shape[0], 7, *shape[1:]))
        log_odds, scores = network(views.astype(np.float32))
        assert (log_odds.shape, scores.shape) == (shape, shape[:1])


def test_it_runs_where_torch_is_not(exported, read_patient, tmp_path, segmenter):
    hu, files = read_patient('071')
    code = WITHOUT_TORCH.format(names=set(TORCH))
    command = [sys.executable, '-c', code, exported[0], files[-1], tmp_path / 'masks.npy']
    subprocess.run(list(map(str, command)), check=True, timeout=120)
    assert np.array_equal(np.load(tmp_path / 'masks.npy')[0], segmenter.segment(hu[-1]).mask)


def test_predict_needs_what_the_light_install_has(exported, read_patient, tmp_path):
    """Every format and the page; the whole install's other packages are not there."""
    _, files = read_patient('071')
    script = WITHOUT_TORCH.partition('import numpy')[0].format(
        names={*TORCH, 'matplotlib', 'sklearn'}
    )
    script += "from cranium.cli import main; sys.argv[0] = 'cranium'; main()"
    options = ['--save', 'mask', 'overlay', 'probability', '--report', '--checkpoint', exported[0]]
    command = [sys.executable, '-c', script, 'predict', *files, '--out', tmp_path / 'out', *options]
    subprocess.run(list(map(str, command)), check=True, timeout=120)
    assert (tmp_path / 'out/report.html').is_file()
    assert len(list((tmp_path / 'out/mask').iterdir())) == len(files)


def test_the_light_install_has_the_versions_of_the_whole():
    text = (ROOT / 'requirements/onnx.txt').read_text()
    light = [line.split('#')[0].strip() for line in text.splitlines() if line[0] != '#']
    whole = re.findall(r'"([^"]+)"', (ROOT / 'pyproject.toml').read_text())
    assert {line for line in light if 'opencv' not in line} <= set(whole)
    assert not {'torch', 'mmcv', 'mmengine', 'mmsegmentation'} & {
        re.split(r'[>=<]', line)[0] for line in light
    }


def test_nothing_is_overwritten(exported):
    with pytest.raises(CraniumError, match='is there already; remove it'):
        export_onnx(load_network(device='cpu'), exported[0], '')
    with pytest.raises(CraniumError, match='an ONNX file already; name a checkpoint'):
        export_onnx(load_network(exported[0]), exported[0].with_name('b.onnx'), '')


def test_the_sample_is_read_with_its_masks(tmp_path):
    found = list(read_sample(tmp_path))
    assert sum(len(scan.hu) for scan, _ in found) == 61
    assert all(mask.shape == scan.hu.shape for scan, mask in found)
    told = read_manifest(tmp_path / 'sample').groupby('patient')['hemorrhage_pixels'].sum()
    assert {scan.name: mask.sum() for scan, mask in found} == told.to_dict()


def test_the_card_of_other_weights_is_a_line(tmp_path, segmenter):
    card = card_of(tmp_path / 'iter_10.pth', NetworkSpec((1, 1), 1.0, 1, 2, (), name='unet'))
    assert card == 'unet, trained as unet. For research; not a medical device.\n'


@pytest.mark.slow
def test_of_8_bits(tmp_path):
    out = tmp_path / 'unet.onnx'
    done = call_cranium('export', '--out', out, '--quantize')
    assert done.exit_code == 0, done.output
    assert '620099 weights, 0.7 MB' in done.output
    assert out.stat().st_size < 1e6
