import os
import shutil

import numpy as np
import pytest
import torch

from cranium.engine.publishing import publish_checkpoint
from cranium.errors import CraniumError
from cranium.inference.network import FILES, PRETRAINED, find_config, load_network
from cranium.inference.segmenter import Segmenter

WEIGHTS = FILES / f'checkpoints/{PRETRAINED}.pth'


@pytest.fixture
def weights():
    return torch.load(WEIGHTS, weights_only=True)


def refused(path, message, **options):
    with pytest.raises((CraniumError, FileNotFoundError), match=message) as caught:
        load_network(path, device='cpu', **options)
    assert '\n' not in str(caught.value)


def save(folder, content, name=PRETRAINED):
    path = folder / f'{name}.pth'
    torch.save(content, path)
    return path


def test_the_config_lies_beside_the_weights_or_in_the_package(tmp_path):
    assert find_config(tmp_path / f'{PRETRAINED}.pth') == FILES / f'configs/{PRETRAINED}.py'
    with pytest.raises(CraniumError, match=r'iter_10\.pth: no config lies beside it; name'):
        find_config(tmp_path / 'iter_10.pth')
    (tmp_path / 'unet.py').touch()  # as mmengine leaves it in a work_dir
    assert find_config(tmp_path / 'iter_10.pth') == tmp_path / 'unet.py'
    (tmp_path / 'iter_10.py').touch()
    assert find_config(tmp_path / 'iter_10.pth') == tmp_path / 'iter_10.py'
    with pytest.raises(CraniumError, match='2 configs lie beside it'):
        find_config(tmp_path / 'iter_20.pth')


def test_a_checkpoint_of_another_architecture_says_which_keys_differ(tmp_path, weights):
    own = weights['state_dict']
    own['backbone.stem.weight'] = own.pop('decode_head.conv_seg.bias')
    own['auxiliary_head.linear.weight'] = torch.zeros(1, 512)
    refused(
        save(tmp_path, weights),
        r'weights of another network than .*: missing decode_head\.conv_seg\.bias; '
        r'not of this network backbone\.stem\.weight; '
        r'auxiliary_head\.linear\.weight is \(1, 512\) and should be \(1, 256\); name its own',
    )


def test_what_was_published_of_a_cross_validation_is_what_is_predicted(tmp_path, read_patient):
    points = {
        level: dict(threshold=1.5, calibration=dict(slope=slope, offset=-4.0))
        for level, slope in (('slice', 1.25), ('patient', 0.5), ('lone_slice', 2.0))
    }
    out = tmp_path / f'{PRETRAINED}.pth'
    publish_checkpoint(WEIGHTS, out, {**points, 'score_smoothing': 1.0, 'patients': 66})
    segmenter, (hu, _) = Segmenter.from_pretrained(out, device='cpu'), read_patient('071')
    found = segmenter.segment(hu)
    log_odds = np.array([1.25 * each.score - 4 for each in found.slices])
    expected = 1 / (1 + np.exp(-log_odds))
    assert [each.hemorrhage_probability for each in found.slices] == pytest.approx(expected)
    assert found.hemorrhage_probability == pytest.approx(1 / (1 + np.exp(4 - found.score / 2)))
    assert expected.max() - expected.min() > 0.1
    lone = segmenter.segment(hu[2:3])
    alone = pytest.approx(1 / (1 + np.exp(4 - 2 * lone.score)))
    assert lone.hemorrhage_probability == lone.slices[0].hemorrhage_probability == alone


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return os.system, ('echo run > /dev/null',)


def test_a_pickle_that_runs_code_is_refused(tmp_path, weights, monkeypatch):
    ran = []
    monkeypatch.setattr(os, 'system', ran.append)
    path = save(tmp_path, dict(weights, more=Code()))
    refused(path, r'unet.*\.pth: the checkpoint holds more than data, .*cranium publish')
    assert not ran


def test_what_is_no_checkpoint(tmp_path):
    path = tmp_path / f'{PRETRAINED}.pth'
    refused(path, 'there is no such checkpoint')
    for content in (b'', b'hello', WEIGHTS.read_bytes()[:100_000]):
        path.write_bytes(content)
        refused(path, 'damaged, or no checkpoint of PyTorch')
    save(tmp_path, [1, 2])
    refused(path, 'damaged, or no checkpoint')
    refused(save(tmp_path, {}), 'missing backbone')


def test_config_and_device(tmp_path):
    refused(WEIGHTS, 'there is no such config', config=tmp_path / 'none.py')
    part = FILES / 'configs/_base_/models/unet-cranium_small.py'
    refused(WEIGHTS, 'no model and test_dataloader in it', config=part)
    with pytest.raises(CraniumError, match="device is 'gpu'; choose from auto, cpu, cuda, mps"):
        load_network(device='gpu')
    if not torch.cuda.is_available():
        with pytest.raises(CraniumError, match="device is 'cuda:1', which PyTorch does not see"):
            load_network(device='cuda:1')


def test_bare_weights_are_taken(tmp_path, weights):
    network = load_network(save(tmp_path, weights['state_dict']), device='cpu')
    assert network.spec.name == PRETRAINED
    assert network.spec.training == {}


def test_an_onnx_file_says_itself_what_it_is(tmp_path):
    path = tmp_path / 'a.onnx'
    path.write_bytes(b'hello')
    refused(path, r'a\.onnx: ONNX Runtime cannot load it; write it again by `cranium export`')
    refused(path, 'holds its own settings; leave out', config=shutil.which('python'))
