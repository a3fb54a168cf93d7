"""Intracranial hemorrhage segmentation on head CT with MMSegmentation.

Importing this package costs next to nothing and imports no torch; it lets ``mmseg.apis`` be
imported beside mmcv-lite. :func:`register_all_modules` makes its classes known to mmseg's
registries.
"""

from cranium.openmmlab import stand_in_for_operators
from cranium.version import __version__

__all__ = ['__version__', 'register_all_modules']

stand_in_for_operators()


def register_all_modules(init_default_scope: bool = True) -> None:
    """Register every module of mmseg and Cranium, as ``mmseg.utils.register_all_modules`` does.

    Configs of Cranium do it by themselves (``custom_imports``); it is for Python code that builds
    models or data sets.

    Args:
        init_default_scope (bool): Whether ``mmseg`` becomes mmengine's default scope. Defaults to
            True.
    """
    import cranium.register  # noqa: F401, I001  (before anything of mmseg)
    from mmseg.utils import register_all_modules as register_mmseg

    register_mmseg(init_default_scope)
