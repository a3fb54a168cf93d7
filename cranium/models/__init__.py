"""Losses and segmentor parts that mmseg lacks or has wrong.

Importing this package also makes the stack ready (see ``cranium.engine``).
"""

import cranium.engine  # noqa: F401  (before anything of mmseg)

from .aligned_encoder_decoder import AlignedEncoderDecoder
from .losses import BatchDiceLoss, SliceDiceLoss
from .prior_head import PriorFCNHead
from .slice_head import SliceHead
from .unet import AdditiveUNet

__all__ = [
    'AdditiveUNet',
    'AlignedEncoderDecoder',
    'BatchDiceLoss',
    'PriorFCNHead',
    'SliceDiceLoss',
    'SliceHead',
]
