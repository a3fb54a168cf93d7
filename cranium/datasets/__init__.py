"""The prepared tree -> mmseg samples.

Importing this package also makes the stack ready (see ``cranium.engine``).
"""

import cranium.engine  # noqa: F401  (before anything of mmseg)

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
