"""The prepared tree -> mmseg samples.

Importing this package also makes the stack ready (see ``cranium.engine``).

The predecessor's configs import this folder as the top-level package ``datasets``, with the
checkout in PYTHONPATH. That name is made an alias, or else its classes would be registered twice.
"""

import importlib
import sys

if __name__ == 'datasets':
    try:
        package = importlib.import_module('cranium.datasets')
    except ModuleNotFoundError as error:
        msg = f'Cranium is not installed ({error}); run `pip install -e .` in its checkout.'
        raise ImportError(msg) from error
    for name, module in list(sys.modules.items()):
        if name.partition('cranium.')[2].partition('.')[0] == __name__:
            sys.modules[name.removeprefix('cranium.')] = module
else:
    importlib.import_module('cranium.engine')  # before anything of mmseg
    from .alignment import AlignHead
    from .cranium_dataset import CraniumDataset
    from .crops import CropOnHemorrhage
    from .intensity import DistortWindow
    from .masks import LoadMask
    from .paste import PasteHemorrhage
    from .resolution import CoarseFirst
    from .sampler import BalancedSampler
    from .scan import LoadScan

    __all__ = [
        'AlignHead',
        'BalancedSampler',
        'CoarseFirst',
        'CraniumDataset',
        'CropOnHemorrhage',
        'DistortWindow',
        'LoadMask',
        'LoadScan',
        'PasteHemorrhage',
    ]
