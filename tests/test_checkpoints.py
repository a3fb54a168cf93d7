"""The pretrained weights: safe, of their config, as the metafile says, with the card's figures."""

import hashlib
import json
import re
import subprocess
import sys

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import cranium.models  # noqa: F401
from tests.conftest import ROOT, run_command

FOLDER = ROOT / 'checkpoints'
WEIGHTS = sorted(FOLDER.glob('*.pth'))


@pytest.fixture(params=WEIGHTS, ids=lambda path: path.stem)
def weights(request):
    return request.param


def test_there_are_weights():
    assert WEIGHTS


def test_small_and_as_the_checksum_says(weights):
    content = weights.read_bytes()
    assert len(content) <= 8e6
    sums = (FOLDER / 'SHA256SUMS').read_text()
    assert f'{hashlib.sha256(content).hexdigest()}  {weights.name}\n' in sums


def test_plain_pytorch_loads_them_with_nothing_allowed(weights):
    code = f'import torch; print(*torch.load({str(weights)!r}, weights_only=True))'
    done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    assert done.stdout == 'state_dict meta\n'


def test_they_are_those_of_the_config_of_their_name(weights):
    config = Config.fromfile(ROOT / f'configs/{weights.stem}.py')
    init_default_scope('mmseg')
    found = torch.load(weights, weights_only=True)
    MODELS.build(config.model).load_state_dict(found['state_dict'], strict=True)
    assert found['meta']['iter'] == config.train_cfg.max_iters
    assert found['meta']['dataset_meta']['classes'] == ['background', 'hemorrhage']
    record = found['meta']['cranium']
    assert len(set(record['training_patients'])) == 66 and '049' in record['training_patients']
    log = [json.loads(line) for line in weights.with_suffix('.json').read_text().splitlines()]
    assert log[-1]['step'] == config.train_cfg.max_iters
    assert log[-1]['loss'] < 0.7 * log[0]['loss']


def test_the_metafile_leads_to_files():
    metafile = yaml.safe_load((ROOT / 'metafile.yml').read_text())
    collections = {collection['Name'] for collection in metafile['Collections']}
    assert {model['Name'] for model in metafile['Models']} >= {path.stem for path in WEIGHTS}
    for model in metafile['Models']:
        assert model['In Collection'] in collections
        assert (ROOT / model['Config']).is_file()
        assert (ROOT / model['Weights']).is_file()
        assert (ROOT / model['Training log']).is_file()


def test_figures_of_the_card(tmp_path):
    """By the commands of `make pretrained`."""
    tree, name = tmp_path / 'data', WEIGHTS[0].stem
    prepare = ['python', 'tools/prepare_dataset.py', '--source', 'data/sample']
    run_command(*prepare, '--window', 'hu', '--out', tree)
    test = ['mim', 'test', 'mmseg', f'configs/{name}.py', '--checkpoint', WEIGHTS[0]]
    options = ['--cfg-options', f'test_dataloader.dataset.data_root={tree}']
    run_command(*test, '--work-dir', tmp_path / 'work', *options)
    summary = json.loads((tmp_path / 'work/evaluation/summary.json').read_text())
    card = (ROOT / 'docs/model_card.md').read_text().split('| `make pretrained` | value |')[1]
    claims = re.findall(r'\| .*`([\w/]+)` \| ([\d.]+) \|', card)
    assert len(claims) >= 4
    for figure, value in claims:
        assert summary['figures'][figure]['value'] == pytest.approx(float(value), abs=0.002)
