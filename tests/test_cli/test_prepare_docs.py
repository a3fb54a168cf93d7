"""What the documents say is run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_dask_example(tmp_path):
    text = (ROOT / 'docs/preparation.md').read_text()
    (example,) = re.findall(r'```python\n(.*?)```', text, flags=re.DOTALL)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/sample').symlink_to(ROOT / 'data/sample')
    (tmp_path / 'example.py').write_text(example)
    done = subprocess.run(
        [sys.executable, 'example.py'], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == '61 slices\n'


def test_the_samples_card_counts_its_slices():
    text = (ROOT / 'data/sample/README.md').read_text()
    slices = [
        path for path in ROOT.glob('data/sample/Patients_CT/*/brain/*.jpg') if path.stem.isdigit()
    ]
    patients = list(ROOT.glob('data/sample/Patients_CT/*'))
    assert f'{len(slices)} slices of {len(patients)} patients' in text
    size = sum(path.stat().st_size for path in ROOT.glob('data/sample/**/*') if path.is_file())
    assert size < 3_000_000


def test_the_authors_test_fold_is_tested_on_as_documented():
    config_module = pytest.importorskip('mmengine.config')
    text = (ROOT / 'docs/preparation.md').read_text()
    (command,) = re.findall(r'mim test (?:.*\\\n)*.*', text)
    settings = dict(re.findall(r'(\S+)=(\S+)', command))
    for path in ROOT.glob('configs/*.py'):
        config = config_module.Config.fromfile(path)
        config.merge_from_dict(settings)
        expected = {'img_path': 'images/test', 'seg_map_path': 'masks/test'}
        assert config.test_dataloader.dataset.data_prefix == expected
        assert config.val_dataloader.dataset.data_prefix.img_path == 'images/val'
