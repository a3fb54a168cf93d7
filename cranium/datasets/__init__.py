"""The prepared tree -> mmseg samples.

Importing this package also makes the stack ready (see ``cranium.engine``).
"""

import cranium.engine  # noqa: F401  (before anything of mmseg)

from .alignment import AlignHead
from .cranium_dataset import CraniumDataset
from .gray import GrayChannels
from .intensity import DistortHU, WindowCT
from .masks import LoadMask
from .paste import PasteHemorrhage
from .progressive import ProgressiveResizing
from .sampler import BalancedSampler
from .scan import LoadScan

__all__ = [
    'AlignHead',
    'BalancedSampler',
    'CraniumDataset',
    'DistortHU',
    'GrayChannels',
    'LoadMask',
    'LoadScan',
    'PasteHemorrhage',
    'ProgressiveResizing',
    'WindowCT',
]
