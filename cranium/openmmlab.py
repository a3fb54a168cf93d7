"""Configs may inherit from ``cranium::``, which mmengine allows to OpenMMLab's packages alone.

Its documentation promises it to every package (open-mmlab/mmengine, issue 1410). A config is read
before its ``custom_imports``, so Python calls :func:`accept_cranium_configs` when it starts, by the
file ``cranium.pth`` that ``setup.py`` installs. Hence nothing is imported here but ``sys``. To be
deleted, with that file, once mmengine looks for packages that it does not know.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


def accept_cranium_configs() -> None:
    """Let mmengine, whenever it is imported, find what ``cranium::`` stands for."""
    sys.meta_path.insert(0, _Finder())


class _Finder:
    """Has one module of mmengine changed after it was executed."""

    module = 'mmengine.config.utils'

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
                _change(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _change(utils: ModuleType) -> None:
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
