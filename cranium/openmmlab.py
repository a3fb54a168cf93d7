"""What OpenMMLab's packages need changed as soon as they are imported, before Cranium is.

- Configs may inherit from ``cranium::``, which mmengine allows to OpenMMLab's packages alone. Its
  documentation promises it to every package (open-mmlab/mmengine, issue 1410). A config is read
  before its ``custom_imports``, so Python calls :func:`accept_cranium_configs` when it starts, by
  the file ``cranium.pth`` that ``setup.py`` installs. To be deleted, with that file, once mmengine
  looks for packages that it does not know.
- ``mmseg.apis`` wants compiled operators that mmcv-lite has not, see :mod:`cranium.mmcv_ops`;
  importing ``cranium`` calls :func:`stand_in_for_operators`.

Hence nothing is imported here but ``sys``.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

TYPE_CHECKING = False  # as type checkers read it, and without `typing`
if TYPE_CHECKING:
    from collections.abc import Callable


def accept_cranium_configs() -> None:
    """Let mmengine, whenever it is imported, find what ``cranium::`` stands for."""
    _when_imported('mmengine.config.utils', _accept)


def stand_in_for_operators() -> None:
    """Let mmseg, whenever it is imported, do without operators that it does not call."""
    _when_imported('mmseg', _stand_in)


def _when_imported(module: str, change: Callable[[ModuleType], None]) -> None:
    if module in sys.modules:
        change(sys.modules[module])
    else:
        sys.meta_path.insert(0, _Finder(module, change))


class _Finder:
    """Has one module changed after it was executed."""

    def __init__(self, module: str, change: Callable[[ModuleType], None]) -> None:
        self.module = module
        self.change = change

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self.change(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _stand_in(mmseg: ModuleType) -> None:
    from cranium.mmcv_ops import install_stand_in

    install_stand_in()


def _accept(utils: ModuleType) -> None:
    """Teach mmengine's parser of ``package::config`` one package more."""
    parse = utils._get_package_and_cfg_path

    def parse_or_cranium(cfg_path: str) -> tuple[str, str]:
        if not cfg_path.startswith('cranium::'):
            known: tuple[str, str] = parse(cfg_path)
            return known
        # mmengine looks where the distribution of this name lies, which is wrong for an editable
        # install. Where there is none, it looks where the module lies: here cranium/version.py.
        config = cfg_path.removeprefix('cranium::').removesuffix('.py')
        return 'cranium.version', f'{config}.py'

    utils._get_package_and_cfg_path = parse_or_cranium  # type: ignore[attr-defined]
