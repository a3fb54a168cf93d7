"""Gap 2: PyTorch's safe loader refuses the checkpoints that mmengine itself writes.

Needed by: torch >= 2.6 (``torch.load`` defaults to ``weights_only=True``) with mmengine <= 0.10.7.
Delete when mmengine registers its ``HistoryBuffer`` with ``torch.serialization``.

The loader stays safe: only data types are allowed, and a checkpoint that carries any other code is
refused. Setting ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD`` instead would run whatever a downloaded file
says.
"""

import pickle
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from packaging.version import Version

# The class registers its statistics as plain functions in every pickled buffer, and pickle writes
# a function of a class as `getattr(HistoryBuffer, name)`.
STATISTICS = ('min', 'max', 'current', 'mean')


def restricted_getattr(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` while a checkpoint is read: gives statistics of ``HistoryBuffer``.

    Raises:
        pickle.UnpicklingError: If anything else is asked for: mmengine never wrote this file.
    """
    if owner is not HistoryBuffer or name not in STATISTICS:
        msg = f'The checkpoint asks for the attribute {name!r} of {owner!r}, which is not data.'
        raise pickle.UnpicklingError(msg)
    return getattr(HistoryBuffer, name)


def allow_mmengine_checkpoints() -> None:
    """Allow the data types of mmengine's checkpoints in PyTorch's safe loader, if it needs it."""
    if Version(torch.__version__) < Version('2.6'):
        return
    # NumPy 2 renamed its core; checkpoints written with either must load with either.
    reconstruct, scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    allowed: list[Any] = [
        HistoryBuffer,
        (restricted_getattr, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in '?bBhHiIlLqQefd'},
    ]
    for core in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed += [(reconstruct, f'{core}._reconstruct'), (scalar, f'{core}.scalar')]
    torch.serialization.add_safe_globals(allowed)
