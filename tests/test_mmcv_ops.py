import sys

import pytest
from mmengine.utils.dl_utils import mmcv_full_available

from cranium import mmcv_ops
from tests.conftest import run_command

lite = pytest.mark.skipif(mmcv_full_available(), reason='full mmcv is installed')


@lite
def test_the_gap_is_still_there():
    """Once this fails, mmcv_ops.py can be deleted."""
    code = """
import sys, cranium
sys.meta_path = [finder for finder in sys.meta_path if getattr(finder, 'module', '') != 'mmseg']
import mmseg.models
"""
    output = run_command('python', '-c', code, status=1)
    assert "No module named 'mmcv._ext'" in output


@lite
@pytest.mark.parametrize('first', ['import cranium', 'import mmseg, cranium'])
def test_mmseg_is_imported_beside_it(first):
    run_command('python', '-c', f'{first}; from mmseg.apis import init_model')


def test_importing_it_costs_next_to_nothing():
    code = 'import sys, cranium; print(*{name.partition(".")[0] for name in sys.modules})'
    imported = {*run_command('python', '-c', code).split()}
    assert not imported & {'mmcv', 'mmengine', 'mmseg', 'numpy', 'torch'}


@lite
def test_missing_operator_says_its_name_and_the_remedy():
    from mmcv.ops import nms

    with pytest.raises(RuntimeError, match=r"'nms'.*only mmcv-lite.*mim install"):
        nms(*map(__import__('torch').rand, [(3, 4), (3,)]), 0.5)


@lite
def test_stand_in_is_not_taken_for_full_mmcv():
    assert isinstance(sys.modules['mmcv._ext'], mmcv_ops._MissingExtension)
    assert not mmcv_full_available()


def test_real_extension_is_left_alone(monkeypatch, tmp_path):
    (tmp_path / '_ext.py').write_text('nms = "the real one"')
    monkeypatch.setattr('mmcv.__path__', [str(tmp_path)])
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    mmcv_ops.install_stand_in()
    assert 'mmcv._ext' not in sys.modules
