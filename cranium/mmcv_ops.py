"""Compiled mmcv operators, which ``mmseg.models`` imports and UNet-FCN never calls.

Needed by: mmcv-lite with mmsegmentation <= 1.2.2. Where full mmcv (or onedl-mmcv) is installed
nothing happens. Delete when ``import mmseg.models`` succeeds on mmcv-lite.
"""

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

EXTENSION = 'mmcv._ext'


class _MissingExtension(ModuleType):
    """A module in which every public name is a function that says that the operator is missing."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError(
                f'The operator {name!r} is compiled code of full mmcv, and only mmcv-lite is '
                'installed. Replace it: `pip uninstall mmcv-lite`, `mim install "mmcv>=2.1,<2.2"` '
                '(a wheel where there is one for your PyTorch, else it is compiled).'
            )

        return missing


def install_stand_in() -> None:
    """Register the stand-in for ``mmcv._ext`` unless the real extension is installed.

    Its spec has no loader, so that ``mmengine.utils.dl_utils.mmcv_full_available()`` goes on
    telling the truth: ``pkgutil.find_loader`` finds a spec without a loader and returns ``None``.
    """
    if EXTENSION not in sys.modules and importlib.util.find_spec(EXTENSION) is None:
        sys.modules[EXTENSION] = _MissingExtension(EXTENSION)
        sys.modules[EXTENSION].__spec__ = ModuleSpec(EXTENSION, None)
