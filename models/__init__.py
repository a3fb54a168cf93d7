"""Losses and segmentor parts that mmseg lacks or has wrong.

Importing this package also makes the stack ready (see ``cranium.engine``).
"""

import cranium.engine  # noqa: F401  (before anything of mmseg)

from .losses import BatchDiceLoss, FocalTverskyLoss

__all__ = ['BatchDiceLoss', 'FocalTverskyLoss']
