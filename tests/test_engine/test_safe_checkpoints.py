import functools
import pickle
import subprocess

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

import cranium.engine  # noqa: F401  (what is tested)
from cranium.engine.safe_checkpoints import restricted_getattr
from tests.conftest import run_command


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def save_buffer(path):
    buffer = HistoryBuffer()
    for value in (1.0, 3.0):
        buffer.update(value)
    torch.save({'message_hub': {'loss': buffer}, 'best': np.float64(0.5)}, path)


def test_the_gap_is_still_there(tmp_path):
    """Once this fails, engine/safe_checkpoints.py can be deleted."""
    save_buffer(tmp_path / 'a.pth')
    output = run_command(
        'python', '-c', f'import torch; torch.load({str(tmp_path / "a.pth")!r})', status=1
    )
    assert 'HistoryBuffer' in output


def test_history_buffer_comes_back_whole(tmp_path):
    save_buffer(tmp_path / 'a.pth')
    loaded = load(tmp_path / 'a.pth')
    buffer = loaded['message_hub']['loss']
    assert [buffer.statistics(name) for name in ('mean', 'min', 'max', 'current')] == [2, 1, 3, 3]
    assert loaded['best'] == 0.5


@pytest.mark.parametrize('dtype', ['bool', 'uint8', 'int32', 'int64', 'float16', 'float64'])
def test_numpy_arrays_of_each_type(tmp_path, dtype):
    torch.save({'array': np.ones(3, dtype)}, tmp_path / 'a.pth')
    assert load(tmp_path / 'a.pth')['array'].dtype == dtype


def test_names_of_numpy_1_are_known(tmp_path):
    torch.save({'array': np.arange(3.0)}, tmp_path / 'a.pth', pickle_module=_RenamedNumPy)
    assert b'numpy.core.multiarray' in (tmp_path / 'a.pth').read_bytes()
    np.testing.assert_array_equal(load(tmp_path / 'a.pth')['array'], [0, 1, 2])


class _RenamedNumPy:
    """A pickle module that writes NumPy's core under the name it had before NumPy 2."""

    class Pickler(pickle._Pickler):
        def save_global(self, obj, name=None):
            if getattr(obj, '__module__', '') == 'numpy._core.multiarray':
                self.write(f'cnumpy.core.multiarray\n{obj.__name__}\n'.encode())
                self.memoize(obj)
            else:
                super().save_global(obj, name)

        dispatch = pickle._Pickler.dispatch | {type(np.add.reduce): save_global}


class _Evil:
    def __reduce__(self):
        return subprocess.check_call, (['touch', 'evil'],)


class _EvilByAttribute:
    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


@pytest.mark.parametrize('evil', [_Evil, _EvilByAttribute, functools.partial(print, 1)])
def test_code_in_a_checkpoint_is_refused(tmp_path, monkeypatch, evil):
    monkeypatch.chdir(tmp_path)
    torch.save({'state_dict': {}, 'x': evil() if isinstance(evil, type) else evil}, 'a.pth')
    with pytest.raises(pickle.UnpicklingError):
        load('a.pth')
    assert not (tmp_path / 'evil').exists()


@pytest.mark.parametrize('owner, name', [(HistoryBuffer, '__class__'), (dict, 'max'), ('', 'mean')])
def test_restricted_getattr_gives_out_nothing_else(owner, name):
    with pytest.raises(pickle.UnpicklingError, match=name):
        restricted_getattr(owner, name)
